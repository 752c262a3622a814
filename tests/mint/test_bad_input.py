"""What a mint refuses: by which status, in which words, and with nothing stored."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mintmark.errors import Forbidden, Malformed, NotFound, Rejected
from mintmark.mint.validation import MAX_BATCH_ENTRIES, make_request
from mintmark.register.entry import format_entry
from mintmark.rpc.mintmark_pb import log_pb2 as pb
from mintmark.tlog import bundle
from mintmark.tlog.bundle import digest
from mintmark.tlog.note import generate_skey
from tests.support.lighthouse import FAR, KIN, ROWS, define_field, define_register, entry, system
from tests.support.lights import DEFINED, append, append_items, define, joined, light, lights
from tests.support.mint_site import LIGHTHOUSE, SALTED, THINGS, WEAK, create, put

if TYPE_CHECKING:
    from mintmark.client.mint_client import MintClient
    from tests.support.mint_site import Site

Code = grpc.StatusCode
ID = bytes(16)


def request(**changes: Any) -> pb.AppendRequest:
    """A good append to the opaque log, but for the changes."""
    made = {"origin": THINGS, "request_id": secrets.token_bytes(16), "entries": bundle.join([b"one"]), "items": b""}
    made |= changes
    made.setdefault("digest", digest(made["entries"], made["items"]))
    return pb.AppendRequest(**made)


def of_register(rows: Any, **changes: Any) -> pb.AppendRequest:
    entries, items = joined(rows)
    return request(**{"origin": LIGHTHOUSE, "entries": entries, "items": items} | changes)


def raw(leaf: bytes, item: bytes = FAR) -> pb.AppendRequest:
    return request(origin=LIGHTHOUSE, entries=bundle.join([leaf]), items=bundle.join([item]))


GOOD = entry("FAR", FAR)
LEAF = format_entry(GOOD)
TALL = light("FAR", height="40")
BAD_DATE = light("FAR", **{"start-date": "yesterday"})
FUTURE = "2999-01-01T00:00:00Z"

REFUSED = {
    "no entry": (request(entries=b""), Code.INVALID_ARGUMENT, "a batch of 0 entries"),
    "too many": (request(entries=bytes(2 * MAX_BATCH_ENTRIES + 2)), Code.INVALID_ARGUMENT, "a batch of 32769 entries"),
    "truncated": (request(entries=b"\0\5one"), Code.INVALID_ARGUMENT, "truncated entry bundle"),
    "half a length": (request(entries=b"\0"), Code.INVALID_ARGUMENT, "truncated entry bundle"),
    "wrong digest": (request(digest=bytes(32)), Code.INVALID_ARGUMENT, "send them again"),
    "no digest": (request(digest=b""), Code.INVALID_ARGUMENT, "send them again"),
    "short request id": (request(request_id=b"1"), Code.INVALID_ARGUMENT, "a request id of 1 bytes"),
    "no request id": (request(request_id=b""), Code.INVALID_ARGUMENT, "a request id of 0 bytes"),
    "unknown origin": (request(origin="mint.example/nowhere"), Code.NOT_FOUND, "no log 'mint.example/nowhere' here"),
    "no origin": (request(origin=""), Code.INVALID_ARGUMENT, "origin"),
    "an origin that is too long": (request(origin="mint.example/" + "x" * 2**20), Code.INVALID_ARGUMENT, "origin"),
    "items in an opaque log": (request(items=bundle.join([b"{}"])), Code.FAILED_PRECONDITION, "this log is opaque"),
    "a register's first": (request(entries=bundle.join([LEAF, b"one"])), Code.FAILED_PRECONDITION, "--kind register"),
    "no items": (of_register([(GOOD, FAR)], items=b""), Code.FAILED_PRECONDITION, "this log is a register"),
    "too few items": (of_register([(GOOD, FAR)] * 2, items=bundle.join([FAR])), Code.INVALID_ARGUMENT, "of 1 entries"),
    "items too many": (of_register([(GOOD, FAR)], items=bundle.join([FAR, FAR])), Code.INVALID_ARGUMENT, "the items"),
    "items truncated": (of_register([(GOOD, FAR)], items=b"\0\5x"), Code.INVALID_ARGUMENT, "the items: truncated"),
    "not an entry": (raw(b"one"), Code.FAILED_PRECONDITION, "entry 0: not a register entry"),
    "entry not canonical": (raw(LEAF.replace(b",", b", ")), Code.FAILED_PRECONDITION, "entry 0: not a register entry"),
    "entry of another type": (raw(LEAF.replace(b"user", b"root")), Code.FAILED_PRECONDITION, "entry 0: not a register"),
    "item not canonical": (of_register([(entry("FAR", b'{"lighthouse": "FAR"}'), b'{"lighthouse": "FAR"}')]),
                           Code.FAILED_PRECONDITION, "entry 0: the item: non-canonical JSON"),
    "other item": (of_register([(GOOD, KIN)]), Code.FAILED_PRECONDITION, "does not have the hash"),
    "item missing": (of_register([(GOOD, None)]), Code.FAILED_PRECONDITION, "the item is missing"),
    "item of a tombstone": (raw(format_entry(entry("FAR", None))), Code.FAILED_PRECONDITION, "does not have the hash"),
    "key not the field's": (of_register([(entry("KIN", FAR), FAR)]), Code.FAILED_PRECONDITION, "is not the key 'KIN'"),
    "bad key": (of_register([(entry("-", FAR), FAR)]), Code.FAILED_PRECONDITION, "not a valid user key"),
    "unknown field": (of_register([(entry("FAR", TALL), TALL)]), Code.FAILED_PRECONDITION, "no field 'height'"),
    "bad value": (of_register([(entry("FAR", BAD_DATE), BAD_DATE)]), Code.FAILED_PRECONDITION, "start-date"),
    "in the future": (of_register([(entry("FAR", FAR, FUTURE), FAR)]), Code.FAILED_PRECONDITION, "in the future"),
    "backwards": (of_register(lights(0, 1, "2024-03-01T00:00:00Z")), Code.FAILED_PRECONDITION, "before the last entry"),
    "last of a batch": (of_register([*lights(0, 99), (GOOD, KIN)]), Code.FAILED_PRECONDITION, "entry 99:"),
    "system tombstone": (of_register([(entry("name", None, kind="system"), None)]), Code.FAILED_PRECONDITION, "item"),
    "undefined field": (of_register([system(*define_register("lighthouse", ["lighthouse", "what"]))]),
                        Code.FAILED_PRECONDITION, "field 'what' is not defined yet"),
    "field taken away": (of_register([system(*define_register("lighthouse", ["lighthouse", "name"]))]),
                         Code.FAILED_PRECONDITION, "cannot be taken away"),
    "datatype changed": (of_register([system(*define_field("name", "integer"))]), Code.FAILED_PRECONDITION, "in use"),
    "erasure of what is to come": (of_register([system("erase:900", b'{"authority":"A","reason":"R"}')]),
                                   Code.FAILED_PRECONDITION, "index 900 is not before this entry"),
    "erasure without a reason": (of_register([system("erase:9", b'{"authority":"A"}')]),
                                 Code.FAILED_PRECONDITION, "authority and reason"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_a_bad_append_is_refused_and_nothing_is_stored(site: Site, mint: MintClient, name: str) -> None:
    sent, code, said = REFUSED[name]
    await define(mint)
    await append(mint, [(GOOD, FAR)])
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await mint._mint.Append(sent, metadata=mint._metadata)
    assert (refused.value.code(), said in (refused.value.details() or "")) == (code, True), refused.value.details()
    assert await site.check(LIGHTHOUSE) == DEFINED + 1
    assert await site.check(THINGS) == 0
    assert (await put(mint, [b"one"])).first == 0  # the log goes on
    assert (await append(mint, lights(0, 1))).first == DEFINED + 1


BAD_ITEMS = {
    "not JSON": (pb.Item(key="FAR", json=b"{"), Code.FAILED_PRECONDITION, "entry 1: invalid JSON"),
    "not an object": (pb.Item(key="FAR", json=b"[]"), Code.FAILED_PRECONDITION, "entry 1: not a JSON object"),
    "a number": (pb.Item(key="FAR", json=b'{"lighthouse":1}'), Code.FAILED_PRECONDITION, "entry 1: the item"),
    "a member twice": (pb.Item(key="F", json=b'{"name":"a","name":"b"}'), Code.FAILED_PRECONDITION, "given twice"),
    "not UTF-8": (pb.Item(key="F", json=b'{"name":"\xff"}'), Code.FAILED_PRECONDITION, "entry 1: invalid JSON"),
    "a surrogate": (pb.Item(key="F", json=b'{"name":"\\ud800"}'), Code.FAILED_PRECONDITION, "entry 1: no canonical"),
    "nested": (pb.Item(key="F", json=b'{"a":' * 9000 + b"1" + b"}" * 9000), Code.FAILED_PRECONDITION, "entry 1"),
    "too long": (pb.Item(key="FAR", json=light("FAR", region="x" * 65_536)), Code.FAILED_PRECONDITION, "entry 1"),
    "far too long": (pb.Item(key="F", json=bytes(2**20)), Code.INVALID_ARGUMENT, "item 1 is 1048576 bytes"),
    "a quote in a key": (pb.Item(key='F"R', json=FAR), Code.FAILED_PRECONDITION, "entry 1: not a valid user key"),
    "no key": (pb.Item(json=FAR), Code.FAILED_PRECONDITION, "entry 1: not a valid user key"),
    "fractions": (pb.Item(key="FAR", json=FAR, timestamp={"nanos": 5}), Code.INVALID_ARGUMENT, "whole seconds"),
    "no time": (pb.Item(key="FAR", json=FAR, timestamp={"seconds": -(2**62)}), Code.INVALID_ARGUMENT, "item 1"),
}


@pytest.mark.parametrize("name", BAD_ITEMS)
async def test_a_bad_item_is_refused_by_its_position_and_nothing_is_stored(
    site: Site, mint: MintClient, name: str
) -> None:
    item, code, said = BAD_ITEMS[name]
    await define(mint)
    sent = pb.AppendItemsRequest(origin=LIGHTHOUSE, request_id=ID, items=[pb.Item(key="KIN", json=KIN), item])
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await mint._mint.AppendItems(sent, metadata=mint._metadata)
    assert (refused.value.code(), said in (refused.value.details() or "")) == (code, True), refused.value.details()
    assert await site.check(LIGHTHOUSE) == DEFINED


async def test_items_are_not_for_an_opaque_log(mint: MintClient) -> None:
    with pytest.raises(Rejected, match="opaque"):
        await append_items(mint, [pb.Item(key="FAR", json=FAR)], origin=THINGS)
    with pytest.raises(Malformed, match="a batch of 0 entries"):
        await append_items(mint, [], origin=THINGS)


async def test_a_refusal_says_which_rule_field_and_entry(mint: MintClient) -> None:
    await define(mint)
    with pytest.raises(Rejected) as refused:
        await append(mint, [*lights(0, 3), (entry("FAR", BAD_DATE), BAD_DATE)])
    assert (refused.value.rule, refused.value.field, refused.value.index) == ("datatype", "start-date", 3)


async def test_one_bad_batch_among_many_at_once_is_refused_alone(site: Site, mint: MintClient) -> None:
    await define(mint)
    batches = [append(mint, lights(number * 10, number * 10 + 10)) for number in range(20)]
    batches.insert(9, append(mint, [*lights(900, 905), (GOOD, KIN)]))
    answers = await asyncio.gather(*batches, return_exceptions=True)
    assert [number for number, answer in enumerate(answers) if isinstance(answer, Exception)] == [9]
    assert await site.check(LIGHTHOUSE) == DEFINED + 200


@pytest.mark.parametrize("token", ["", "another"])
async def test_without_a_known_token_nothing_is_appended_or_made(site: Site, token: str) -> None:
    async with site.running() as client:
        await create(client)
    async with site.running(token) as client:
        for call in (put(client, [b"one"]), client.create(THINGS, "opaque"), append(client, ROWS)):
            with pytest.raises(Forbidden, match="token"):
                await call
    assert await site.check(THINGS) == 0


async def test_a_token_does_what_its_rights_are_and_nothing_more(site: Site) -> None:
    async with site.running() as client:
        await create(client)
        await append(client, ROWS)
    erasure = pb.Item(key="erase:9", json=b'{"authority":"A","reason":"R"}', system=True)
    async with site.running(WEAK) as client:
        assert (await put(client, [b"one"])).first == 0
        with pytest.raises(Forbidden, match="no right to create"):
            await client.create(THINGS, "opaque")
        with pytest.raises(Forbidden, match="no right to legacy"):
            await append(client, lights(0, 1), legacy=True)
        with pytest.raises(Forbidden, match="entry 1: to erase needs the right erase"):
            await append_items(client, [pb.Item(key="FAR", json=FAR), erasure])
        with pytest.raises(Forbidden, match="entry 0: to erase needs the right erase"):
            await append(client, [system("erase:9", b'{"authority":"A","reason":"R"}')])
    assert await site.check(LIGHTHOUSE) == len(ROWS)


async def test_logs_that_cannot_be_made(site: Site, mint: MintClient) -> None:
    with pytest.raises(Rejected, match=r"no key of mint.example/new is here; make one with: mintmark keygen"):
        await mint.create("mint.example/new", "opaque")
    with pytest.raises(Rejected, match=r"is the key of mint.example/things"):
        await mint.create("other.example/things", "opaque")
    with pytest.raises(Rejected, match="is here already, as a log of kind opaque"):
        await mint.create(THINGS, "register")
    with pytest.raises(Rejected, match="is here already, as a salted log of kind register"):
        await mint.create(SALTED, "register")
    with pytest.raises(Malformed, match="names no key"):
        await mint.create("two words/things", "opaque")
    for origin in ("mint.example/", "mint.example/.."):
        with pytest.raises(Malformed, match="last segment"):
            await mint.create(origin, "opaque")
    with pytest.raises(Malformed, match="KIND_OPAQUE or KIND_REGISTER"):
        await mint.create(THINGS, "unspecified")
    with pytest.raises(Malformed, match="only the items of a register"):
        await mint.create(THINGS, "opaque", salted=True)
    (site.keys / "things.key").write_text(generate_skey("other.example/things").skey + "\n")
    with pytest.raises(Rejected, match="another log here is named 'things'"):
        await mint.create("other.example/things", "opaque")
    assert {log.origin for log in await mint.logs()} == {THINGS, LIGHTHOUSE, SALTED}


async def test_reading_what_is_not_there(mint: MintClient) -> None:
    with pytest.raises(NotFound, match="no log"):
        await mint.checkpoint("mint.example/nowhere")


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=700))
def test_any_bytes_are_a_batch_or_malformed(entries: bytes) -> None:
    try:
        made = make_request(ID, entries, b"", digest(entries, b""), may_erase=False, legacy=False)
    except Malformed:
        return
    assert bundle.join(bundle.cut(entries, made.count)) == entries


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_any_entry_and_item_is_admitted_or_refused_by_name(mint: MintClient, data: st.DataObject) -> None:
    """Whatever stands in a batch, the answer is a status of the table, never an internal error."""
    if int((await mint.checkpoint(LIGHTHOUSE)).split(b"\n")[1]) == 0:
        await append(mint, ROWS)
    bent = st.sampled_from([LEAF, FAR, format_entry(ROWS[0][0]), b""])
    some = st.one_of(st.binary(max_size=80), bent, st.builds(_bend, bent, st.integers(0, 200), st.binary(max_size=2)))
    entries, items = bundle.join([data.draw(some)]), bundle.join([data.draw(some)])
    with suppress(Malformed, Rejected):
        await mint.append(LIGHTHOUSE, secrets.token_bytes(16), entries, items)


def _bend(text: bytes, at: int, by: bytes) -> bytes:
    return text[:at] + by + text[at + 1 :]
