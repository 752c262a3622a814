"""An item that a source withholds is asked of the others: the log heals by itself, and the liar is distrusted."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from mintmark.errors import NotAvailableYet, ProofError
from mintmark.mirror.run_once import once
from mintmark.mirror.worker import Worker
from mintmark.store.mirror.read_store import ReadStore
from tests.fsck.test_read import erase
from tests.mirror.test_worker import Hung, same_log, until, working
from tests.support import places
from tests.support.commands import spawn
from tests.support.fsck import checked, mended
from tests.support.oracle import check_log
from tests.support.places import LiveWorld, add_records, mirror, mirror_config, register, rows, run_once, until_shown
from tests.support.world import Lie, flip, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from mintmark.formats import LogKind
    from mintmark.sources.source import ListedLog
    from mintmark.tlog.trust import Chunk
    from tests.support.world import World

LAST = 299  # the index of the item that is withheld
PROVEN = ("head", "tile", "bundle", "entry", "missing", "v1_tile")
worker = partial(places.worker, answer_seconds=0.5)


def two() -> tuple[LiveWorld, World]:
    """An honest source of a register, and one that withholds its last item."""
    honest = register(count=300)
    liar = same_log(LiveWorld, honest, "liar:1")
    liar.lie = Lie.WITHHOLD_ITEM
    return honest, liar


async def wedged(store: ReadStore) -> LiveWorld:
    """A log of which all but the item of the last entry came, from `liar:1`; its honest source."""
    honest, liar = two()
    await mirror(store, register("world.example/before", 1))  # ids of logs and indices are not the same
    with pytest.raises(NotAvailableYet, match=f"entry {LAST} was withheld by liar:1"):
        await mirror(store, honest, liar)
    return honest


async def proven(store: ReadStore, origin: str) -> list[list[object]]:
    """The rows of a log that do not tell when they were written, and by whom."""
    log = (await store.log(origin)).id
    found = await rows(store, *PROVEN)
    found["head"] = [row[:4] for row in found["head"]]
    return [[row[1:] for row in table if row[0] == log] for table in found.values()]


@pytest.mark.parametrize("form", ["daemon", "once"])
async def test_another_source_heals_the_log_and_the_liar_is_evidence(
    new_database: Callable[[str], str], read_store: ReadStore, form: str
) -> None:
    honest, liar = two()
    told: list[tuple[str, str, str]] = []
    follow = worker(read_store, [liar, honest], honest, on_event=lambda *what: told.append(what))
    if form == "once":
        (result,) = await once(follow, 10)
        assert (result.done, result.lied) == (True, False)
    else:
        async with working(follow):
            await until_shown(read_store, honest)
    (kept,) = await read_store.evidence.of_log(1)
    assert (kept.kind, kept.source, kept.notes) == ("ProofError", "liar:1", [honest.notes[-1]])
    assert kept.reason.startswith(f"the item of entry {LAST} was withheld by liar:1: {honest.address} has it")
    assert [event for event, *_ in told if event == "contradiction"] == ["contradiction"]
    (status,) = await read_store.status.of_logs()
    assert (status.head, status.stopped) == (300, None)
    assert await check_log(read_store.pool.conninfo, honest.origin, honest.verifiers) == 300
    assert (await rows(read_store, "missing"))["missing"] == []


async def test_a_database_that_was_wedged_before_heals_too(read_store: ReadStore) -> None:
    """Nobody remembers who withheld the item, so nobody is blamed."""
    honest = await wedged(read_store)
    async with read_store.pool.connection() as conn:
        await conn.execute("update missing set source = null")
    liar = same_log(LiveWorld, honest, "liar:1")
    liar.lie = Lie.WITHHOLD_ITEM
    assert (await run_once(read_store, [liar, honest], honest)).done
    assert await check_log(read_store.pool.conninfo, honest.origin, honest.verifiers) == 300
    assert await read_store.evidence.of_log(2) == []


async def test_a_healed_log_has_the_rows_of_one_that_was_never_lied_to(read_store: ReadStore) -> None:
    honest = await wedged(read_store)
    assert (await run_once(read_store, [honest], honest)).done
    healed = await proven(read_store, honest.origin)
    async with read_store.pool.connection() as conn:
        await conn.execute("delete from log where id = 2")
        await conn.execute("delete from entry where log = 2")
    again = ReadStore(read_store.pool)
    await mirror(again, honest)
    assert await proven(again, honest.origin) == healed


async def test_a_source_that_is_behind_heals_what_it_has(read_store: ReadStore) -> None:
    honest, liar = two()
    add_records(liar, 100)
    liar.lie = Lie.NOTHING

    class Holed(LiveWorld):
        async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
            self.items[LAST] = b""
            async for chunk in super().entries(origin, start, end, size):
                yield chunk

    holed = same_log(Holed, liar, "liar:1")
    reached = await run_once(read_store, [holed, honest], honest)
    assert (reached.done, reached.target) == (True, 400)
    assert await check_log(read_store.pool.conninfo, honest.origin, honest.verifiers) == 400
    (kept,) = await read_store.evidence.of_log(1)
    assert kept.source == "liar:1"


async def test_with_the_liar_alone_the_log_waits_and_goes_on_when_an_honest_source_comes(
    read_store: ReadStore,
) -> None:
    honest, liar = two()
    reached = await run_once(read_store, [liar], honest, 1)
    assert (reached.done, reached.lied, reached.size, reached.target) == (False, False, 300, 300)
    assert f"the item of entry {LAST} was withheld by liar:1" in (reached.error or "")
    async with working(worker(read_store, [liar], honest)) as running:
        await until(lambda: running._logs)
        assert (await read_store.status.of_logs())[0].stopped is None
        running.follow(running.trust, [liar, honest])
        await until_shown(read_store, honest)
    assert {kept.source for kept in await read_store.evidence.of_log(1)} == {"liar:1"}


async def test_a_source_that_has_the_item_after_all_is_not_blamed(read_store: ReadStore) -> None:
    honest = await wedged(read_store)
    sender = same_log(LiveWorld, honest, "liar:1")
    assert (await run_once(read_store, [honest, sender], honest)).done
    assert await read_store.evidence.of_log(2) == []


async def test_who_erased_the_item_in_the_meantime_is_not_blamed(read_store: ReadStore) -> None:
    """Its head is larger than what is verified here: the erasure is behind."""
    honest = await wedged(read_store)

    class Ahead(LiveWorld):
        async def logs(self) -> Sequence[ListedLog]:
            return []  # its stream is late

    sender = same_log(Ahead, honest, "liar:1")
    erase(sender, LAST)
    assert (await run_once(read_store, [honest, sender], honest)).done
    assert await read_store.evidence.of_log(2) == []
    add_records(honest, 0)
    assert (await run_once(read_store, [same_log(LiveWorld, sender, "liar:1")], honest)).done
    assert await check_log(read_store.pool.conninfo, honest.origin, honest.verifiers) == 301


class Forging(LiveWorld):
    """A source that has another item in the place of the last."""

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        self.items[LAST] = flip(self.items[LAST], 5)
        async for chunk in super().entries(origin, start, end, size):
            yield chunk


async def test_an_item_that_its_entry_does_not_name_heals_nothing(read_store: ReadStore) -> None:
    honest = await wedged(read_store)
    forging = same_log(Forging, honest, "forging:1")
    before = await proven(read_store, honest.origin)
    reached = await run_once(read_store, [forging, same_log(LiveWorld, honest, "behind:1", 200)], honest, 1)
    assert not reached.done
    assert await proven(read_store, honest.origin) == before
    (kept,) = await read_store.evidence.of_log(2)
    assert (kept.kind, kept.source) == ("ProofError", "forging:1")
    assert (await run_once(read_store, [forging, honest], honest)).done
    assert await check_log(read_store.pool.conninfo, honest.origin, honest.verifiers) == 300


async def test_an_erased_item_is_never_filled_in(read_store: ReadStore) -> None:
    honest = await wedged(read_store)
    item = honest.items[LAST]
    erase(honest, LAST)
    await mirror(read_store, honest)
    before = await proven(read_store, honest.origin)
    assert await read_store.withheld.fill(2, {LAST: item}) == []
    assert await proven(read_store, honest.origin) == before


async def test_a_fill_is_all_or_nothing(read_store: ReadStore) -> None:
    honest = await wedged(read_store)
    before = await proven(read_store, honest.origin)
    with pytest.raises(ProofError, match=f"entry {LAST}"):
        await read_store.withheld.fill(2, {LAST: flip(honest.items[LAST], 5)})
    assert await proven(read_store, honest.origin) == before
    assert await read_store.withheld.fill(2, {LAST: honest.items[LAST], 5: honest.items[6]}) == [LAST]


async def test_a_fill_waits_for_a_batch_that_is_being_written(read_store: ReadStore) -> None:
    """Both write the last bundle: the batch as it read it, and so the item would be lost again."""
    honest = await wedged(read_store)
    async with read_store.pool.connection() as conn, conn.transaction():
        await conn.execute("update progress set at = now() where log = 2")  # as a batch begins
        filling = asyncio.create_task(read_store.withheld.fill(2, {LAST: honest.items[LAST]}))
        await asyncio.wait([filling], timeout=0.5)
        assert not filling.done()
    assert await filling == [LAST]


async def test_many_items_are_filled_in(read_store: ReadStore) -> None:
    honest = register(count=1500)
    holed = same_log(LiveWorld, honest, "liar:1")
    for index in (*range(3, 700, 3), *range(1290, 1500)):
        holed.items[index] = b""
    assert (await run_once(read_store, [holed, honest], honest)).done
    assert await check_log(read_store.pool.conninfo, honest.origin, honest.verifiers) == 1500
    assert len(await read_store.evidence.of_log(1)) == 1


async def test_fsck_names_what_was_withheld_and_another_source_mends_it(read_store: ReadStore) -> None:
    honest, liar = two()
    with pytest.raises(NotAvailableYet):
        await mirror(read_store, honest, liar)
    (damage,) = (await checked(read_store, honest)).damages
    assert (damage.table, damage.key) == ("missing", str(LAST))
    assert "withheld by liar:1, and none of 300 entries erases it" in damage.what
    assert (await mended(read_store, liar)).after.damages == [damage]
    assert (await mended(read_store, honest)).after.damages == []
    assert (await run_once(read_store, [liar], honest)).done
    assert await check_log(read_store.pool.conninfo, honest.origin, honest.verifiers) == 300


async def test_no_command_calls_a_wedged_log_well(read_store: ReadStore, read_db: str, tmp_path: Path) -> None:
    honest, liar = two()
    with pytest.raises(NotAvailableYet):
        await mirror(read_store, honest, liar)
    config = mirror_config(tmp_path, read_db, ["127.0.0.1:9"], honest)
    ran = {
        command: await spawn(command, *arguments, "--config", config)
        for command, arguments in {"rebuild": ["thing"], "resume": ["thing"], "fsck": ["--database", "read"]}.items()
    }
    assert {command: result.code for command, result in ran.items()} == {"rebuild": 4, "resume": 0, "fsck": 3}
    assert all(f"{LAST}" in result.out + result.err for result in ran.values())
    assert all("withheld" in result.out + result.err for result in ran.values())
    async with serve(honest) as address:
        mirror_config(tmp_path, read_db, [address], honest)
        assert (await spawn("mirror", "--once", "--config", config)).code == 0
    assert (await spawn("rebuild", "thing", "--config", config)).code == 0


@pytest.mark.parametrize("kind", ["opaque", "register"])
@pytest.mark.parametrize("form", ["daemon", "once"])
async def test_a_wrong_kind_and_a_hang_do_not_block_the_first_contact(
    read_store: ReadStore, kind: LogKind, form: str
) -> None:
    honest = register(count=300 if kind == "register" else 0)
    if kind == "opaque":
        honest.kind = kind
        honest.append([b"entry %d" % number for number in range(300)])
    liar = same_log(Hung, honest, "liar:1")
    liar.kind = "opaque" if kind == "register" else "register"
    if form == "once":
        (result,) = await once(worker(read_store, [liar, honest], honest), 10)
        assert result.done
    else:
        async with working(worker(read_store, [liar, honest], honest)):
            await until_shown(read_store, honest)
    (status,) = await read_store.status.of_logs()
    assert (status.kind, status.source, status.stopped) == (kind, honest.address, None)


class Silent(Hung):
    """A source that counts how often its entries are asked for, and gives none."""

    asked = 0

    async def entries(self, origin: str, start: int, end: int, size: int) -> AsyncIterator[Chunk]:
        self.asked += 1
        async for chunk in super().entries(origin, start, end, size):
            yield chunk


async def test_where_the_configuration_says_the_kind_no_source_is_believed(read_store: ReadStore) -> None:
    honest = register(count=300)
    liar = same_log(Silent, honest, "liar:1")
    liar.kind = "opaque"
    trust = {honest.origin: honest.verifiers}
    (result,) = await once(Worker("one", read_store, [liar, honest], trust, kinds={honest.origin: "register"}), 10)
    assert (result.done, liar.asked) == (True, 0)
    (status,) = await read_store.status.of_logs()
    assert (status.kind, status.source) == ("register", honest.address)


async def test_a_mirror_reads_the_kind_from_its_configuration(
    read_store: ReadStore, read_db: str, tmp_path: Path
) -> None:
    honest = register(count=300)
    liar = same_log(LiveWorld, honest, "liar:1")
    liar.kind = "opaque"
    async with serve(liar) as address:
        config = mirror_config(tmp_path, read_db, [address], honest)
        config.write_text(f'{config.read_text()}kinds = {{ "thing" = "register" }}\n')
        refused = await spawn("mirror", "--once", "--deadline", "2", "--config", config)
        assert (refused.code, "as register" in refused.out) == (4, True)
        liar.kind = "register"
        assert (await spawn("mirror", "--once", "--config", config)).code == 0
