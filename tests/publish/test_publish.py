"""Publishing a log to an object store: what is written, in which order, what is refused, and what is taken away."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from mintmark.errors import BadSignature, Conflict, Fork, MintmarkError, NotAvailableYet, ProofError, Unavailable
from mintmark.publish.object_store import CHECKPOINT_PATH, FILLED_PATH, PublishedLog, open_store
from mintmark.publish.publisher import PARTIAL_SECONDS
from mintmark.register.entry import Entry, format_entry
from mintmark.register.item import item_hash
from mintmark.store.connection.pool import open_pool
from mintmark.store.log.log_store import LogStore
from mintmark.store.mirror.read_store import ReadStore
from mintmark.tlog import bundle
from mintmark.tlog.checkpoint import sign_checkpoint
from mintmark.tlog.note import generate_skey
from mintmark.tlog.tile import Tile, entries_path, items_path, path
from tests.support.commands import spawn
from tests.support.minting import Keys
from tests.support.places import add_records, mirror, mirror_config, register
from tests.support.static import files, publish, published_log
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BIG = 2 * 65_536 + 700


def opaque(count: int, origin: str = "world.example/thing") -> World:
    """An opaque log's world."""
    world = World(origin, "opaque", generate_skey(origin))
    world.append([b"entry %d" % number for number in range(count)])
    return world


def erase(world: World, index: int) -> None:
    """Appends an erasure, and drops the item as a mint does."""
    item = b'{"reason":"court order"}'
    world.items[index] = b""
    world.append([format_entry(Entry(f"erase:{index}", "2026-01-02T00:00:00Z", "system", item_hash(item)))], [item])


def expected(world: World) -> dict[str, bytes]:
    """Every file that the present head of a log implies, by tlog-tiles."""
    found = {CHECKPOINT_PATH: world.notes[-1]}
    for at in range(0, world.size, 256):
        width = min(256, world.size - at)
        found[entries_path(at // 256, width)] = bundle.join(world.entries_[at : at + width])
        if world.items:
            found[items_path(at // 256, width)] = bundle.join(world.items[at : at + width])
    return found | {path(Tile(*key, len(hashes) // 32)): hashes for key, hashes in world.tiles.items()}


class Failing(PublishedLog):
    """A store that fails once so many files were written."""

    left = 0

    async def _put(self, *args: object) -> None:
        if self.files >= self.left:
            raise Unavailable("the network is gone")
        await super()._put(*args)


@pytest.mark.parametrize("make", [opaque, lambda n: register(count=n)], ids=["opaque", "register"])
@pytest.mark.parametrize("count", [1, 255, 256, 257, 700, 65_536])
async def test_every_file_that_the_head_implies_and_no_other(
    read_store: ReadStore, tmp_path: Path, make: Callable[[int], World], count: int
) -> None:
    world = make(count)
    await mirror(read_store, world)
    done = await publish(read_store, world, published_log(tmp_path, world))
    found = files(tmp_path / "thing" / "log")
    assert found == expected(world)
    assert (done.head.size, done.before, done.files) == (count, 0, len(found))
    assert done.bytes == sum(map(len, found.values()))


async def test_only_what_is_new_is_written_and_partial_tiles_go_a_day_after_they_are_full(
    read_store: ReadStore, tmp_path: Path
) -> None:
    world = register(count=300)
    place = tmp_path / "thing" / "log"
    await mirror(read_store, world)
    await publish(read_store, world, published_log(tmp_path, world))
    assert (await publish(read_store, world, published_log(tmp_path, world))).files == 0
    old = expected(world)
    add_records(world, 100)
    await mirror(read_store, world)
    done = await publish(read_store, world, published_log(tmp_path, world))
    assert (done.before, done.head.size) == (300, 400)
    assert done.files == 5  # checkpoint, entries, items, two partial tiles
    assert files(place) == old | expected(world)  # a partial tile stays while the full one is not there
    partial = files(place)
    add_records(world, 300)
    await mirror(read_store, world)
    filled = ["tile/0/001", "tile/entries/001", "tile/items/001"]
    await publish(read_store, world, published_log(tmp_path, world), lambda: 1000)
    noted = {FILLED_PATH: json.dumps(dict.fromkeys(filled, 1000)).encode()}
    assert files(place) == partial | expected(world) | noted  # not every reader takes the full one instead
    add_records(world, 10)
    await mirror(read_store, world)
    for now in (2000, 1000 + PARTIAL_SECONDS - 1):
        await publish(read_store, world, published_log(tmp_path, world), lambda now=now: now)
        assert partial.items() - {("checkpoint", partial["checkpoint"])} <= files(place).items()
    done = await publish(read_store, world, published_log(tmp_path, world), lambda: 1000 + PARTIAL_SECONDS)
    assert done.files == 0
    gone = {path for path in partial if path.startswith(tuple(f"{full}.p/" for full in filled))}
    assert gone == {f"{full}.p/{width}" for full in filled for width in (44, 144)}
    assert files(place).keys() & gone == set()
    assert files(place).keys() >= partial.keys() - gone
    assert files(place)[FILLED_PATH] == b"{}"
    assert expected(world).items() <= files(place).items()


FOREIGN = b'{"tile/../x":0,"checkpoint":0,"":0,"tile/0/000":"x"}'


@pytest.mark.parametrize("found", [b"", b"[]", b"null", b"\xff", FOREIGN])
async def test_what_others_wrote_of_partial_files_deletes_nothing_of_theirs(
    read_store: ReadStore, tmp_path: Path, found: bytes
) -> None:
    world = register(count=300)
    place = tmp_path / "thing" / "log"
    await mirror(read_store, world)
    await publish(read_store, world, published_log(tmp_path, world))
    for name in (".p/1", "checkpoint.p/1", "tile/x.p/1"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"theirs")
    (place / FILLED_PATH).write_bytes(found)
    before = files(place)
    await publish(read_store, world, published_log(tmp_path, world), lambda: 10**10)
    assert {name: data for name, data in files(place).items() if name != FILLED_PATH} == {
        name: data for name, data in before.items() if name != FILLED_PATH
    }


async def test_a_run_that_was_cut_off_anywhere_leaves_a_place_that_the_next_completes(
    read_store: ReadStore, tmp_path: Path
) -> None:
    world = register(count=900)
    await mirror(read_store, world)
    total = len(expected(world))
    for left in range(total):
        to = tmp_path / str(left)
        cut = Failing(open_store(to.as_uri()), to.as_uri(), "thing")
        cut.left = left
        with pytest.raises(Unavailable, match="network is gone"):
            await publish(read_store, world, cut)
        assert not (to / "thing" / "log" / CHECKPOINT_PATH).exists()
        await publish(read_store, world, published_log(to, world))
        assert files(to / "thing" / "log") == expected(world)


async def test_a_long_run_goes_on_behind_the_last_tile_that_says_what_is_there(
    read_store: ReadStore, tmp_path: Path
) -> None:
    world = opaque(BIG)
    await mirror(read_store, world)
    cut = Failing(open_store(tmp_path.as_uri()), tmp_path.as_uri(), "thing")
    cut.left = 2 * 256 + 1 + 40
    with pytest.raises(Unavailable):
        await publish(read_store, world, cut)
    assert (tmp_path / "thing/log/tile/1/000").exists()
    done = await publish(read_store, world, published_log(tmp_path, world))
    assert files(tmp_path / "thing" / "log") == expected(world)
    assert done.files == len(expected(world)) - (2 * 256 + 1)


async def test_an_erased_item_is_in_no_published_file(read_store: ReadStore, tmp_path: Path) -> None:
    world = register(count=600)
    place = tmp_path / "thing" / "log"
    await mirror(read_store, world)
    await publish(read_store, world, published_log(tmp_path, world))
    gone = [world.items[3], world.items[599]]
    assert sum(item in data for item in gone for data in files(place).values()) == 2
    erase(world, 3)
    erase(world, 599)
    await mirror(read_store, world)
    done = await publish(read_store, world, published_log(tmp_path, world))
    assert done.erased == 2
    assert not any(item in data for item in gone for data in files(place).values())
    assert expected(world).items() <= files(place).items()


async def test_a_smaller_log_replaces_nothing(new_database: Callable[[str], str], tmp_path: Path) -> None:
    world = register(count=700)
    async with open_pool(new_database("read"), 4) as ahead, open_pool(new_database("read"), 4) as behind:
        await mirror(ReadStore(behind), world)
        add_records(world, 300)
        await mirror(ReadStore(ahead), world)
        await publish(ReadStore(ahead), world, published_log(tmp_path, world))
        before = files(tmp_path)
        with pytest.raises(
            NotAvailableYet, match=r"1000 entries of world.example/thing are published, and this database has 700"
        ):
            await publish(ReadStore(behind), world, published_log(tmp_path, world))
        assert files(tmp_path) == before
        assert await ReadStore(behind).evidence.of_log(1) == []


@pytest.mark.parametrize("published", [600, 700, 900], ids=["smaller", "same size", "larger"])
async def test_a_fork_replaces_nothing_and_both_notes_are_kept(
    new_database: Callable[[str], str], tmp_path: Path, published: int
) -> None:
    world = register(count=500)
    other = register(count=500)
    other.signer = world.signer
    other.notes.clear()
    add_records(world, 200)
    add_records(other, published - 500, keys=7)
    async with open_pool(new_database("read"), 4) as one, open_pool(new_database("read"), 4) as two:
        await mirror(ReadStore(one), world)
        await mirror(ReadStore(two), other)
        await publish(ReadStore(two), other, published_log(tmp_path, other))
        before = files(tmp_path)
        with pytest.raises(Fork) as caught:
            await publish(ReadStore(one), world, published_log(tmp_path, world))
        assert set(caught.value.notes) == {world.notes[-1], other.notes[-1]}
        assert files(tmp_path) == before
        (kept,) = await ReadStore(one).evidence.of_log(1)
        assert (kept.kind, set(kept.notes)) == ("Fork", set(caught.value.notes))
        assert kept.source == f"{tmp_path.as_uri()}/thing/log/"
        stopped = (await ReadStore(one).progress(world.origin)).stopped
        assert (stopped is not None) == (published == 700)  # two trees of one size convict the log itself


async def test_what_the_log_did_not_sign_is_not_replaced(read_store: ReadStore, tmp_path: Path) -> None:
    world = register(count=300)
    await mirror(read_store, world)
    place = tmp_path / "thing" / "log" / CHECKPOINT_PATH
    place.parent.mkdir(parents=True)
    for note, error in {
        sign_checkpoint(world.origin, 300, world.edge.root(), [generate_skey(world.origin)]).note: BadSignature,
        sign_checkpoint("world.example/other", 300, world.edge.root(), [world.signer]).note: ProofError,
        b"<html>not here</html>": ProofError,
    }.items():
        place.write_bytes(note)
        with pytest.raises(error):
            await publish(read_store, world, published_log(tmp_path, world))
        assert files(tmp_path) == {"thing/log/checkpoint": note}


@pytest.mark.parametrize(
    "damage",
    [
        "update bundle set entries = set_byte(entries, 9, get_byte(entries, 9) # 1) where index = 1",
        "update bundle set items = set_byte(items, 9, get_byte(items, 9) # 1) where index = 1",
        "update tile set hashes = set_byte(hashes, 9, get_byte(hashes, 9) # 1) where level = 0 and index = 2",
        "update tile set hashes = set_byte(hashes, 9, get_byte(hashes, 9) # 1) where level = 1",
    ],
    ids=["entries", "items", "edge", "level 1"],
)
async def test_damaged_rows_get_no_checkpoint(read_store: ReadStore, tmp_path: Path, damage: str) -> None:
    world = register(count=700)
    await mirror(read_store, world)
    async with read_store.pool.connection() as conn:
        await conn.execute(damage.encode())
    with pytest.raises(ProofError, match="run mintmark fsck"):
        await publish(read_store, world, published_log(tmp_path, world))
    assert not (tmp_path / "thing" / "log" / CHECKPOINT_PATH).exists()
    assert await read_store.evidence.of_log(1) == []


async def test_damage_of_ours_is_not_held_against_what_is_published(read_store: ReadStore, tmp_path: Path) -> None:
    world = register(count=300)
    await mirror(read_store, world)
    await publish(read_store, world, published_log(tmp_path, world))
    add_records(world, 500)
    await mirror(read_store, world)
    async with read_store.pool.connection() as conn:
        flipped = b"update tile set hashes = set_byte(hashes, 9, get_byte(hashes, 9) # 1) where level = 0 and index < 2"
        await conn.execute(flipped)
    with pytest.raises(ProofError, match="run mintmark fsck"):
        await publish(read_store, world, published_log(tmp_path, world))
    assert files(tmp_path / "thing" / "log")["checkpoint"] == world.notes[0]
    assert await read_store.evidence.of_log(1) == []
    stranger = register(count=1)
    stranger.signer = generate_skey(world.origin)
    with pytest.raises(MintmarkError, match="or its key was changed"):
        await publish(read_store, stranger, published_log(tmp_path, world))
    assert await read_store.evidence.of_log(1) == []


@pytest.mark.parametrize("url", ["memory:///", "file"])
async def test_of_two_publishers_the_slower_one_is_told(url: str, tmp_path: Path) -> None:
    url = tmp_path.as_uri() if url == "file" else url
    one = PublishedLog(store := open_store(url), url, "thing")
    two = PublishedLog(store, url, "thing")
    await one.put_checkpoint(b"first", None)
    with pytest.raises(Conflict):
        await two.put_checkpoint(b"also first", None)
    seen = await two.get(CHECKPOINT_PATH)
    await one.put_checkpoint(b"second", await one.get(CHECKPOINT_PATH))
    with pytest.raises(Conflict):
        await two.put_checkpoint(b"third", seen)
    assert (await two.get(CHECKPOINT_PATH)).data == b"second"


async def test_what_may_be_cached_says_so(read_store: ReadStore) -> None:
    import obstore

    world = register(count=300)
    await mirror(read_store, world)
    store = open_store("memory:///")
    await publish(read_store, world, PublishedLog(store, "memory:///", "thing"))
    cached, data = {}, {}
    for name in ("checkpoint", "tile/0/000", "tile/entries/001.p/44", "tile/items/000"):
        found = await obstore.get_async(store, f"thing/log/{name}")
        cached[name], data[name] = found.attributes, bytes(await found.bytes_async())
    assert cached["checkpoint"] == {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "public, max-age=2"}
    immutable = {"Content-Type": "application/octet-stream", "Cache-Control": "public, max-age=31536000, immutable"}
    assert cached["tile/0/000"] == immutable
    assert cached["tile/entries/001.p/44"] == {**immutable, "Content-Encoding": "gzip"}
    assert cached["tile/items/000"] == {
        **immutable,
        "Content-Encoding": "gzip",
        "Cache-Control": "public, max-age=60",
    }
    assert data["tile/0/000"] == world.tiles[0, 0]
    assert gzip.decompress(data["tile/entries/001.p/44"]) == bundle.join(world.entries_[256:])
    assert gzip.decompress(data["tile/items/000"]) == bundle.join(world.items[:256])


async def test_the_command(read_db: str, read_store: ReadStore, tmp_path: Path) -> None:
    world, other = register(count=300), register("world.example/other", count=30)
    for each in (world, other):
        await mirror(read_store, each)
    config, to = mirror_config(tmp_path, read_db, ["127.0.0.1:1"], world, other), (tmp_path / "web").as_uri()
    ended = await spawn("publish", "thing", "other", "--to", to, "--config", config, "--json")
    assert (ended.code, ended.err) == (0, "")
    said = [json.loads(line) for line in ended.out.splitlines()]
    assert [(line["origin"], line["size"], line["url"]) for line in said] == [
        (world.origin, 300, f"{to}/thing/log/"),
        (other.origin, 30, f"{to}/other/log/"),
    ]
    ended = await spawn("publish", "thing", "--to", to, "--config", config)
    assert (ended.code, ended.out) == (0, f"world.example/thing: 300 entries, nothing new; {to}/thing/log/\n")
    ended = await spawn("publish", "nothing", "other", "--to", to, "--config", config)
    assert (ended.code, "no log 'nothing'" in ended.err, "world.example/other: 30" in ended.out) == (1, True, True)
    (tmp_path / "web/thing/log/checkpoint").write_bytes(other.notes[-1])
    ended = await spawn("publish", "thing", "--to", to, "--config", config, "--json")
    assert (ended.code, json.loads(ended.out)["error"]["type"]) == (3, "BadSignature")
    ended = await spawn("publish", "thing", "--to", "nowhere", "--config", config)
    assert ended.code == 1
    assert "give file:///DIR" in ended.err


async def test_a_mint_publishes_too(mint_db: str, tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys")
    async with keys.minting(mint_db) as client:
        await client.create("mint.example/things", "opaque")
        await client.append("mint.example/things", bytes(16), bundle.join(b"entry %d" % n for n in range(300)))
    config = tmp_path / "mintmark.toml"
    values = {"database": mint_db, "keys": str(keys.directory), "tokens": str(keys.tokens)}
    config.write_text("[mint]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    ended = await spawn("publish", "things", "--mint", "--to", (tmp_path / "web").as_uri(), "--config", config)
    assert ended.code == 0, ended.err
    async with open_pool(mint_db, 1) as pool:
        note = (await LogStore(pool).head((await LogStore(pool).log("mint.example/things")).id)).note
    found = files(tmp_path / "web/things/log")
    assert found["checkpoint"] == note
    assert found["tile/entries/000"] == bundle.join(b"entry %d" % n for n in range(256))


async def test_an_unwritable_place_is_named(read_store: ReadStore, tmp_path: Path) -> None:
    world = register(count=3)
    await mirror(read_store, world)
    (tmp_path / "thing").write_text("a file where a directory belongs")
    with pytest.raises(MintmarkError, match=r"the object store failed at file://.*/thing/log/"):
        await publish(read_store, world, published_log(tmp_path, world))
