"""A log through the library: heads, entries, proofs, appends and audits, from servers that may lie."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from mintmark import (
    AsyncClient,
    BadSignature,
    Client,
    Malformed,
    Misconfigured,
    NotAvailableYet,
    ProofError,
    Rejected,
    Unavailable,
    Untrusted,
    verify,
)
from mintmark.client.append import ItemDraft
from mintmark.tlog import bundle
from mintmark.tlog.note import generate_skey
from tests.support.lights import DEFINED, define, light
from tests.support.mint_site import LIGHTHOUSE, SALTED, THINGS, TOKEN, WEAK, Site, create
from tests.support.world import Lie, World, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def opaque(count: int = 700) -> World:
    world = World()
    world.append([b"entry %d" % index for index in range(count)])
    return world


@asynccontextmanager
async def connected(world: World) -> AsyncIterator[AsyncClient]:
    async with serve(world) as address, AsyncClient(address, world.signer.vkey) as client:
        yield client


async def test_heads_and_entries() -> None:
    world = opaque()
    async with connected(world) as client:
        log = client.log("things")
        assert client.log(world.origin) is log
        head = await log.checkpoint()
        assert (log.origin, log.name, head.size, head.root) == (world.origin, "things", 700, world.edge.root())
        assert [entry async for entry in log.entries(255, 258)] == [(i, b"entry %d" % i) for i in range(255, 258)]
        assert [entry.index async for entry in log.entries(690)] == list(range(690, 700))
        with pytest.raises(NotAvailableYet):
            await anext(log.entries(700, 701))
        stream = io.BytesIO()
        assert await log.export("jsonl", stream) == []
        assert stream.getvalue().count(b"\n") == 700
        with pytest.raises(Misconfigured, match="not of other"):
            client.log("other")


@pytest.mark.parametrize("lie", [Lie.FLIP_ENTRY, Lie.TRUNCATE_BUNDLE, Lie.DROP_CHUNK, Lie.FLIP_ROOT, Lie.FOREIGN_KEY])
async def test_lies_are_untrusted(lie: Lie) -> None:
    world = opaque()
    world.lie = lie
    async with connected(world) as client:
        with pytest.raises(Untrusted):
            [entry async for entry in client.log("things").entries()]


async def test_a_client_is_opened_first() -> None:
    world = opaque()
    with pytest.raises(RuntimeError, match="async with"):
        AsyncClient("127.0.0.1:1", world.signer.vkey).log("things")
    with pytest.raises(Misconfigured, match="bearer token"):
        AsyncClient("127.0.0.1:1", world.signer.vkey, token="two\nlines")
    with pytest.raises(Unavailable, match="nothing runs in"):
        AsyncClient.from_directory("/nowhere")


async def test_proofs_are_verified_offline_by_keys_or_a_policy(tmp_path: Path) -> None:
    world = opaque()
    async with connected(world) as client:
        proof = await client.log("things").prove(index=301)
        assert (proof.index, proof.entry, proof.head.size) == (301, b"entry 301", 700)
        with pytest.raises(TypeError):
            await client.log("things").prove()
    key, policy = world.signer.vkey, f"log {world.signer.vkey}\nquorum none\n".encode()
    (tmp_path / "things.vkey").write_text(f"{key}\n")
    for keys in (key, [key], tmp_path, tmp_path / "things.vkey"):
        assert verify(proof, keys=keys).index == 301
    assert verify(proof.data, proof.entry, policy=policy).head == proof.head
    with pytest.raises(ProofError):
        verify(proof, b"entry 302", keys=key)
    with pytest.raises(BadSignature):
        verify(proof, keys=generate_skey(world.origin).vkey)
    with pytest.raises(Malformed):
        verify(b"what is this", b"", keys=key)
    with pytest.raises(TypeError):
        verify(proof)


async def test_a_log_is_followed(site: Site) -> None:
    async with site.running() as mint, AsyncClient(mint.address, site.signers[THINGS].vkey, token=TOKEN) as client:
        await create(mint)
        log = client.log("things")
        heads = log.follow()
        sizes = [(await anext(heads)).size]
        for entry in (b"one", b"two"):
            await log.append(entry)
            sizes.append((await anext(heads)).size)
        assert sizes == [0, 1, 2]
        await heads.aclose()  # type: ignore[attr-defined]


async def test_single_appends_go_together_and_each_has_its_own_index(site: Site) -> None:
    async with site.running() as mint, AsyncClient(mint.address, site.signers[THINGS].vkey, token=TOKEN) as client:
        await create(mint)
        log, sent = client.log("things"), [b"entry %d" % number for number in range(600)]
        counted = Counted(log.servers.rpc.append)
        log.servers.rpc.append = counted  # type: ignore[method-assign]
        appended = await asyncio.gather(*(log.append(entry) for entry in sent))
        assert sorted(entry.index for entry in appended) == list(range(600))
        held = {index: entry async for index, entry in log.entries()}
        assert all(held[answer.index] == entry for answer, entry in zip(appended, sent, strict=True))
        assert counted.calls <= 5
        batch = await log.append_all([b"first", b"second"])
        assert (batch.first, batch.count, batch.head.size) == (600, 2, 602)


class Counted:
    """A call, and how often it was made."""

    def __init__(self, call: object) -> None:
        self.call, self.calls = call, 0

    async def __call__(self, *arguments: object, **options: object) -> object:
        self.calls += 1
        return await self.call(*arguments, **options)  # type: ignore[operator]


@pytest.mark.parametrize("origin", [LIGHTHOUSE, SALTED])
async def test_an_entry_that_is_refused_keeps_no_other_from_its_place(site: Site, origin: str) -> None:
    async with site.running() as mint, AsyncClient(mint.address, site.signers[origin].vkey, token=TOKEN) as client:
        await create(mint)
        await define(mint, origin)
        log = client.log(origin)
        items = {f"L{number}": light(f"L{number}") for number in range(20)}
        items["L3"] = items["L11"] = b'{"lighthouse":"L3","nosuch":"x"}'
        items["L7"] = b'{"lighthouse":"other"}'
        drafts = [ItemDraft(key, item) for key, item in items.items()]
        answers = await asyncio.gather(*(log.append(draft) for draft in drafts), return_exceptions=True)
        refused = {draft.key for draft, answer in zip(drafts, answers, strict=True) if isinstance(answer, Rejected)}
        assert refused == {"L3", "L7", "L11"}
        indices = [answer.index for answer in answers if not isinstance(answer, BaseException)]
        assert sorted(indices) == list(range(DEFINED, DEFINED + 17))
        assert {str(answer) for answer in answers if isinstance(answer, Rejected)} == {
            "the item's lighthouse is not the key 'L11'",
            "the item's lighthouse is not the key 'L7'",
            "the register has no field 'nosuch'",
        }
        assert await site.check(origin) == DEFINED + 17


async def test_an_append_without_the_right(site: Site) -> None:
    async with site.running() as mint, AsyncClient(mint.address, site.signers[LIGHTHOUSE].vkey, token=WEAK) as client:
        await create(mint)
        await define(mint)
        register = client.register("lighthouse")
        index = (await register.append("L1", {"lighthouse": "L1", "name": "One"})).index
        both = await asyncio.gather(
            register.erase(index, "asked", "court"),
            register.append("L2", {"lighthouse": "L2", "name": "Two"}),
            return_exceptions=True,
        )
        assert [type(answer).__name__ for answer in both] == ["Forbidden", "AppendedEntry"]
    with pytest.raises(Malformed, match="the item"):
        ItemDraft("L3", b"nonsense")


class Lost:
    """An append whose first answer is lost."""

    def __init__(self, call: object) -> None:
        self.call, self.ids = call, list[bytes]()

    async def __call__(self, origin: str, request_id: bytes, entries: bytes, *rest: object) -> object:
        self.ids.append(request_id)
        answer = await self.call(origin, request_id, entries, *rest)  # type: ignore[operator]
        if len(self.ids) == 1:
            raise Unavailable("the connection broke")
        return answer


async def test_an_answer_that_was_lost_appends_nothing_twice(site: Site) -> None:
    async with site.running() as mint, AsyncClient(mint.address, site.signers[THINGS].vkey, token=TOKEN) as client:
        await create(mint)
        log = client.log("things")
        log.servers.rpc.append = lost = Lost(log.servers.rpc.append)  # type: ignore[method-assign]
        assert (await log.append(b"once")).index == 0
        assert len(lost.ids) == 2
        assert len(set(lost.ids)) == 1
        assert (await log.checkpoint()).size == 1


@pytest.mark.parametrize("others", [[b"other"], [b"one", b"more"]])
async def test_a_mint_that_appends_something_else(site: Site, others: list[bytes]) -> None:
    async with site.running() as mint, AsyncClient(mint.address, site.signers[THINGS].vkey, token=TOKEN) as client:
        await create(mint)
        log = client.log("things")
        honest = log.servers.rpc.append
        log.servers.rpc.append = lambda origin, id, entries: honest(origin, id, bundle.join(others))  # type: ignore[method-assign]
        with pytest.raises(ProofError, match=r"another entry 0 than|acknowledged 2 entries of 1"):
            await log.append(b"one")


async def test_an_audit_keeps_its_state(tmp_path: Path) -> None:
    world, state = opaque(), tmp_path / "state"
    steps: list[tuple[int, int]] = []
    async with connected(world) as client:
        first = await client.log("things").audit(state)
        assert (first.before, first.head.size, first.full) == (None, 700, False)
        second = await client.log("things").audit(state, full=True, step=lambda *step: steps.append(step))
        assert (second.before, second.full, steps[-1]) == (first.head, True, (700, 700))
        world.append([b"more"])
        world.lie = Lie.STALE
        state.write_bytes(world.notes[-1])
        with pytest.raises(NotAvailableYet, match="is behind: it shows 700 entries"):
            await client.log("things").audit(state)
        assert state.read_bytes() == world.notes[-1]


async def test_the_client_without_asyncio(site: Site, tmp_path: Path) -> None:
    def use(address: str) -> None:
        keys = [site.signers[origin].vkey for origin in (THINGS, LIGHTHOUSE)]
        with Client(address, keys, token=TOKEN) as client:
            log = client.log("things")
            assert (log.create("opaque").size, log.append(b"one").index, log.append_all([b"two"]).first) == (0, 0, 1)
            assert [entry.entry for entry in log.entries()] == [b"one", b"two"]
            for _ in log.entries():
                break  # and nothing is left open
            heads = log.follow()
            assert next(heads).size == 2
            heads.close()  # type: ignore[attr-defined]
            assert verify(log.prove(index=1), keys=keys).index == 1
            assert log.audit(tmp_path / "state", full=True).head == log.checkpoint()
            register = client.register("lighthouse")
            assert register.record("L1").item == {"lighthouse": "L1", "name": "One"}
            assert list(register.records()) == ["L1"]
            assert register.append("L1", {"lighthouse": "L1", "name": "Two"}).index == DEFINED + 1
            assert len(register.history("L1")) == 2
            assert register.at(DEFINED + 1).record("L1").index == DEFINED
            assert register.schema().title == "Lighthouses"
            register.end("L1")
            assert register.records() == {}
            (tmp_path / "more.csv").write_text("lighthouse,name\nL2,Two\n")
            assert register.apply(register.plan(tmp_path / "more.csv")).appended == 1
            assert register.erase(DEFINED + 1, "asked", "court").index == DEFINED + 4
        with pytest.raises(RuntimeError, match="with"):
            log.checkpoint()

    async with site.running() as mint:
        await create(mint)
        await define(mint)
        async with AsyncClient(mint.address, site.signers[LIGHTHOUSE].vkey, token=TOKEN) as client:
            await client.register("lighthouse").append("L1", {"lighthouse": "L1", "name": "One"})
        await asyncio.to_thread(use, mint.address)


async def test_many_threads_share_a_client(site: Site) -> None:
    def use(address: str) -> set[int]:
        from concurrent.futures import ThreadPoolExecutor

        with Client(address, site.signers[THINGS].vkey, token=TOKEN) as client, ThreadPoolExecutor(8) as threads:
            log = client.log("things")
            return {answer.index for answer in threads.map(log.append, [b"%d" % number for number in range(40)])}

    async with site.running() as mint:
        await create(mint)
        assert await asyncio.to_thread(use, mint.address) == set(range(40))
