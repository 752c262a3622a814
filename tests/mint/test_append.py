"""Appending over gRPC: where entries go, what the answer says, and that it stays true."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import TYPE_CHECKING

import pytest

from mintmark.errors import Rejected
from mintmark.register.item import SALT
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.sources.source import Announcement
from mintmark.tlog.checkpoint import open_checkpoint
from tests.support.lighthouse import FAR, KIN, NOW, ROWS, define_field, define_register, entry, system
from tests.support.lights import DEFINED, append, append_items, define, light, lights
from tests.support.mint_site import LIGHTHOUSE, SALTED, THINGS, put, stored

if TYPE_CHECKING:
    from mintmark.client.mint_client import MintClient
    from tests.support.mint_site import Site


async def test_a_new_log_is_empty_and_signed(site: Site, mint: MintClient) -> None:
    note = await mint.checkpoint(THINGS)
    assert open_checkpoint(note, THINGS, site.verifiers(THINGS)).size == 0
    assert await mint.create(THINGS, "opaque") == note
    assert await site.check(THINGS) == 0


async def test_batches_of_any_length_follow_one_another(site: Site, mint: MintClient) -> None:
    sent: list[bytes] = []
    for count in (1, 1, 253, 1, 1, 255, 256, 257, 1000, 31):
        batch = [secrets.token_bytes(secrets.randbelow(60)) for _ in range(count)]
        answer = await put(mint, batch)
        assert (answer.first, answer.count) == (len(sent), count)
        sent += batch
        assert open_checkpoint(answer.note, THINGS, site.verifiers(THINGS)).size == len(sent)
        assert answer.note == await mint.checkpoint(THINGS)
    assert (await stored(mint, THINGS))[0] == sent
    assert await site.check(THINGS) == len(sent)


async def test_an_entry_may_be_empty_or_as_long_as_a_uint16_can_count(site: Site, mint: MintClient) -> None:
    entries = [b"", bytes(65_535), b""]
    await put(mint, entries)
    assert (await stored(mint, THINGS))[0] == entries
    await site.check(THINGS)


async def test_a_retry_gets_the_same_indices_and_no_second_copy(site: Site, mint: MintClient) -> None:
    id = secrets.token_bytes(16)
    first = await put(mint, [b"one", b"two"], id)
    await put(mint, [b"three"])
    again = await put(mint, [b"one", b"two"], id)
    assert (again.first, again.count) == (first.first, first.count)
    assert open_checkpoint(again.note, THINGS, site.verifiers(THINGS)).size == 3
    assert await site.check(THINGS) == 3


async def test_retries_at_the_same_time_are_one_request(site: Site, mint: MintClient) -> None:
    id = secrets.token_bytes(16)
    answers = await asyncio.gather(*(put(mint, [b"one", b"two"], id) for _ in range(20)))
    assert {(answer.first, answer.count) for answer in answers} == {(0, 2)}
    assert await site.check(THINGS) == 2


async def test_a_request_id_is_of_one_log(mint: MintClient) -> None:
    id = secrets.token_bytes(16)
    await define(mint)
    assert (await put(mint, [b"one"], id)).first == 0
    assert (await append(mint, lights(0, 1), id)).first == DEFINED


@pytest.mark.parametrize("wait", [True, False], ids=["later", "at the same time"])
async def test_a_request_id_with_other_entries_is_refused(site: Site, mint: MintClient, wait: bool) -> None:
    id = secrets.token_bytes(16)
    sends = [put(mint, [b"one"], id), put(mint, [b"other"], id)]
    if wait:
        await sends.pop(0)
    answers = await asyncio.gather(*sends, return_exceptions=True)
    assert sum(type(answer) is Rejected for answer in answers) == 1
    assert await site.check(THINGS) == 1


async def test_concurrent_batches_are_each_whole_and_in_one_order(site: Site, mint: MintClient) -> None:
    batches = [[b"%d:%d" % (number, at) for at in range(number % 7 + 1)] for number in range(200)]
    answers = await asyncio.gather(*(put(mint, batch) for batch in batches))
    entries, _ = await stored(mint, THINGS)
    for batch, answer in zip(batches, answers, strict=True):
        assert entries[answer.first : answer.first + answer.count] == batch
        assert open_checkpoint(answer.note, THINGS, site.verifiers(THINGS)).size >= answer.first + answer.count
    assert await site.check(THINGS) == sum(map(len, batches))


async def test_a_register_from_its_definitions_on_in_one_batch(site: Site, mint: MintClient) -> None:
    answer = await append(mint, ROWS)
    assert (answer.first, answer.count) == (0, len(ROWS))
    _, items = await stored(mint, LIGHTHOUSE)
    assert items == [item for _, item in ROWS]
    assert await site.check(LIGHTHOUSE) == len(ROWS)


async def test_a_tombstone_and_a_new_field_in_the_middle_of_a_batch(site: Site, mint: MintClient) -> None:
    await define(mint)
    fields = ["lighthouse", "name", "region", "light-colours", "start-date", "height"]
    tall = light("TAL", height="40")
    rows = [
        *lights(0, 2),
        system(*define_field("height", "integer")),
        system(*define_register("lighthouse", fields, text="Lighthouses", registry="harbour-office", phase="beta")),
        (entry("TAL", tall), tall),
        (entry("L0", None), None),
    ]
    await append(mint, rows)
    assert await site.check(LIGHTHOUSE) == DEFINED + 6
    async with site.running() as another:  # which reads the definitions from the database
        await append(another, [(entry("TAL", tall), tall)])


async def test_the_mint_makes_entries_of_items_in_any_spelling(site: Site, mint: MintClient) -> None:
    definitions = [pb.Item(key=key, json=item, system=True) for key, item in dict_of_definitions().items()]
    await append_items(mint, definitions)
    spelt = b'{ "name": "Kinn\\u0061ird",\n "lighthouse": "KIN", "light-colours": ["white"], "region": "N" }'
    dated = pb.Item(key="FAR", json=FAR)
    dated.timestamp.FromJsonString("2024-03-01T09:00:00Z")
    answer = await append_items(mint, [dated, pb.Item(key="KIN", json=spelt), pb.Item(key="KIN")])
    assert (answer.first, answer.count) == (DEFINED, 3)
    entries, items = await stored(mint, LIGHTHOUSE)
    assert items[DEFINED:] == [FAR, KIN, b""]
    assert json.loads(entries[DEFINED])["timestamp"] == "2024-03-01T09:00:00Z"
    assert await site.check(LIGHTHOUSE) == DEFINED + 3


def dict_of_definitions() -> dict[str, bytes]:
    return {row.key: item for row, item in ROWS[:DEFINED]}


async def test_items_sent_again_get_the_same_answer(site: Site, mint: MintClient) -> None:
    await define(mint, SALTED)
    id, items = secrets.token_bytes(16), [pb.Item(key="FAR", json=FAR)]
    first = await append_items(mint, items, id, SALTED)
    await append_items(mint, [pb.Item(key="KIN", json=KIN)], origin=SALTED)
    assert (await append_items(mint, items, id, SALTED)).first == first.first
    with pytest.raises(Rejected, match="stands for other entries"):
        await append_items(mint, [pb.Item(key="KIN", json=KIN)], id, SALTED)
    assert await site.check(SALTED) == DEFINED + 2


async def test_a_retry_is_answered_though_the_rules_of_today_would_refuse_it(site: Site, mint: MintClient) -> None:
    await define(mint)
    id, old = secrets.token_bytes(16), lights(0, 1, "2024-03-01T09:00:00Z")
    first = await append(mint, old, id)
    await append(mint, lights(1, 2, "2024-03-02T09:00:00Z"))
    with pytest.raises(Rejected, match="before the last entry"):
        await append(mint, old)
    assert (await append(mint, old, id)).first == first.first
    assert await site.check(LIGHTHOUSE) == DEFINED + 2


async def test_a_salted_register_salts_what_it_makes_and_asks_for_it_elsewhere(site: Site, mint: MintClient) -> None:
    await define(mint, SALTED)
    with pytest.raises(Rejected, match="salted") as refused:
        await append(mint, lights(0, 1), origin=SALTED)
    assert (refused.value.rule, refused.value.index) == ("salt", 0)
    await append_items(mint, [pb.Item(key="FAR", json=FAR), pb.Item(key="FAR", json=FAR)], origin=SALTED)
    _, items = await stored(mint, SALTED)
    assert len({json.loads(item)[SALT] for item in items[DEFINED:]}) == 2
    assert await site.check(SALTED) == DEFINED + 2


@pytest.mark.parametrize("target", [0, 255, 256, 300], ids=["old bundle", "its end", "last bundle", "same batch"])
async def test_an_erasure_erases_the_item_and_nothing_else(site: Site, mint: MintClient, target: int) -> None:
    await define(mint)
    rows = lights(0, 291)
    await append(mint, rows)  # entries 9 to 299
    index = target + DEFINED if target == 0 else target
    before = await stored(mint, LIGHTHOUSE)
    reason = b'{"authority":"court order 7","reason":"asked for"}'
    erasure = pb.Item(key=f"erase:{index}", json=reason, system=True)
    again = pb.Item(key="L0", json=light("L0"))
    again.timestamp.FromJsonString(NOW)
    answer = await append_items(mint, [again, erasure])
    assert answer.first == 300
    assert any("no salt" in warning for warning in answer.warnings)
    entries, items = await stored(mint, LIGHTHOUSE)
    assert entries[:300] == before[0]
    assert items[index] == b""
    assert [item for at, item in enumerate(items) if at != index and at < 300] == [
        item for at, item in enumerate(before[1]) if at != index
    ]
    assert items[301] == reason
    await site.check(LIGHTHOUSE)
    await append(mint, lights(500, 900))  # which rewrites the last bundle
    async with site.running() as another:
        assert (await stored(another, LIGHTHOUSE))[1][index] == b""
    await site.check(LIGHTHOUSE)


async def test_an_erasure_in_the_same_batch_as_its_item(site: Site, mint: MintClient) -> None:
    await define(mint)
    reason = b'{"authority":"court order 7","reason":"asked for"}'
    erasure = pb.Item(key=f"erase:{DEFINED}", json=reason, system=True)
    await append_items(mint, [pb.Item(key="FAR", json=FAR), erasure, pb.Item(key="KIN", json=KIN)])
    assert (await stored(mint, LIGHTHOUSE))[1][DEFINED:] == [b"", reason, KIN]
    await site.check(LIGHTHOUSE)


def erasure(index: int) -> pb.Item:
    return pb.Item(key=f"erase:{index}", json=b'{"authority":"A","reason":"R"}', system=True)


@pytest.mark.parametrize("index", [DEFINED, 290], ids=["old bundle", "last bundle"])
async def test_what_is_erased_already_is_not_erased_again(site: Site, mint: MintClient, index: int) -> None:
    await define(mint)
    await append(mint, lights(0, 291))
    far, id = pb.Item(key="FAR", json=FAR), secrets.token_bytes(16)
    first = await append_items(mint, [erasure(index)], id)
    with pytest.raises(Rejected, match=f"entry 1: item {index} is erased already") as refused:
        await append_items(mint, [far, erasure(index)])
    assert (refused.value.rule, refused.value.index) == ("erasure", 1)
    with pytest.raises(Rejected, match="entry 1: item 280 is erased already"):
        await append_items(mint, [erasure(280), erasure(280)])
    assert (await append_items(mint, [erasure(index)], id)).first == first.first
    old = [system(f"erase:{index}", b'{"authority":"A","reason":"R"}')]
    await append(mint, old, legacy=True)
    assert await site.check(LIGHTHOUSE) == 302


async def test_of_erasures_at_once_one_is_appended_and_holds_up_nobody(site: Site, mint: MintClient) -> None:
    await define(mint)
    await append(mint, lights(0, 2))
    sent = [[erasure(DEFINED)] for _ in range(5)] + [[erasure(DEFINED + 1)], [pb.Item(key="FAR", json=FAR)]]
    answers = await asyncio.gather(*(append_items(mint, items) for items in sent), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert [type(answer) for answer in refused] == [Rejected] * 4
    assert not any(isinstance(answer, BaseException) for answer in answers[5:])
    assert await site.check(LIGHTHOUSE) == DEFINED + 5


async def test_the_end_of_a_record_has_no_item_to_erase(site: Site, mint: MintClient) -> None:
    await define(mint)
    await append_items(mint, [pb.Item(key="FAR", json=FAR), pb.Item(key="FAR")])
    with pytest.raises(Rejected, match=f"or entry {DEFINED + 1} ends a record"):
        await append_items(mint, [erasure(DEFINED + 1)])
    assert await site.check(LIGHTHOUSE) == DEFINED + 2


async def test_a_definition_in_force_is_not_erased_and_a_replaced_one_is(site: Site, mint: MintClient) -> None:
    await define(mint)
    custodian = next(at for at, (row, _) in enumerate(ROWS) if row.key == "custodian")
    erasure = pb.Item(key=f"erase:{custodian}", json=b'{"authority":"A","reason":"R"}', system=True)
    with pytest.raises(Rejected, match="append another definition first"):
        await append_items(mint, [erasure])
    await append_items(mint, [pb.Item(key="custodian", json=b'{"custodian":"B. Keeper"}', system=True), erasure])
    assert (await stored(mint, LIGHTHOUSE))[1][custodian] == b""
    async with site.running() as another:
        await append(another, lights(0, 1))


async def test_legacy_admits_old_data_and_says_what(site: Site, mint: MintClient) -> None:
    await define(mint)
    old = light("OLD", **{"start-date": "2017-04-21T00:00:00"})
    with pytest.raises(Rejected) as refused:
        await append(mint, [(entry("OLD", old), old)])
    assert (refused.value.rule, refused.value.field, refused.value.index) == ("datatype", "start-date", 0)
    answer = await append(mint, [(entry("OLD", old), old)], legacy=True)
    assert answer.warnings == ["entry 0: start-date: a datetime without Z: '2017-04-21T00:00:00'"]
    assert await site.check(LIGHTHOUSE) == DEFINED + 1


async def test_heads_are_announced_to_who_watches_another_mint_of_the_database(site: Site, mint: MintClient) -> None:
    async with site.running() as another:
        empty, watch = await mint.checkpoint(THINGS), another.watch([THINGS])
        heads = (said.note async for said in watch if isinstance(said, Announcement))
        assert await anext(heads) == empty
        answer = await put(mint, [b"one"])
        async with asyncio.timeout(10):
            while (note := await anext(heads)) != answer.note:
                assert note == empty
        await watch.aclose()
