"""Tiles: their widths at every size, and their paths."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import Malformed
from mintmark.tlog.tile import (
    Tile,
    edge_keys,
    entries_path,
    items_path,
    parse_entries_path,
    parse_items_path,
    parse_path,
    path,
    tile_width,
)
from tests.support import vectors

tiles = st.builds(Tile, st.integers(0, 63), st.integers(0, 2**63 - 1), st.integers(1, 256))


@given(tiles)
def test_parse_undoes_path(tile: Tile) -> None:
    assert parse_path(path(tile)) == tile
    assert parse_entries_path(entries_path(tile.index, tile.width)) == (tile.index, tile.width)
    assert parse_items_path(items_path(tile.index, tile.width)) == (tile.index, tile.width)


@given(
    st.text(max_size=30)
    | st.from_regex(r"tile/(entries|items|\d{1,3})/(x?\d{3,4}/)*\d{3}(\.p/\d{1,3})?", fullmatch=True)
)
def test_any_text_is_a_path_or_malformed(text: str) -> None:
    with suppress(Malformed):
        assert path(parse_path(text)) == text
    with suppress(Malformed):
        assert entries_path(*parse_entries_path(text)) == text
    with suppress(Malformed):
        assert items_path(*parse_items_path(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/",
        "tile/0/000.p/007",
        "tile/00/000",
        "tile/64/000",
        "tile/0/0",
        "tile/0/x000/001",
        "tile/0/001/",
        "tile/0/001\n",
        "tile/0/٠٠٠",
        "/tile/0/000",
        "tile/0/x009/x223/x372/x036/x854/x775/808",
        "tile/0/" + "x999/" * 2000 + "999",
    ],
)
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(Malformed):
        parse_path(text)


def test_a_tile_is_not_a_bundle() -> None:
    with pytest.raises(Malformed):
        parse_path("tile/entries/000")
    with pytest.raises(Malformed):
        parse_entries_path("tile/0/000")
    with pytest.raises(Malformed):
        parse_entries_path("tile/items/000")
    with pytest.raises(Malformed):
        parse_items_path("tile/entries/000")
    with pytest.raises(Malformed):
        parse_path("tile/items/000")


@pytest.mark.parametrize(
    "tile", [Tile(-1, 0), Tile(64, 0), Tile(0, -1), Tile(0, 2**63), Tile(0, 0, 0), Tile(0, 0, 257)]
)
def test_what_is_no_tile(tile: Tile) -> None:
    with pytest.raises(Malformed):
        path(tile)


@vectors.needed
def test_public_paths() -> None:
    cases = vectors.load("tiles/paths.json")
    for case in cases["entries_path_for_index"]:
        index = case["seq"] // 256
        assert entries_path(index, tile_width(0, index, case["log_size"])) == case["path"]
    for case in cases["tile_path"]:
        assert path(Tile(case["level"], case["index"], case["width"] or 256)) == case["path"]
    for number, text in cases["c2sp_examples"]["N_encoding"].items():
        assert path(Tile(0, int(number))) == f"tile/0/{text}"


@vectors.needed
def test_public_paths_parsed() -> None:
    for case in vectors.load("tiles/paths.json")["parse"]:
        text = f"tile/{case['level']}/{case['index']}"
        if case["error"]:
            with pytest.raises(Malformed):
                parse_path(text)
        else:
            assert parse_path(text) == (case["want_level"], case["want_index"], case["want_width"] or 256)


def test_the_sizes_of_the_specification() -> None:
    assert edge_keys(70_000) == [(0, 273), (1, 1), (2, 0)]
    assert [tile_width(*key, 70_000) for key in edge_keys(70_000)] == [112, 17, 1]
    assert [tile_width(0, index, 70_000) for index in (0, 272, 274)] == [256, 256, 0]
    assert edge_keys(256) == [(1, 0)]
    assert edge_keys(0) == []


def test_the_unfinished_tiles_of_every_size() -> None:
    for size in range(70_001):
        widths = {level: size // 256**level % 256 for level in range(3)}
        expected = {(level, size // 256 ** (level + 1)): width for level, width in widths.items() if width}
        assert {key: tile_width(*key, size) for key in edge_keys(size)} == expected


def test_the_largest_size() -> None:
    assert [tile_width(*key, 2**63 - 1) for key in edge_keys(2**63 - 1)] == [255] * 7 + [127]
