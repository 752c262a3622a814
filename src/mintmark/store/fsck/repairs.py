"""The statements that put one right row in the place of a damaged one; `fsck` knows what is right.

Each stands alone and can run twice. The times of writing stay as they are: they tell when a row came to be known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mintmark.store.connection.sql import load_sql
from mintmark.store.log import writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.store.log.model import Head, LogKind, TileKey
    from mintmark.tlog.trust import Bundle

SQL = load_sql(__package__, "repairs")


class Fix(NamedTuple):
    """One statement and its arguments."""

    query: str
    args: Mapping[str, Any]


def put_tile(table: str, log: int, key: TileKey, hashes: bytes) -> Fix:
    """A tile of a tree: of `tile` or of `v1_tile`."""
    return Fix(writer.SQL["upsert_tiles"].format(table=table), writer.tile_columns(log, {key: hashes}))


def delete_tile(table: str, log: int, key: TileKey) -> Fix:
    """No such tile of `tile` or of `v1_tile`."""
    query = f"delete from {table} where log = %(log)s and level = %(level)s and index = %(index)s"  # noqa: S608
    return Fix(query, {"log": log, "level": key[0], "index": key[1]})


def delete_row(table: str, log: int, index: int) -> Fix:
    """No row at this index of a table."""
    query = f"delete from {table} where log = %(log)s and index = %(index)s"  # noqa: S608
    return Fix(query, {"log": log, "index": index})


def delete_log_rows(table: str, log: int) -> Fix:
    """No row of a log that does not exist."""
    return Fix(f"delete from {table} where log = %(log)s", {"log": log})  # noqa: S608


def rename_log(log: int, origin: str, name: str) -> Fix:
    """The origin and the name of a log."""
    query = "update log set origin = %(origin)s, name = %(name)s where id = %(log)s"
    return Fix(query, {"log": log, "origin": origin, "name": name})


def set_log_kind(log: int, kind: LogKind, *, salted: bool) -> Fix:
    """The kind of a log, and whether its items are salted."""
    query = "update log set kind = %(kind)s, salted = %(salted)s where id = %(log)s"
    return Fix(query, {"log": log, "kind": kind, "salted": salted})


def put_bundle(log: int, row: Bundle) -> Fix:
    """A whole bundle."""
    args = {"log": log, "index": row.index, "width": row.width, "entries": row.entries, "items": row.items}
    return Fix(SQL["put_bundle"], args)


def set_bundle_width(log: int, index: int, width: int) -> Fix:
    """The width of a bundle."""
    query = "update bundle set width = %(width)s where log = %(log)s and index = %(index)s"
    return Fix(query, {"log": log, "index": index, "width": width})


def set_bundle_items(log: int, index: int, items: bytes) -> Fix:
    """The items of a bundle."""
    query = "update bundle set items = %(items)s where log = %(log)s and index = %(index)s"
    return Fix(query, {"log": log, "index": index, "items": items})


def put_head(log: int, head: Head) -> Fix:
    """The head."""
    return Fix(SQL["put_head"], {"log": log, "size": head.size, "root": head.root, "note": head.note})


def put_progress(log: int, size: int, note: bytes, pending: int) -> Fix:
    """The verified size, and the pending note with its size."""
    return Fix(SQL["put_progress"], {"log": log, "size": size, "note": note, "pending": pending})


def set_checkpoint(log: int, size: int, right_size: int, note: bytes) -> Fix:
    """An accepted head that stands at `size`: its right size and note."""
    return Fix(SQL["set_checkpoint"], {"log": log, "size": size, "right": right_size, "note": note})


def put_checkpoint(log: int, size: int, note: bytes) -> Fix:
    """An accepted head that is lost."""
    query = "insert into checkpoint (log, size, note) values (%(log)s, %(size)s, %(note)s) on conflict do nothing"
    return Fix(query, {"log": log, "size": size, "note": note})


def delete_checkpoint(log: int, size: int) -> Fix:
    """No accepted head of this size."""
    return Fix("delete from checkpoint where log = %(log)s and size = %(size)s", {"log": log, "size": size})


def set_evidence_notes(evidence: int, notes: Sequence[bytes]) -> Fix:
    """The notes of a contradiction."""
    return Fix("update evidence set notes = %(notes)s where id = %(id)s", {"id": evidence, "notes": notes})


def put_entry(values: Mapping[str, Any]) -> Fix:
    """A row of the projection, by column; `superseded_by` is looked up."""
    return Fix(SQL["put_entry"], values)


def set_superseded(log: int, index: int) -> Fix:
    """What supersedes an entry, as the later rows tell."""
    return Fix(SQL["set_superseded"], {"log": log, "index": index})


def set_entry_item(log: int, index: int, item: str | None) -> Fix:
    """The item of an entry's row."""
    query = "update entry set item = %(item)s::text::jsonb where log = %(log)s and index = %(index)s"
    return Fix(query, {"log": log, "index": index, "item": item})


def put_missing(log: int, index: int, by: int | None) -> Fix:
    """An item that is missing, and the entry that erased it."""
    return Fix(SQL["put_missing"], {"log": log, "index": index, "by": by})


def put_definition(log: int, key: str, index: int, item: bytes) -> Fix:
    """A definition of a mint's register."""
    return Fix(SQL["put_definition"], {"log": log, "key": key, "index": index, "item": item})


def delete_definition(log: int, key: str) -> Fix:
    """No definition of this key."""
    return Fix("delete from definition where log = %(log)s and key = %(key)s", {"log": log, "key": key})


def put_clock(log: int, type_: str, timestamp: str) -> Fix:
    """A clock of a mint's register."""
    return Fix(SQL["put_clock"], {"log": log, "type": type_, "timestamp": timestamp})


def delete_clock(log: int, type_: str) -> Fix:
    """No clock of this type."""
    return Fix("delete from clock where log = %(log)s and type = %(type)s", {"log": log, "type": type_})


def set_request(log: int, id_: bytes, first: int, count: int, digest: bytes) -> Fix:
    """The place and the digest of a mint's request."""
    query = """update request set first = %(first)s, count = %(count)s, digest = %(digest)s
        where log = %(log)s and id = %(id)s"""
    return Fix(query, {"log": log, "id": id_, "first": first, "count": count, "digest": digest})
