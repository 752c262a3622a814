"""A field's datatype is corrected as long as no entry has a value of it; the names of logs can be linked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mintmark.errors import Rejected
from tests.support.lighthouse import FIELDS, define_field, define_register, system, user
from tests.support.lights import DEFINED, append, define, light, lights
from tests.support.mint_site import LIGHTHOUSE, Site, create

if TYPE_CHECKING:
    from mintmark.client.mint_client import MintClient

LATER = "2024-03-03T00:00:00Z"
HEIGHT = [system(*define_field("height")), system(*define_register("lighthouse", [*FIELDS, "height"]))]
CORRECTED = system(*define_field("height", "integer", "n"))


async def test_before_the_first_record(site: Site, mint: MintClient) -> None:
    await define(mint)
    await append(mint, [system(*define_field("start-date", "text")), *lights(0, 2)])
    with pytest.raises(Rejected, match="not a valid text"):
        await append(mint, [user("A", light("A", **{"start-date": " "}), LATER)])
    assert await site.check(LIGHTHOUSE) == DEFINED + 3


async def test_a_field_that_no_entry_uses(site: Site, mint: MintClient) -> None:
    """Hundreds of records, of which none has a value; others name the field in a text."""
    await define(mint)
    await append(mint, [*lights(0, 300), user("T", light("T", region='a "height": of 3'), LATER)])
    await append(mint, HEIGHT)
    await append(mint, [CORRECTED])
    with pytest.raises(Rejected, match="height is a list"):
        await append(mint, [user("A", light("A", height="3"), LATER)])
    async with site.running() as another:
        with pytest.raises(Rejected, match="height is a list"):
            await append(another, [user("A", light("A", height="3"), LATER)])
    assert await site.check(LIGHTHOUSE) == DEFINED + 304


@pytest.mark.parametrize("after", [0, 300])
async def test_a_field_that_an_entry_uses(site: Site, mint: MintClient, after: int) -> None:
    await define(mint)
    await append(mint, [*HEIGHT, user("A", light("A", height="x"), LATER), *lights(0, after, LATER)])
    for sent in ([CORRECTED], [*lights(900, 902, LATER), CORRECTED]):
        with pytest.raises(Rejected, match="field height is in use: its datatype and cardinality stay") as refused:
            await append(mint, sent)
        assert (refused.value.rule, refused.value.field, refused.value.index) == ("schema", "height", len(sent) - 1)
    assert await site.check(LIGHTHOUSE) == DEFINED + 3 + after


async def test_a_batch_that_uses_it_first(site: Site, mint: MintClient) -> None:
    await define(mint)
    await append(mint, [*HEIGHT, *lights(0, 2, LATER)])
    with pytest.raises(Rejected, match="entry 1: field height is in use"):
        await append(mint, [user("A", light("A", height="x"), LATER), CORRECTED])
    right = b'{"height":["3"],"lighthouse":"A","name":"A"}'
    await append(mint, [CORRECTED, user("A", right, LATER)])
    assert await site.check(LIGHTHOUSE) == DEFINED + 6


async def test_another_text_of_a_field_in_use(site: Site, mint: MintClient) -> None:
    await define(mint)
    await append(mint, [*lights(0, 2), system(*define_field("name", text="What people call it"))])
    assert await site.check(LIGHTHOUSE) == DEFINED + 3


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "register") for name in ("Food", "a_b", "a.b", "1a", "x.json", "openapi", "-", "\N{SNOWMAN}", "a?b")),
        *((name, "opaque") for name in ("a?b", "a#b", "a%b", "x.json", "robots.txt", "-", "openapi")),
        *((name, "opaque") for name in ("caf\xe9", ".a", "a:b")),
    ],
)
async def test_a_name_that_cannot_be_linked(site: Site, name: str, kind: str) -> None:
    origin = f"mint.example/{name}"
    site.make_key(origin)
    async with site.running() as mint:
        with pytest.raises(Rejected, match="cannot be the name of") as refused:
            await mint.create(origin, kind)
        assert refused.value.rule == "name"


@pytest.mark.parametrize("name", ["Food", "a_b", "sum.golang.org", "2026h1", "a~b", "x.json5", "json", "robots"])
async def test_a_name_that_can(site: Site, name: str) -> None:
    origin = f"mint.example/{name}"
    site.make_key(origin)
    async with site.running() as mint:
        await mint.create(origin, "opaque")


async def test_a_log_that_exists_keeps_its_name(site: Site) -> None:
    origin = "mint.example/Food"
    site.make_key(origin)
    async with site.running() as mint:
        await create(mint)
        await mint.create(origin, "opaque")
        with pytest.raises(Rejected, match="opaque"):
            await mint.create(origin, "register")
        await mint.create(origin, "opaque")
