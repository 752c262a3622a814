"""The statements that put one right row in the place of a damaged one; `fsck` says what is right.

Each stands alone and can be run twice. Times of day stay as they are: they say when something came to be known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mintmark.store.log.writer import PUT_TILES
from mintmark.tlog.kernel import HASH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.store.log.model import Head, TileKey
    from mintmark.tlog.trust import Bundle

DROP_TILE = "delete from {table} where log = %s and level = %s and index = %s"
DROP_ROW = "delete from {table} where log = %s and index = %s"
DROP_LOG = "delete from {table} where log = %s"
PUT_BUNDLE = """
    insert into bundle (log, index, width, entries, items) values (%s, %s, %s, %s, %s)
    on conflict (log, index) do update
        set width = excluded.width, entries = excluded.entries, items = excluded.items"""
WIDTH = "update bundle set width = %s where log = %s and index = %s"
ITEMS = "update bundle set items = %s where log = %s and index = %s"
NAME = "update log set origin = %s, name = %s where id = %s"
FLAGS = "update log set kind = %s, salted = %s where id = %s"
HEAD = """
    insert into head (log, size, root, note) values (%s, %s, %s, %s)
    on conflict (log) do update set size = excluded.size, root = excluded.root, note = excluded.note"""
PROGRESS = """
    insert into progress (log, size, note, pending) values (%s, %s, %s, %s)
    on conflict (log) do update set size = excluded.size, note = excluded.note, pending = excluded.pending"""
CHECKPOINT = """
    update checkpoint set size = %(right)s, note = %(note)s where log = %(log)s and size = %(size)s
    and not exists (select from checkpoint where log = %(log)s and size = %(right)s and size <> %(size)s)"""
PUT_CHECKPOINT = "insert into checkpoint (log, size, note) values (%s, %s, %s) on conflict do nothing"
DROP_CHECKPOINT = "delete from checkpoint where log = %s and size = %s"
EVIDENCE = "update evidence set notes = %s where id = %s"
# What supersedes an entry is found in the rows, so rows are put right before this is.
NEXT = """
    (select min(n.index) from entry n
     where n.log = {e}.log and n.type = {e}.type and n.key = {e}.key and n.index > {e}.index)"""
PUT_ENTRY = f"""
    insert into entry as e (log, index, leaf_hash, type, key, timestamp, item_hash, item, number, live, superseded_by)
    select r.*, {NEXT.format(e="r")}
    from (select %(log)s::int as log, %(index)s::bigint as index, %(leaf_hash)s::bytea, %(type)s::text as type,
                 %(key)s::text collate "C" as key, %(timestamp)s::text, %(item_hash)s::bytea, %(item)s::text::jsonb,
                 %(number)s::bigint, %(live)s::bigint) as r
    on conflict (log, index) do update set
        leaf_hash = excluded.leaf_hash, type = excluded.type, key = excluded.key, timestamp = excluded.timestamp,
        item_hash = excluded.item_hash, item = excluded.item, number = excluded.number, live = excluded.live,
        superseded_by = excluded.superseded_by"""  # noqa: S608
SUPERSEDED = f"update entry e set superseded_by = {NEXT.format(e='e')} where log = %s and index = %s"  # noqa: S608
ITEM = "update entry set item = %s::text::jsonb where log = %s and index = %s"
MISSING = """
    insert into missing (log, index, by) values (%s, %s, %s) on conflict (log, index) do update set by = excluded.by"""
DEFINITION = """
    insert into definition (log, key, index, item) values (%s, %s, %s, %s)
    on conflict (log, key) do update set index = excluded.index, item = excluded.item"""
DROP_DEFINITION = "delete from definition where log = %s and key = %s"
CLOCK = """
    insert into clock (log, type, timestamp) values (%s, %s, %s)
    on conflict (log, type) do update set timestamp = excluded.timestamp"""
DROP_CLOCK = "delete from clock where log = %s and type = %s"
REQUEST = "update request set first = %s, count = %s, digest = %s where log = %s and id = %s"


class Fix(NamedTuple):
    """One statement, and what it is given."""

    query: str
    args: Sequence[object] | Mapping[str, object]


def tile(table: str, log: int, key: TileKey, hashes: bytes) -> Fix:
    """A tile of a tree: of `tile` or of `v1_tile`."""
    level, index = key
    return Fix(PUT_TILES.format(table=table), (log, [level], [index], [len(hashes) // HASH], [hashes]))


def no_tile(table: str, log: int, key: TileKey) -> Fix:
    """No such tile."""
    return Fix(DROP_TILE.format(table=table), (log, *key))


def no_row(table: str, log: int, index: int) -> Fix:
    """No such row of a table that has an index."""
    return Fix(DROP_ROW.format(table=table), (log, index))


def no_log(table: str, log: int) -> Fix:
    """No row of such a log."""
    return Fix(DROP_LOG.format(table=table), (log,))


def bundle(log: int, row: Bundle) -> Fix:
    """A bundle, whole."""
    return Fix(PUT_BUNDLE, (log, row.index, row.width, row.entries, row.items))


def head(log: int, right: Head) -> Fix:
    """The head."""
    return Fix(HEAD, (log, right.size, right.root, right.note))
