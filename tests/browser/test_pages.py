"""Every kind of page: readable by everybody in both colour schemes, at both widths, and dead to what registers hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from axe_core_python.base import AXE_SCRIPT
from playwright.async_api import expect

from mintmark.api.formats import segment
from mintmark.register.item import format_hash, item_hash
from mintmark.tlog.note import generate_skey
from tests.browser.conftest import WIDTHS
from tests.browser.test_verify_panel import overflow, verify
from tests.support import site

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.async_api import Page, Route

    from tests.browser.conftest import Site

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ITEM = format_hash(item_hash(b'{"hostile":"ended","name":"It was"}'))
PAGES = {
    "registers": "/",
    "register, as it was": "/country?at=2021-03-01",
    "records by a value": "/country/records/region/145?page-size=10",
    "no records": "/country/search?q=zzz",
    "referrers": "/currency/records/EUR/referrers",
    "entries of a record": "/country/records/TR/entries",
    "log": "/country/log/entries?limit=20",
    "entry": "/country/entries/5",
    "item": f"/hostile/items/{ITEM}",
    "changes": "/country/diff?from=2021-03-01&to=2022-12-31",
    "hostile register": "/hostile",
    "hostile records": "/hostile/records",
    "hostile record": f"/hostile/records/{site.KEYS[-1]}",
    "erased record": "/hostile/records/erased",
}
EMPTY = [
    "/empty",
    "/empty/records",
    "/empty/entries",
    "/empty/diff",
    "/empty/search?q=a",
    "/country?at=0",
    "/country/records?at=0",
    "/country/entries?at=0",
    "/country/diff?from=0&to=0",
]
PROBLEMS = {400: "/country?at=never", 404: "/country/records/NOPE", 406: "/country/records.zip"}
ALIEN = """Array.from(document.querySelectorAll("*")).filter((element) =>
    ["IFRAME", "IMG", "OBJECT", "EMBED", "BASE", "STYLE"].includes(element.tagName)
    || element.tagName === "SCRIPT" && !element.src.startsWith(location.origin + "/-/static/")
    || /^(javascript|data):/i.test(element.href ?? element.action ?? "")
    || element.getAttributeNames().some((name) => name.startsWith("on"))).map((element) => element.outerHTML)"""
SHIFT = """() => new Promise((done) => {
    let sum = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => sum += entry.value))
        .observe({type: "layout-shift", buffered: true});
    requestAnimationFrame(() => requestAnimationFrame(() => done(sum)));
})"""


@pytest.mark.parametrize("kind", PAGES)
async def test_everybody_can_read_it(kind: str, open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page()
    await page.goto(served_site.url + PAGES[kind])
    assert await page.evaluate(SHIFT) < 0.01
    await check_page(page)


async def test_nothing_is_shown_as_nothing(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page("phone")
    for path in EMPTY:
        answer = await page.goto(served_site.url + path)
        assert answer.status == 200, path
        assert await overflow(page) == 0, path
    await page.goto(f"{served_site.url}/empty/records")
    await expect(page.get_by_text("There is no record yet.")).to_be_visible()


@pytest.mark.parametrize("status", PROBLEMS)
async def test_a_problem_stays_inside_its_register(
    status: int, open_page: Callable[..., Any], served_site: Site
) -> None:
    page = await open_page(expected=f"the server responded with a status of {status}")
    answer = await page.goto(served_site.url + PROBLEMS[status])
    assert answer.status == status
    assert answer.headers["content-type"].startswith("text/html")
    await expect(page.locator("main").get_by_role("link", name="Go to Country")).to_be_visible()
    if status == 404:
        await check_page(page)


@pytest.mark.parametrize("key", ["the log's", "another"])
async def test_everybody_can_read_the_verdict(key: str, open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page(reduced_motion="reduce")
    await page.goto(f"{served_site.url}/country/records/TR")
    log = served_site.logs["country"]
    await verify(page, log.signer.vkey if key == "the log's" else generate_skey(log.origin).vkey)
    await expect(page.locator(".verify")).to_have_attribute("data-state", "good" if key == "the log's" else "bad")
    await check_page(page)


HOSTILE = [
    "/",
    "/hostile",
    "/hostile/records",
    "/hostile/records?sort=newest",
    f"/hostile/search?q={quote(site.SCRIPTS[0])}",
    f"/hostile/records/name/{quote(site.SCRIPTS[1], safe='')}",
    "/hostile/entries",
    "/hostile/log/entries/0",
    "/hostile/diff?from=0&to=29",
    "/hostile?at=1",
    f"/hostile?at={quote(site.SCRIPTS[0])}",
    f"/{quote(site.SCRIPTS[1], safe='')}",
    *(f"/hostile/records/{segment(key)}" for key in site.KEYS),
]


async def test_what_a_register_holds_stays_text(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page(expected="the server responded with a status of 40")
    for path in HOSTILE:
        await page.goto(served_site.url + path)
        assert await page.evaluate("window.pwned") is None, path
        alien = await page.evaluate(ALIEN)
        assert alien == [], path


async def test_the_words_of_an_attack_can_be_read(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page()
    for key, text in zip(site.KEYS, site.SCRIPTS, strict=True):
        await page.goto(f"{served_site.url}/hostile/records/{segment(key)}")
        name = page.locator(".fields > div").filter(has=page.get_by_text("name", exact=True)).locator("dd").first
        assert await name.evaluate("dd => dd.querySelector('.text').textContent") == f"{text} again"


async def test_a_script_that_gets_in_is_not_run(open_page: Callable[..., Any], served_site: Site) -> None:
    """Were a page to hold markup of a register's after all: the policy, which stands alone, refuses it."""
    page = await open_page(expected="Content Security Policy")

    async def spoil(route: Route) -> None:
        answer = await route.fetch()
        text = await answer.text()
        await route.fulfill(response=answer, body=text.replace("<h1>", f"{site.SCRIPTS[0]}{site.SCRIPTS[2]}<h1>"))

    await page.route("**/country", spoil)
    await page.goto(f"{served_site.url}/country")
    assert await page.locator("main script").count() == 1
    assert await page.evaluate("window.pwned") is None


async def test_a_page_is_small(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page()
    await page.goto(f"{served_site.url}/country/records/TR")
    sizes = await page.evaluate("""performance.getEntriesByType("resource").concat(
        performance.getEntriesByType("navigation")).map((entry) => entry.encodedBodySize)""")
    assert len(sizes) <= 7
    assert sum(sizes) <= 40_000


async def test_the_first_tab_skips_to_the_content(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page("phone")
    await page.goto(f"{served_site.url}/country/records")
    await page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport()
    assert await skip.evaluate("link => getComputedStyle(link).outlineStyle") == "solid"


async def test_a_dark_page_is_printed_in_dark_ink(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page()
    await page.goto(f"{served_site.url}/country/records/TR")
    await page.emulate_media(media="print", color_scheme="dark")
    ink = await page.evaluate("getComputedStyle(document.body).color")
    assert max(int(part) for part in re.findall(r"\d+", ink)) < 64
    assert await page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    await expect(page.locator(".verify")).to_be_hidden()
    await expect(page.get_by_role("heading", name="Türkiye")).to_be_visible()


async def test_the_documentation_tries_an_operation(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page()
    await page.goto(f"{served_site.url}/-/docs")
    operation = page.locator(".operation", has=page.get_by_text("/{register}/records/{key}", exact=True))
    await operation.locator("summary").click()
    await operation.get_by_label("key").fill("TR")
    await operation.get_by_role("button", name="Try it").click()
    await expect(operation.locator("[data-answer]")).to_contain_text(
        "/country/records/TR answered 200, application/json"
    )
    await expect(operation.locator("pre")).to_contain_text("Türkiye")
    await page.evaluate("document.querySelectorAll('.operation:not([open])').forEach((other) => other.remove())")
    await check_page(page)


async def check_page(page: Page) -> None:
    """No finding of axe, wide in light and narrow in dark; no sideways scrolling; one main heading."""
    await page.evaluate(AXE_SCRIPT)
    for width, scheme in [("desktop", "light"), ("phone", "dark")]:
        await page.set_viewport_size(WIDTHS[width])
        await page.emulate_media(color_scheme=scheme)
        found = await page.evaluate("axe.run()")
        assert [(v["id"], n["html"], n["failureSummary"]) for v in found["violations"] for n in v["nodes"]] == []
        assert found["passes"]
        assert await overflow(page) == 0, width
    assert await page.locator("h1").count() == 1
