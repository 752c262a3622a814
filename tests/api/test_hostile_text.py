"""The text of one register does not stop the API for all: the work of an answer grows with its text, not faster.

Work is counted in calls of functions, or bounded by the CPU time of a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from mintmark.api import html, models
from mintmark.api.formats import NotAcceptable, segment, turtle
from mintmark.api.freshness import LogFreshness
from mintmark.api.html.filters import MAX_MARKDOWN_STEPS, PageMarkdown, markdown, markdown_steps
from mintmark.api.models import View
from mintmark.api.responses import RENDERERS
from mintmark.register.definitions import Field, RegisterDefinition
from mintmark.register.links import Linker
from mintmark.register.schema import Schema
from mintmark.store.registers.register_store import EntryRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from mintmark.api.models import Model
    from mintmark.register.item import Item

CPU_SECONDS = 15  # for pages that took minutes
UNITS = [
    "[", "![", "[a](", "[a](b", "[a]: b\n", "[[a]", "]", "[]", "*", "*a ", "_a*", "**a_", "`", "`a``", "<", "<a",
    "<!--", "<a:", "&", "&#", "&amp;", "\\", "\\[", "> ", "> a\n", "- ", "- a\n", "1. ", "* * ", "# ", "#\n", "~~~\n",
    "    a\n", "a\n", "\n", " ", "\t", "\r", "a", "\u202e", "\U0001f33f", "a  \n", "[a](<", '[a](b "', "([", "*[",
    "http://", "===\n", "a\n===\n", "| a |\n", "-",
]  # fmt: skip


def operations(call: Callable[[], object]) -> int:
    """The number of calls of functions, and of steps of generators, that a call makes."""
    count = 0

    def on_event(_: object, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(on_event)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_the_work_of_markdown_is_what_it_is_counted_as(unit: str) -> None:
    for length in (200, 1_600):
        text = (unit * length)[:length]
        assert operations(partial(markdown, text)) < markdown_steps(text)


def test_a_page_has_a_bound_of_that_work_and_shows_the_rest_as_written() -> None:
    page = PageMarkdown(steps=markdown_steps("*one*") + markdown_steps("[" * 50))
    assert page("*one*") == "<p><em>one</em></p>\n"
    assert page("[" * 100 + "<b>") == f'<p class="text">{"[" * 100}&lt;b&gt;</p>'
    assert page("[" * 50) == f"<p>{'[' * 50}</p>\n"
    assert page("*one*") == '<p class="text">*one*</p>'


def test_what_people_write_is_markdown() -> None:
    paragraph = "Some *emphasis*, a [link](https://example.com/), and `code`, in some words of a sentence.\n\n"
    text = paragraph * 300
    assert markdown_steps(text) < MAX_MARKDOWN_STEPS
    assert PageMarkdown()(text).count("<em>") == 300


FRESH = LogFreshness("current")
HOSTILE_PAGES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[1]), int(sys.argv[1])))
from tests.api.test_hostile_text import FRESH, UNITS, detail, view
from mintmark.api import html, models
from mintmark.register.definitions import Field
fields = [Field(f"f{at}", "text", False, text=(UNITS[at % len(UNITS)] * 30_000)[:60_000]) for at in range(400)]
assert html.render(models.RegisterDetail(path="/r", view=view(fields), freshness=FRESH, checkpoint=b"", growth=()))
for unit in UNITS:
    assert html.render(detail({"plot": "1", "text": (unit * 30_000)[:60_000]}, ["plot"]))
assert html.render(detail({"plot": "1", "texts": ["a"] * 20_000}, ["plot"]))
"""


def test_no_text_holds_a_page_for_long() -> None:
    ran = subprocess.run([sys.executable, "-c", HOSTILE_PAGES, str(CPU_SECONDS)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-1000:]


def view(columns: list[Field]) -> View:
    """A register of these fields."""
    definition = RegisterDefinition("plot", tuple(column.name for column in columns))
    schema = Schema(register=definition, fields={column.name: column for column in columns})
    return View(
        name="plot", origin="registers.test/plot", base="/plot", size=9, root=bytes(32), head=9, at=None, records=2,
        entries=2, updated="2024-03-02T10:30:00Z", schema=schema, linker=Linker({"plot"}, {}, segment),
    )  # fmt: skip


def row(item: Item, number: int = 1) -> EntryRow:
    return EntryRow(8, "user", number, "1", "2024-03-02T10:30:00Z", bytes(32), item)


def detail(item: Item, names: list[str]) -> models.RecordDetail:
    """The page of a record."""
    fields = [Field(name, "string", many=False) for name in names]
    fields += [Field("text", "text", many=False), Field("texts", "text", many=True)]
    fields += [Field("links", "curie", many=True), Field("urls", "url", many=True)]
    shown = {"path": "/records/1", "view": view(fields), "freshness": FRESH}
    return models.RecordDetail(**shown, row=row(item), history=[row(item), row({})])


def wide(count: int) -> list[Model]:
    """Models of a register of `count` fields."""
    names = ["plot", *(f"f{number}" for number in range(count))]
    made = detail({"plot": "1"}, names)
    rows = [row({"plot": "1"})]
    of_register: dict[str, Any] = {"path": "/", "view": made.view, "freshness": FRESH}
    change = models.Change("1", rows[0], row({"plot": "1", "f1": "x"}))
    return [
        made,
        models.RecordList(**of_register, rows=rows, page=models.Page()),
        models.RegisterDetail(**of_register, checkpoint=b"", growth=()),
        models.EntryDetail(**of_register, row=rows[0]),
        models.Diff(**of_register, before=made.view, changes=[change] * 10, page=models.Page()),
    ]


def long(length: int) -> list[Model]:
    """Models of records with long values."""
    found: list[Model] = []
    for unit in ('"', "\\", "\n", "\x1f", ";", "<", "%", "\u2028", "\U0001f33f", "a:b", ":", "\\u0000"):
        item: Item = {"plot": "1", "texts": [unit] * length, "links": ["plot:" + unit] * length}
        item |= {"urls": [f"http://{unit}"] * length, "many": [unit] * length, "one": unit * length}
        made = detail(item, ["plot", "one"])
        about: dict[str, Any] = {"path": "/", "view": made.view, "freshness": FRESH}
        found += [made, models.RecordList(**about, rows=[made.row], page=models.Page())]
        found.append(models.ItemDetail(**about, item=item, row=made.row))
        change = models.Change("1", row({"plot": "1"}), made.row)
        found.append(models.Diff(**about, before=made.view, changes=[change], page=models.Page()))
    return found


FORMATS: dict[str, Callable[[Any], bytes]] = {**RENDERERS, "ttl": lambda model: turtle.render_turtle(model, "http://h")}


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("made", [wide, long], ids=["fields", "values"])
def test_work_grows_as_the_text_does(made: Callable[[int], list[Model]], format_: str) -> None:
    if format_ == "html":
        html.render(made(1)[0])  # compiles its templates
    for short, twice in zip(made(400), made(800), strict=True):
        with suppress(NotAcceptable):  # a list that a table cannot join
            counts = [operations(partial(FORMATS[format_], model)) for model in (short, twice)]
            assert counts[1] < 2.5 * counts[0], (type(short).__name__, counts)
