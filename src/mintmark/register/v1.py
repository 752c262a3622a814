"""The published v1 root hash: a second tree, over the user entries only, in the JSON of the v1 API.

    {"index-entry-number":"1","entry-number":"1","entry-timestamp":"…","key":"GB","item-hash":["sha-256:…"]}

It is what RSF files assert and what v1 clients compare. Nothing of ours rests on it: it does not cover the system
entries. Entry numbers count user entries from 1; a tombstone, which v1 does not know, has an empty list of hashes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.register import canonical
from mintmark.register.item import format_hash
from mintmark.tlog.kernel import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mintmark.register.entry import Entry
    from mintmark.tlog.edge import Edge

_LEAF = '{"index-entry-number":"%d","entry-number":"%d","entry-timestamp":"%s","key":%s,"item-hash":[%s]}'


def v1_leaf(number: int, entry: Entry) -> bytes:
    """The v1 leaf bytes of a user entry; `number` counts user entries from 1."""
    key = canonical.format(entry.key).decode()
    digest = f'"{format_hash(entry.item_hash)}"' if entry.item_hash is not None else ""
    return (_LEAF % (number, number, entry.timestamp, key, digest)).encode()


def v1_hashes(size: int, entries: Iterable[Entry]) -> bytes:
    """The joined leaf hashes of the user entries among `entries`, which follow `size` earlier user entries."""
    users = (entry for entry in entries if entry.type == "user")
    return b"".join([leaf_hash(v1_leaf(number, entry)) for number, entry in enumerate(users, size + 1)])


def v1_extend(edge: Edge, entries: Iterable[Entry]) -> Edge:
    """The v1 tree's edge after the user entries among `entries`; its size is the number of user entries."""
    return edge.extend(v1_hashes(edge.size, entries))[0]
