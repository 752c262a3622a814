"""The names of logs against the paths of the read API: what is reserved there, and what is served all the same."""

from __future__ import annotations

import pytest

from mintmark.api.formats import SUFFIXES
from mintmark.api.routes.site import ROUTES
from mintmark.formats import FORMAT_SUFFIXES, RESERVED_NAMES, name_fault
from tests.api.conftest import connect, mirror, opened, world
from tests.support.lighthouse import ROWS


def test_the_reserved_names_are_those_of_the_api() -> None:
    assert FORMAT_SUFFIXES == SUFFIXES
    assert {route.path.split("/")[1] for route in ROUTES} == RESERVED_NAMES


@pytest.mark.parametrize("name", ["Food", "light_house", "a.b", "1a"])
async def test_a_register_that_has_such_a_name_already_is_served(read_db: str, name: str) -> None:
    assert name_fault(f"registers.test/{name}", "register") is not None
    await mirror(read_db, world(name, ROWS))
    async with opened(read_db, {}) as app, connect(app) as client:
        assert (await client.get(f"/{name}/records/FAR.json")).status_code == 200


@pytest.mark.parametrize("name", ["food", "a-1", "local-authority-eng", "x"])
def test_a_good_name_is_one_for_either_kind(name: str) -> None:
    assert name_fault(f"registers.test/{name}", "register") is None
    assert name_fault(f"registers.test/{name}", "opaque") is None
