"""Incident 1: a leaf hash flipped in memory before integration (CT log Yeti, 2022), and the log was lost.

A bit that flips anywhere between the joining of entries and the commit: the second path to the root disagrees, nothing
is signed or committed, and the service goes on.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mintmark.errors import MintmarkError, Unavailable, WriteMismatch
from mintmark.mint import commit, validation
from mintmark.tlog.edge import Edge
from mintmark.tlog.kernel import leaf_hashes
from mintmark.tlog.second_path import check_write
from mintmark.tlog.trust import Bundle
from tests.support.minting import ORIGIN, Keys, append, check_provable
from tests.support.world import flip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mintmark.mint.validation import AdmittedBatch

HELD, NEW = 300, 700  # entries before the batch, and in it: three bundles, a full tile among their hashes


def spoil_bundles(rows: list[Bundle]) -> list[Bundle]:
    return [*rows[:-1], replace(rows[-1], entries=flip(rows[-1].entries, len(rows[-1].entries) // 2))]


def spoil_tiles(grown: tuple[Edge, dict[Any, bytes]]) -> tuple[Edge, dict[Any, bytes]]:
    edge, tiles = grown
    key = min(tiles)
    return edge, {**tiles, key: flip(tiles[key], 40)}


def spoil_edge(grown: tuple[Edge, dict[Any, bytes]]) -> tuple[Edge, dict[Any, bytes]]:
    edge, tiles = grown
    return Edge(edge.size, (flip(edge.tiles[0], 7), *edge.tiles[1:])), tiles


def spoil_hashes(batch: AdmittedBatch) -> AdmittedBatch:
    return replace(batch, joined=batch.joined._replace(hashes=flip(batch.joined.hashes, 33)))


# Where memory may fail: each stands between what came in and what is written.
FAULTS: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "entries": (commit, "_rows", spoil_bundles),
    "tiles": (Edge, "extend", spoil_tiles),
    "edge": (Edge, "extend", spoil_edge),
    "leaf hashes": (validation, "_admit_opaque", spoil_hashes),
}


class Faulty:
    """Calls through, but spoils the first `times` results."""

    def __init__(self, whole: Callable[..., Any], spoil: Callable[[Any], Any], times: float) -> None:
        self.whole, self.spoil, self.times = whole, spoil, times

    def __call__(self, *args: Any) -> Any:
        self.times -= 1
        return self.whole(*args) if self.times < 0 else self.spoil(self.whole(*args))

    def method(self) -> Callable[..., Any]:
        return lambda *args: self(*args)


@pytest.mark.parametrize("fault", FAULTS)
async def test_while_bits_flip_nothing_is_signed_and_then_the_service_goes_on(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    keys = Keys(tmp_path)
    entries = [os.urandom(30) for _ in range(HELD + NEW)]
    where, name, spoil = FAULTS[fault]
    async with keys.minting(mint_db, database_timeout=0.2) as client:
        await client.create(ORIGIN, "opaque")
        await append(client, entries[:HELD])
        before = await client.checkpoint(ORIGIN)
        with monkeypatch.context() as patch:
            patch.setattr(where, name, Faulty(getattr(where, name), spoil, float("inf")).method())
            with pytest.raises(MintmarkError, match="changed in the mint's memory"):
                await append(client, entries[HELD:])
        assert await client.checkpoint(ORIGIN) == before
        assert await check_log(mint_db, ORIGIN, keys.verifiers()) == HELD
        assert (await append(client, entries[HELD:])).first == HELD
        some = {index: entries[index] for index in (0, HELD, HELD + NEW - 1)}
        await check_provable(client, some, keys.verifiers())
    assert await check_log(mint_db, ORIGIN, keys.verifiers()) == HELD + NEW


@pytest.mark.parametrize("fault", FAULTS)
async def test_one_flip_is_never_signed_and_the_entries_are_in_the_log_once(
    mint_db: str, tmp_path: Path, check_log: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    keys = Keys(tmp_path)
    entries = [os.urandom(30) for _ in range(HELD + NEW)]
    where, name, spoil = FAULTS[fault]
    async with keys.minting(mint_db) as client:
        await client.create(ORIGIN, "opaque")
        await append(client, entries[:HELD])
        faulty, id = Faulty(getattr(where, name), spoil, 1), os.urandom(16)
        monkeypatch.setattr(where, name, faulty.method())
        try:
            answer = await append(client, entries[HELD:], id=id)
        except Unavailable:
            answer = await append(client, entries[HELD:], id=id)
        assert faulty.times < 0
        assert answer.first == HELD
        some = {index: entries[index] for index in (0, HELD, HELD + NEW - 1)}
        await check_provable(client, some, keys.verifiers())
    assert await check_log(mint_db, ORIGIN, keys.verifiers()) == HELD + NEW


def test_any_one_bit_of_what_is_to_be_written_is_noticed() -> None:
    """The rows of one commit: 2,000 random bits of all that they hold."""
    entries = [os.urandom(20) for _ in range(HELD + NEW)]
    joined = [
        b"".join(len(e).to_bytes(2, "big") + e for e in entries[at : at + 256]) for at in range(0, HELD + NEW, 256)
    ]
    before, _ = Edge().extend(leaf_hashes(b"".join(joined))[: HELD * 32])
    after, tiles = before.extend(leaf_hashes(b"".join(joined))[HELD * 32 :])
    rows = [Bundle(at, min(256, HELD + NEW - at * 256), joined[at], b"") for at in range(HELD // 256, len(joined))]
    check_write(before, before.root(), rows, tiles, after.size, after.root())
    chance = random.Random(1)
    for _ in range(2000):
        spoilt_rows, spoilt_tiles, root = list(rows), dict(tiles), after.root()
        match chance.randrange(3):
            case 0:
                at = chance.randrange(len(rows))
                spoilt_rows[at] = replace(rows[at], entries=bit(rows[at].entries, chance))
            case 1:
                key = chance.choice(list(tiles))
                spoilt_tiles[key] = bit(tiles[key], chance)
            case 2:
                root = bit(root, chance)
        with pytest.raises(WriteMismatch):
            check_write(before, before.root(), spoilt_rows, spoilt_tiles, after.size, root)


def bit(data: bytes, chance: random.Random) -> bytes:
    """The same bytes with one random bit changed."""
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
