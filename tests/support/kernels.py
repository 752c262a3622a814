"""The native kernels and their Python twins: copies of a module with either, and rows to give them."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from mintmark.register.entry import Entry, Row

if TYPE_CHECKING:
    from types import ModuleType

    import pytest

TIME = "2016-04-05T13:23:05Z"
ITEM = b'{"country":"GB","name":["Britain","\xc3\xa9"]}'


def load_twin(installed: ModuleType, choice: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A copy of the module, as MINTMARK_KERNEL=`choice` makes it."""
    monkeypatch.setenv("MINTMARK_KERNEL", choice)
    spec = importlib.util.spec_from_file_location(f"{installed.__name__}_{choice}", str(installed.__file__))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


keys = st.text(st.characters(codec="utf-8", min_codepoint=32, exclude_characters='"\\'), min_size=1, max_size=5)
entries = st.builds(
    Entry, keys, st.just(TIME), st.sampled_from(["user", "system"]), st.none() | st.binary(min_size=32, max_size=32)
)
rows = st.builds(
    Row,
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.none() | entries,
    st.none() | st.just(ITEM),
    st.just(False),
)
