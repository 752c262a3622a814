"""The fixture that runs a command line in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mintmark.cli.main import main
from tests.support.commands import Result

if TYPE_CHECKING:
    from tests.support.commands import Run


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("MINTMARK_DEBUG", raising=False)

    def call(*arguments: object) -> Result:
        code = main([str(argument) for argument in arguments])
        return Result(code, *capfd.readouterr())

    return call
