"""The oracle after a test: computes all rows of a log again from its bundles, and compares.

It is written from the specification and the schema, plainly and in memory, and uses none of the code that wrote the
rows. It works on either kind of database.

    bundles ── leaf hashes ── tiles ── root == head.root, signed          rows, superseded_by, counts, v1 tiles
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import psycopg

from mintmark.tlog.checkpoint import open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.tlog.note import Verifier

Rows = list[tuple[Any, ...]]
Tiles = dict[tuple[int, int], bytes]


async def check_log(conninfo: str, origin: str, verifiers: Sequence[Verifier] = ()) -> int:
    """Asserts that all rows of a log agree, and that a verifier's key signed its head; returns the head's size."""
    async with await psycopg.AsyncConnection.connect(conninfo) as conn:
        ((log, kind),) = await _fetch(conn, "select id, kind from log where origin = %s", origin)
        mirrored = await _fetch(conn, "select 1 from pg_tables where tablename = 'progress'")
        entries, items = await _bundles(conn, log, kind)
        leaves = [sha256(b"\0" + entry).digest() for entry in entries]
        heads = await _fetch(conn, "select size, root, note from head where log = %s", log)
        durable = len(entries)
        if mirrored:
            ((durable, note, pending),) = await _fetch(
                conn, "select size, note, pending from progress where log = %s", log
            )
            _check_note(note, origin, pending, None, verifiers)
        elif heads:
            durable = heads[0][0]
        assert len(entries) == durable, "bundles end where the commits ended"
        assert await _tiles(conn, "tile", log) == _tree(leaves)
        for size, root, note in heads:
            assert size <= durable
            assert root == _root(leaves[:size])
            _check_note(note, origin, size, root, verifiers)
        if mirrored:
            await _check_checkpoints(conn, log, origin, leaves, verifiers)
            await _check_projection(conn, log, kind, entries, items, leaves)
    return heads[0][0] if heads else 0


async def _fetch(conn: psycopg.AsyncConnection[Any], query: str, *args: object) -> Rows:
    return await (await conn.execute(query.encode(), args)).fetchall()


def _check_note(note: bytes | None, origin: str, size: int, root: bytes | None, verifiers: Sequence[Verifier]) -> None:
    if note is None:
        assert size == 0
        return
    if verifiers:
        head = open_checkpoint(note, origin, verifiers)
        assert head.size == size
        assert root in (None, head.root)


async def _check_checkpoints(
    conn: psycopg.AsyncConnection[Any], log: int, origin: str, leaves: list[bytes], verifiers: Sequence[Verifier]
) -> None:
    for size, note in await _fetch(conn, "select size, note from checkpoint where log = %s", log):
        _check_note(note, origin, size, _root(leaves[:size]), verifiers)


async def _bundles(conn: psycopg.AsyncConnection[Any], log: int, kind: str) -> tuple[list[bytes], list[bytes]]:
    """Entries and items. Every bundle but the last is full."""
    rows = await _fetch(conn, "select index, width, entries, items from bundle where log = %s order by index", log)
    assert [row[0] for row in rows] == list(range(len(rows)))
    assert all(width == 256 for _, width, _, _ in rows[:-1])
    entries, items = [], []
    for _, width, joined, joined_items in rows:
        cut = _cut(joined)
        assert len(cut) == width
        entries += cut
        assert kind == "register" or not joined_items
        items += _cut(joined_items) if kind == "register" else []
        assert kind == "opaque" or len(items) == len(entries)
    return entries, items


def _cut(joined: bytes) -> list[bytes]:
    found = []
    while joined:
        end = 2 + int.from_bytes(joined[:2], "big")
        assert end <= len(joined)
        found.append(joined[2:end])
        joined = joined[end:]
    return found


async def _tiles(conn: psycopg.AsyncConnection[Any], table: str, log: int) -> Tiles:
    rows = await _fetch(conn, f"select level, index, width, hashes from {table} where log = %s", log)
    assert all(len(hashes) == 32 * width for _, _, width, hashes in rows)
    return {(level, index): hashes for level, index, _, hashes in rows}


def _root(hashes: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, level by level: an odd last node moves up."""
    if not hashes:
        return sha256(b"").digest()
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=False)
        odd = hashes[-1:] if len(hashes) % 2 else []
        hashes = [sha256(b"\1" + left + right).digest() for left, right in pairs] + odd
    return hashes[0]


def _tree(hashes: list[bytes]) -> Tiles:
    """Every tile (C2SP tlog-tiles); only a full one has a hash one level up."""
    tiles, level = {}, 0
    while hashes:
        rows = [hashes[at : at + 256] for at in range(0, len(hashes), 256)]
        tiles |= {(level, index): b"".join(row) for index, row in enumerate(rows)}
        hashes, level = [_root(row) for row in rows if len(row) == 256], level + 1
    return tiles


async def _check_projection(
    conn: psycopg.AsyncConnection[Any],
    log: int,
    kind: str,
    entries: list[bytes],
    items: list[bytes],
    leaves: list[bytes],
) -> None:
    columns = "index, leaf_hash, type, key, timestamp, item_hash, item, superseded_by, number, live"
    rows = await _fetch(conn, f"select {columns} from entry where log = %s order by index", log)
    if kind == "opaque":
        assert rows == [(index, leaf, *(None,) * 8) for index, leaf in enumerate(leaves)]
        return
    missing = dict(await _fetch(conn, "select index, by from missing where log = %s", log))
    expected, v1 = _project(entries, items, leaves, missing)
    assert rows == expected
    assert await _tiles(conn, "v1_tile", log) == _tree(v1)


def _project(
    entries: list[bytes], items: list[bytes], leaves: list[bytes], missing: dict[int, int | None]
) -> tuple[Rows, list[bytes]]:
    """The rows of `entry`, and the leaf hashes of the v1 tree."""
    rows: list[list[Any]] = []
    v1: list[bytes] = []
    latest: dict[tuple[str, str], int] = {}
    standing: set[str] = set()
    for index, (entry, item) in enumerate(zip(entries, items, strict=True)):
        fields = json.loads(entry)
        digest = bytes.fromhex(fields["item-hash"][8:]) if "item-hash" in fields else None
        kind, key = fields["type"], fields["key"]
        if item:
            assert sha256(item).digest() == digest
        else:
            assert digest is None or index in missing, f"the item of entry {index} is lost"
        if (before := latest.get((kind, key))) is not None:
            rows[before][7] = index
        latest[kind, key] = index
        if kind == "user":
            v1.append(sha256(b"\0" + _v1(len(v1) + 1, fields)).digest())
            (standing.add if digest else standing.discard)(key)
        elif key.startswith("erase:") and int(key[6:]) < index:
            assert missing[int(key[6:])] is not None
            assert not items[int(key[6:])]
        parsed = json.loads(item) if item else None
        time, number = fields["timestamp"], len(v1)
        rows.append([index, leaves[index], kind, key, time, digest, parsed, None, number, len(standing)])
    return [tuple(row) for row in rows], v1


def _v1(number: int, fields: dict[str, str]) -> bytes:
    """An entry as JSON of the v1 API, in UTF-8."""
    form = {
        "index-entry-number": str(number), "entry-number": str(number), "entry-timestamp": fields["timestamp"],
        "key": fields["key"], "item-hash": [fields["item-hash"]] if "item-hash" in fields else [],
    }  # fmt: skip
    return json.dumps(form, separators=(",", ":"), ensure_ascii=False).encode()
