"""fsck, repair and rebuild of a read database: exactly what was damaged is named, mended from what is verified only."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from mintmark.errors import Fork, MintmarkError, NotAvailableYet, ProofError
from mintmark.fsck.check import check_log
from mintmark.fsck.rebuild import rebuild
from mintmark.register.entry import Entry, format_entry
from mintmark.register.item import item_hash
from mintmark.store.fsck.transactions import reading
from tests.support.fsck import checked, damage, mended
from tests.support.places import TABLES, LiveWorld, add_records, follower, mirror, register, rows
from tests.support.world import Lie, World

if TYPE_CHECKING:
    from mintmark.formats import LogKind
    from mintmark.store.mirror.read_store import ReadStore

# A withheld item is told in a test of its own; the others are not told where a bundle is asked for.
LIES = [lie for lie in Lie if lie not in (Lie.NOTHING, Lie.ROLL_BACK, Lie.FORK, Lie.STALE, Lie.WITHHOLD_ITEM)]
REASON = b'{"authority":"a court","reason":"asked for"}'


def things(erased: int | None = 30) -> LiveWorld:
    """A register of 701 entries: updates of 50 keys, and one item erased."""
    world = register(count=600)
    add_records(world, 100)
    if erased is not None:
        erase(world, erased)
    return world


def erase(world: World, index: int) -> None:
    entry = Entry(f"erase:{index}", "2026-01-01T00:00:00Z", "system", item_hash(REASON))
    world.items[index] = b""
    world.append([format_entry(entry)], [REASON])


def opaque(size: int) -> World:
    world = World()
    world.append([b"entry %d" % index for index in range(size)])
    return world


# What is done, and the only row that is to be named for it.
DAMAGES = {
    "a bundle's entries": ("update bundle set entries = set_byte(entries, 9, 0) where index = 1", "bundle 1"),
    "a bundle's items": ("update bundle set items = set_byte(items, 9, 0) where index = 1", "bundle 1"),
    "a bundle that is lost": ("delete from bundle where index = 0", "bundle 0"),
    "the last bundle": ("delete from bundle where index = 2", "bundle 2"),
    "a tile": ("update tile set hashes = set_byte(hashes, 40, 0) where level = 0 and index = 1", "tile 0/1"),
    "the unfinished tile": (
        "update tile set hashes = set_byte(hashes, 40, 0) where level = 0 and index = 2",
        "tile 0/2",
    ),
    "the tile above": ("update tile set hashes = set_byte(hashes, 40, 0) where level = 1", "tile 1/0"),
    "a tile of nothing": ("insert into tile select log, 1, 7, width, hashes from tile where level = 1", "tile 1/7"),
    "a bundle of nothing": (
        "insert into bundle select log, 9, width, entries, items from bundle where index = 0",
        "bundle 9",
    ),
    "a row's key": ("update entry set key = 'other' where index = 321", "entry 321"),
    "a row's item": ('update entry set item = \'{"thing":"x"}\' where index = 321', "entry 321"),
    "a row that is lost": ("delete from entry where index = 321", "entry 321"),
    "a row of nothing": (
        "insert into entry select log, 9000, leaf_hash from entry where index = 3",
        "entry 9000",
    ),
    "what supersedes a row": ("update entry set superseded_by = 699 where index = 321", "entry 321"),
    "that nothing supersedes a row": ("update entry set superseded_by = null where index = 3", "entry 3"),
    "a v1 tile": ("update v1_tile set hashes = set_byte(hashes, 40, 0) where level = 0 and index = 1", "v1_tile 0/1"),
    "an erased item's absence": ("delete from missing", "missing 30"),
    "an absence of nothing": ("insert into missing select log, 5 from missing", "missing 5"),
    "an erased item in its row": ('update entry set item = \'{"thing":"30"}\' where index = 30', "entry 30"),
    "the head's root": ("update head set root = set_byte(root, 3, get_byte(root, 3) # 1)", "head"),
    "the head's size": ("update head set size = 9", "head"),
    "a head that is lost, which is none": ("update head set note = set_byte(note, 90, get_byte(note, 90) # 1)", "head"),
    "an old checkpoint's note": (
        "update checkpoint set note = set_byte(note, 120, get_byte(note, 120) # 4) where size = 700",
        "checkpoint 700",
    ),
    "the last checkpoint": ("delete from checkpoint where size = 701", "checkpoint 701"),
    "the last checkpoint's size": ("update checkpoint set size = 5 where size = 701", "checkpoint 5"),
    "an old checkpoint's size": ("update checkpoint set size = 5 where size = 700", "checkpoint 5"),
    "the head": ("delete from head", "head"),
    "an older head": (
        "update head set size = 700, root = decode(split_part(encode(c.note, 'escape'), E'\n', 3), 'base64'), "
        "note = c.note from checkpoint c where c.size = 700",
        "head",
    ),
    "how far it is verified": ("update progress set size = 512", "progress"),
    "the pending note": ("update progress set note = '\\x00'", "progress"),
    "progress that is lost": ("delete from progress", "progress"),
    "a log's name": ("update log set name = 'other'", "log 1"),
    "a log's kind": ("update log set kind = 'opaque'", "log 1"),
}


@pytest.mark.parametrize("what", DAMAGES)
async def test_one_damage_is_one_finding_and_is_mended(read_store: ReadStore, what: str) -> None:
    world, (statement, named) = things(erased=None), DAMAGES[what]
    await mirror(read_store, world)
    erase(world, 30)
    await mirror(read_store, world)
    before = await rows(read_store)
    await damage(read_store, statement)
    found = await checked(read_store, world)
    assert {f"{d.table} {d.key}".strip() for d in found.damages} == {named}, [str(d) for d in found.damages]
    assert (await mended(read_store, world)).after.damages == []
    after = await rows(read_store)
    for table in ("progress", "head", "checkpoint"):  # when that was, and what a source was called, is nowhere else
        if "delete" in statement and table in named:
            before[table], after[table] = [[row[:3] for row in t[table]] for t in (before, after)]
    assert after == before


@pytest.mark.parametrize("kind", ["opaque", "register"])
async def test_all_at_once_is_mended(read_store: ReadStore, kind: LogKind) -> None:
    world = things() if kind == "register" else opaque(70_000)
    await mirror(read_store, world)
    before = await rows(read_store)
    await damage(
        read_store,
        "delete from bundle where index <> 1",
        "update bundle set entries = set_byte(entries, 9, 0)",
        "update tile set hashes = set_byte(hashes, 4, 0) where level > 0",
        "delete from tile where level = 0",
        "delete from entry where index > 3",
        "update entry set leaf_hash = 'x', superseded_by = 8",
        "update head set root = set_byte(root, 3, get_byte(root, 3) # 1), note = 'x'",
        "update progress set size = 3, note = null",
    )
    result = await mended(read_store, world)
    assert result.before.damages
    assert result.after.damages == []
    after = await rows(read_store)
    for table in TABLES:
        if table == "progress":
            continue
        assert after[table] == before[table], table


@pytest.mark.parametrize("lie", LIES)
async def test_a_source_that_lies_mends_nothing(read_store: ReadStore, lie: Lie) -> None:
    world = things()
    await mirror(read_store, world)
    await damage(read_store, "delete from bundle", "delete from entry where index = 3")
    add_records(world, 10)
    before = await rows(read_store)
    world.lie = lie
    with pytest.raises(MintmarkError) as caught:
        await mended(read_store, world)
    assert type(caught.value).__name__ in (*lie.value.split(), "ProofError"), lie.value
    assert await rows(read_store) == before


async def test_a_forked_source_mends_nothing(read_store: ReadStore) -> None:
    world = things()
    await mirror(read_store, world)
    await damage(read_store, "delete from bundle where index = 2")
    before = await rows(read_store)
    for size in (0, 40):
        fork = LiveWorld(world.origin, world.kind, world.signer)
        add_records(fork, world.size + size, keys=7)
        with pytest.raises(Fork):
            await mended(read_store, fork)
    assert await rows(read_store) == before


async def test_a_source_that_is_behind_mends_nothing(read_store: ReadStore) -> None:
    world = things()
    await mirror(read_store, world)
    await damage(read_store, "delete from bundle where index = 2")
    world.lie = Lie.STALE
    with pytest.raises(NotAvailableYet, match="holds 700 entries"):
        await mended(read_store, world)


async def test_a_source_that_grew_mends_what_is_here(read_store: ReadStore) -> None:
    world = things()
    await mirror(read_store, world)
    before = await rows(read_store)
    add_records(world, 300)
    await damage(read_store, "delete from bundle", "delete from tile")
    assert (await mended(read_store, world)).after.damages == []
    assert await rows(read_store) == before


@pytest.mark.parametrize("where", ["bundle", "entry"])
async def test_an_erased_item_is_not_brought_back(read_store: ReadStore, where: str) -> None:
    """Not even by a source that still sends it."""
    world = things()
    await mirror(read_store, world)
    before = await rows(read_store)
    world.items[30] = b'{"number":"30","thing":"30"}'
    statements = {"bundle": "delete from bundle where index = 0", "entry": "delete from entry where index = 30"}
    await damage(read_store, statements[where])
    assert (await mended(read_store, world)).after.damages == []
    assert await rows(read_store) == before


async def test_erased_and_lost_are_told_apart(read_store: ReadStore) -> None:
    world = things()
    await mirror(read_store, world)
    item = world.items[31]
    cut = "substr(items, 1, {0}) || '\\x0000' || substr(items, {1})"
    at = sum(2 + len(one) for one in world.items[:31])
    statement = f"update bundle set items = {cut.format(at, at + 3 + len(item))} where index = 0"
    await damage(read_store, statement)
    found = [str(d) for d in (await checked(read_store, world)).damages]
    assert any("the one of entry 31 is lost, and no entry erases it" in said for said in found), found
    assert not any("entry 30" in said for said in found), found


async def test_an_item_that_no_source_has_is_reported_and_the_rest_is_mended(read_store: ReadStore) -> None:
    world = things()
    await mirror(read_store, world)
    await damage(read_store, "delete from bundle where index = 0", "update head set size = 3")
    world.items[31] = b""
    left = [str(d) for d in (await mended(read_store, world)).after.damages]
    assert left
    assert all("31" in said for said in left), left


async def test_an_item_that_only_we_have_stays(read_store: ReadStore) -> None:
    """The source withholds it; a damage of another item in its bundle does not cost it."""
    world = things()
    await mirror(read_store, world)
    before = await rows(read_store)
    at = sum(2 + len(one) for one in world.items[:40]) + 5
    await damage(read_store, f"update bundle set items = set_byte(items, {at}, 0) where index = 0")
    world.items[31] = b""
    assert (await mended(read_store, world)).after.damages == []
    assert await rows(read_store) == before


async def test_what_commits_meanwhile_is_no_damage(read_store: ReadStore) -> None:
    world = register(count=300)
    await mirror(read_store, world)
    checks = 0

    async def grow() -> None:
        for _ in range(40):
            add_records(world, 70)
            await mirror(read_store, world)

    growing = asyncio.create_task(grow())
    while not growing.done():
        found = await checked(read_store, world)
        assert found.damages == [], [str(d) for d in found.damages]
        checks += 1
    await growing
    assert checks > 3


async def test_since_sees_what_is_behind_it_only(read_store: ReadStore) -> None:
    world = things()
    await mirror(read_store, world)
    await damage(read_store, "update entry set live = live + 1 where index in (100, 600)")
    found = await checked(read_store, world, since=300)
    assert (found.start, found.upto) == (256, world.size)
    assert [d.key for d in found.damages] == ["600"]
    assert {d.key for d in (await checked(read_store, world)).damages} == {"100", "600"}


async def test_since_sees_what_later_entries_say_of_earlier_ones(read_store: ReadStore) -> None:
    world = things()
    await mirror(read_store, world)
    await damage(read_store, "update entry set superseded_by = null where index = 240", "delete from missing")
    found = {f"{d.table} {d.key}" for d in (await checked(read_store, world, since=256)).damages}
    assert found == {"entry 240", "missing 30"}


async def test_the_steps_stop_being_sound_at_the_first_damage(read_store: ReadStore) -> None:
    world = opaque(70_000)
    await mirror(read_store, world)
    await damage(read_store, "update entry set leaf_hash = 'x' where index = 20000")
    steps: list[tuple[int, bool]] = []
    async with reading(read_store.pool) as snapshot:
        (log,) = await snapshot.logs()
        await check_log(snapshot, log, world.verifiers, step=lambda upto, sound: steps.append((upto, sound)))
    assert steps[0] == (16_384, True)
    assert steps[-1] == (70_000, False)
    assert all(not sound for upto, sound in steps if upto > 20_000)
    found = await checked(read_store, world, since=16_384)
    assert [d.key for d in found.damages] == ["20000"]


async def test_many_wrong_rows_are_made_again(read_store: ReadStore) -> None:
    world = opaque(30_000)
    await mirror(read_store, world)
    before = await rows(read_store)
    await damage(read_store, "delete from entry where index > 5")
    found = await checked(read_store, world)
    assert found.too_many
    assert len(found.damages) < 11_000
    assert (await mended(read_store, world)).after.damages == []
    assert await rows(read_store) == before


@pytest.mark.parametrize("kind", ["opaque", "register"])
async def test_rebuild_makes_the_same_rows(read_store: ReadStore, kind: LogKind) -> None:
    world = things() if kind == "register" else opaque(30_000)
    await mirror(read_store, world)
    before = await rows(read_store)
    log = await read_store.log(world.origin)
    for spoil in ("delete from entry where index > 20", "update entry set superseded_by = 8, leaf_hash = 'x'"):
        await damage(read_store, spoil)
        assert await rebuild(read_store.pool, log, world.verifiers) == world.size
        assert await rows(read_store) == before


async def test_readers_read_the_whole_register_all_through_a_rebuild(read_store: ReadStore) -> None:
    world = things()
    await mirror(read_store, world)
    seen: list[tuple[Any, ...]] = []
    log = await read_store.log(world.origin)
    ended = asyncio.Event()

    async def read() -> None:
        query = b"select count(*), sum(hashtextextended(e::text, 0)), (select count(*) from v1_tile) from entry e"
        async with read_store.pool.connection() as conn:
            while not ended.is_set():
                seen.extend(await (await conn.execute(query)).fetchall())

    reader = asyncio.create_task(read())
    for _ in range(5):
        await rebuild(read_store.pool, log, world.verifiers)
    ended.set()
    await reader
    assert len(seen) > 5
    assert len(set(seen)) == 1


async def test_rebuild_writes_nothing_where_a_bundle_is_damaged(read_store: ReadStore) -> None:
    world = things()
    await mirror(read_store, world)
    await damage(read_store, "update bundle set entries = set_byte(entries, 9, 0) where index = 2")
    before = await rows(read_store)
    with pytest.raises(MintmarkError, match=r"bundle 2: .*fsck --repair-from"):
        await rebuild(read_store.pool, await read_store.log(world.origin), world.verifiers)
    assert await rows(read_store) == before


async def test_an_item_that_lies_raises_its_name(read_store: ReadStore) -> None:
    world = things()
    await mirror(read_store, world)
    await damage(read_store, "delete from bundle where index = 1")
    world.items[300] = b'{"thing":"other"}'
    before = await rows(read_store)
    with pytest.raises(ProofError, match="entry 300"):
        await mended(read_store, world)
    assert await rows(read_store) == before


async def test_what_waits_for_its_erasure_is_not_lost(read_store: ReadStore) -> None:
    """A mirror that is not yet at the entry that explains an absence, nor at the signed head."""
    world = things(erased=None)
    await mirror(read_store, world)
    add_records(world, 1000)
    world.items[720] = b""
    assert not await follower(read_store, world).step(world, world.notes[-1], "register", deadline=0)
    assert (await read_store.progress(world.origin)).size > 720
    assert (await checked(read_store, world)).damages == []


async def test_a_log_that_has_nothing_yet_is_sound(read_store: ReadStore) -> None:
    world = things()
    await read_store.follow(world.origin, "register")
    found = await checked(read_store, world)
    assert (found.size, found.damages) == (0, [])
