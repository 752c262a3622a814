"""What is about to be written is what is about to be signed, or nothing is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mintmark.errors import WriteMismatch
from mintmark.tlog.edge import Edge
from mintmark.tlog.second_path import check_write
from tests.support.tree import Tree, big, entries
from tests.support.world import flip

SIZE = 800
TREE = Tree(entries(SIZE), [b"item %d" % i for i in range(SIZE)])


def write(old_size: int, size: int, tree: Tree = TREE) -> dict[str, Any]:
    """The rows of an append, as the mint makes them."""
    before = Edge().extend(tree.hashes[: 32 * old_size])[0]
    after, tiles = before.extend(tree.hashes[32 * old_size : 32 * size])
    bundles = tree.bundles(old_size, size) if old_size < size else []
    return {
        "before": before,
        "old_root": before.root(),
        "bundles": bundles,
        "tiles": tiles,
        "size": size,
        "root": after.root(),
    }


@pytest.mark.parametrize(
    ("old_size", "size"),
    [(0, 0), (0, 1), (0, 800), (5, 5), (1, 2), (255, 256), (255, 257), (256, 257), (300, 800), (512, 768)],
)
def test_an_append(old_size: int, size: int) -> None:
    check_write(**write(old_size, size))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 70_000), st.integers(0, 3000))
def test_an_append_to_a_big_log(old_size: int, count: int) -> None:
    check_write(**write(old_size, min(old_size + count, 70_000), big()))


def test_the_first_tile_of_a_level() -> None:
    for old_size, size in ((65_535, 65_536), (65_536, 65_537), (65_280, 65_792), (60_000, 70_000)):
        check_write(**write(old_size, size, big()))


def refused(**changed: Any) -> None:
    with pytest.raises(WriteMismatch):
        check_write(**{**write(300, 800), **changed})


def test_any_bit_of_any_row() -> None:
    rows = write(300, 800)
    for i, row in enumerate(rows["bundles"]):
        for at in (0, 1, 2, len(row.entries) // 2, len(row.entries) - 1):
            refused(
                bundles=[*rows["bundles"][:i], replace(row, entries=flip(row.entries, at)), *rows["bundles"][i + 1 :]]
            )
    for key, hashes in rows["tiles"].items():
        for at in range(0, len(hashes), 32):
            refused(tiles={**rows["tiles"], key: flip(hashes, at)})


def test_rows_that_are_missing_too_many_or_of_another_width() -> None:
    rows = write(300, 800)
    bundles, tiles = rows["bundles"], rows["tiles"]
    for wrong in (bundles[1:], bundles[:-1], [*bundles, bundles[-1]], bundles[::-1], []):
        refused(bundles=wrong)
    for wrong in (replace(bundles[0], width=255), replace(bundles[0], index=0), replace(bundles[0], entries=b"")):
        refused(bundles=[wrong, *bundles[1:]])
    for key in tiles:
        refused(tiles={k: v for k, v in tiles.items() if k != key})
        refused(tiles={**tiles, key: tiles[key][:-32]})
        refused(tiles={**tiles, key: tiles[key] + bytes(32)})
    refused(tiles={**tiles, (0, 0): TREE.tiles[0, 0]})
    refused(tiles={**tiles, (5, 0): bytes(32)})


def test_items_that_are_not_parallel() -> None:
    bundles = write(300, 800)["bundles"]
    for items in (bundles[1].items, bundles[0].items[:-1], bundles[0].items + b"\0\0"):
        if items != bundles[0].items:
            with_items = [replace(bundles[0], items=items), *bundles[1:]]
            if items is bundles[1].items:
                check_write(**{**write(300, 800), "bundles": with_items})  # as many; whose they are, the register says
            else:
                refused(bundles=with_items)


def test_another_root_or_size_or_past() -> None:
    refused(root=TREE.root(799))
    refused(old_root=TREE.root(299))
    refused(before=Edge().extend(TREE.hashes[: 32 * 299])[0])
    for size in (299, 799, 801, 0, -1, 2**63):
        refused(size=size)
    forked = Tree([*entries(299), b"other", *entries(SIZE)[300:]])
    refused(before=write(300, 800, forked)["before"], old_root=forked.root(300))
    refused(**{key: write(300, 800, forked)[key] for key in ("bundles", "tiles", "root")})
