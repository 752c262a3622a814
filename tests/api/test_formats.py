"""The writers of the read API, read back by parsers of other people: PyYAML, orjson, rdflib, Python's json and zip."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import orjson
import rdflib
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rdflib.namespace import XSD

from mintmark.api.formats.archive import Archive
from mintmark.api.formats.trees import print_jsonl
from mintmark.api.formats.turtle import PREFIXES, literal
from mintmark.api.formats.yaml import print_tree
from mintmark.register import canonical
from mintmark.register.item import parse_item

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=10)
AWKWARD = ["NO", "01", "1e3", "null", "~", "- a: b", "# x", "=", "<<", "!!x", "a: ", " x ", "\x85\u2028"]
texts = TEXT | st.sampled_from(AWKWARD)
items = st.dictionaries(texts, texts | st.lists(texts, max_size=3), max_size=5)
leaves = texts | st.integers(0, 2**53) | st.booleans() | st.none()
trees = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


@given(trees)
def test_yaml(tree: Any) -> None:
    document = print_tree(tree).decode()
    assert yaml.load(document, yaml.SafeLoader) == tree
    assert yaml.load(document, yaml.CSafeLoader) == tree


@given(st.lists(items, max_size=4))
def test_json_lines(rows: list[dict[str, Any]]) -> None:
    data = print_jsonl(rows)
    assert [json.loads(line) for line in data.split(b"\n")[:-1]] == rows
    assert [orjson.loads(line) for line in data.split(b"\n")[:-1]] == rows


@given(items)
def test_items(item: dict[str, Any]) -> None:
    data = canonical.format(item)
    assert parse_item(data) == item
    assert json.loads(data) == orjson.loads(data) == item


@given(texts, st.sampled_from([None, "string"]))
def test_turtle(text: str, datatype: str | None) -> None:
    document = f"{PREFIXES}<http://x.test/s> <http://x.test/p> {literal(text, datatype)} ."
    ((_, _, found),) = rdflib.Graph().parse(data=document, format="turtle")
    assert isinstance(found, rdflib.Literal)
    assert (str(found), found.datatype) == (text, XSD.string if datatype else None)


@given(st.dictionaries(st.text("abc/-ü", min_size=1, max_size=8), st.binary(max_size=30), max_size=5))
def test_archive(files: dict[str, bytes]) -> None:
    with Archive() as archive:
        data = b"".join([*(archive.add(path, body) for path, body in files.items()), *archive.finish()])
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert {name: found.read(name) for name in found.namelist()} == files
        assert found.testzip() is None
