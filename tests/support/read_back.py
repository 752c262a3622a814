"""Readers of each format by parsers of others, and of pages by their links."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import rdflib
import yaml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

FULL_TYPE = "application/vnd.mintmark+json"
TYPES = {
    "json": "application/json",
    "yaml": "text/yaml; charset=UTF-8",
    "csv": "text/csv;charset=UTF-8",
    "tsv": "text/tab-separated-values; charset=UTF-8",
    "ttl": "text/turtle; charset=UTF-8",
    "html": "text/html; charset=UTF-8",
    "jsonl": "application/jsonl",
    "rsf": "application/uk-gov-rsf",
    "zip": "application/octet-stream",
}
Cells = list[list[str]]


async def get(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """The response at a path; its suffix tells its type."""
    answer = await client.get(path)
    assert answer.status_code == 200, (path, answer.text[:300])
    suffix = path.partition("?")[0].rpartition(".")[2]
    json = FULL_TYPE if "full=1" in path else "application/json"
    assert answer.headers["content-type"] == TYPES.get(suffix if suffix != "json" else "", json), path
    return answer


async def pages(client: httpx.AsyncClient, path: str) -> AsyncIterator[httpx.Response]:
    """A list's pages, each where the one before says it is."""
    while True:
        answer = await get(client, path)
        yield answer
        following = answer.links.get("next")
        if following is None:
            return
        path = path.partition("?")[0] + following["url"]


def read_csv(text: str) -> Cells:
    assert re.search("(?<!\r)\n", re.sub('"[^"]*"', "", text)) is None  # CRLF, but within quotes
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert {len(row) for row in rows} == {len(rows[0])}
    return rows


def read_tsv(text: str) -> Cells:
    assert text.endswith("\n")
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True))
    assert {len(row) for row in rows} == {len(rows[0])}
    return rows


def read_yaml(text: str) -> Any:
    assert text.startswith("---\n")
    return yaml.load(text, yaml.CSafeLoader)


def read_jsonl(text: str) -> list[Any]:
    return [json.loads(line) for line in text.split("\n")[:-1]]


def read_ttl(text: str) -> rdflib.Graph:
    return rdflib.Graph().parse(data=text, format="turtle")


def records_of(cells: Cells, many: set[str]) -> dict[str, dict[str, Any]]:
    """A table's records as v1 says them in JSON."""
    header, *rows = cells
    found = {}
    for row in rows:
        fields = {name: cell for name, cell in zip(header[4:], row[4:], strict=True) if cell}
        item = {name: read_list(cell) if name in many else cell for name, cell in fields.items()}
        found[row[3]] = dict(zip(header[:4], row[:4], strict=True)) | {"item": [item]}
    return found


def read_list(cell: str) -> list[str]:
    """A list in a cell: JSON, where it cannot be split at semicolons."""
    found: list[str] = json.loads(cell) if cell.startswith('["') or cell == "[]" else cell.split(";")
    return found


class Page(HTMLParser):
    """A page's tables as texts, its links, and all its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self.text = ""
        self._cell: list[str] | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._cell = []
        elif tag == "a":
            self.links.append(dict(attrs).get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.rows[-1].append("".join(self._cell))
            self._cell = None

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._cell is not None:
            self._cell.append(data)
