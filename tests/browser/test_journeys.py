"""What people come for: to find a register and a record, follow a link, travel, compare, and check for themselves.

Each journey is made at the width of a phone and of a desktop, and, but for the last, without JavaScript too. What is
beside the way is looked at twice.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from playwright.async_api import expect

from mintmark.tlog.note import generate_skey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from playwright.async_api import Page, Route

    from tests.browser.conftest import Site

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

JUDGED = re.compile("good|bad|open")
twice = pytest.mark.parametrize(
    "page", [("phone", False), ("desktop", True)], indirect=True, ids=["phone-no-script", "desktop"]
)
both_widths = pytest.mark.parametrize("width", ["phone", "desktop"])


@pytest_asyncio.fixture(
    loop_scope="session",
    params=[("phone", True), ("phone", False), ("desktop", True), ("desktop", False)],
    ids=["phone", "phone-no-script", "desktop", "desktop-no-script"],
)
async def page(request: pytest.FixtureRequest, open_page: Callable[..., Any]) -> Page:
    width, script = request.param
    return await open_page(width, java_script_enabled=script)


def heading(page: Page) -> Any:
    return page.get_by_role("heading", level=1)


async def test_find_a_register(page: Page, served_site: Site) -> None:
    await page.goto(served_site.url)
    await expect(heading(page)).to_have_text("Registers")
    await page.get_by_role("link", name="Country", exact=True).click()
    await expect(heading(page)).to_have_text("Country")
    await expect(page.get_by_role("complementary")).to_contain_text(served_site.logs["country"].edge.root().hex())
    await expect(page.get_by_text("Custodian", exact=True)).to_be_visible()


async def test_find_a_record_by_its_words(page: Page, served_site: Site) -> None:
    await page.goto(f"{served_site.url}/country")
    await page.get_by_role("searchbox").fill("republic türk")
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("row").get_by_role("link", name="TR", exact=True).click()
    await expect(heading(page)).to_have_text("Türkiye")


@twice
async def test_find_a_record_by_a_value(page: Page, served_site: Site) -> None:
    await page.goto(f"{served_site.url}/country/records")
    await page.get_by_text("By a field’s value").click()
    await page.get_by_label("Field").select_option("alpha-3")
    await page.get_by_label("is exactly").fill("GBR")
    await page.get_by_role("button", name="Narrow down").click()
    await page.get_by_role("link", name="GB", exact=True).click()
    await expect(heading(page)).to_have_text("United Kingdom")


@twice
async def test_page_through_the_records_and_sort_them(page: Page, served_site: Site) -> None:
    await page.goto(f"{served_site.url}/country/records")
    pages, following = page.get_by_label("Pages"), page.get_by_role("link", name="Next →")
    keys = []
    for shown in ("1–100 of 255", "101–200 of 255", "201–255 of 255"):  # below the table: when it is there, all is
        if keys:
            await following.click()
        await expect(pages).to_contain_text(shown)
        keys += await page.locator("tbody th").all_inner_texts()
    await expect(following).to_have_count(0)
    assert len(keys) == 255
    assert keys == sorted(set(keys))
    await page.get_by_role("link", name="← Previous").click()
    await expect(pages).to_contain_text("101–200 of 255")
    assert await page.locator("tbody th").all_inner_texts() == keys[100:200]
    await page.get_by_role("link", name="newest first").click()
    await expect(page.locator("tbody th").first).not_to_have_text(keys[100])
    await expect(page.get_by_text("newest first", exact=True)).to_have_js_property("tagName", "STRONG")


async def test_follow_a_link_there_and_back(page: Page, served_site: Site) -> None:
    await page.goto(f"{served_site.url}/country/records/TR")
    await page.get_by_role("link", name="TRY", exact=True).click()
    await expect(page).to_have_url(f"{served_site.url}/currency/records/TRY")
    await page.get_by_label("What refers to it").get_by_role("link", name="Türkiye").click()
    await expect(page).to_have_url(f"{served_site.url}/country/records/TR")


async def test_travel_to_a_past_date(page: Page, served_site: Site) -> None:
    await page.goto(f"{served_site.url}/country")
    await page.get_by_label("Or at the end of the day").fill("2021-03-01")
    await page.locator("form", has=page.get_by_label("Or at the end of the day")).get_by_role("button").click()
    await expect(page.get_by_role("note")).to_contain_text("the end of 1 March 2021")
    await page.get_by_role("link", name="Browse the records").click()
    await page.get_by_role("searchbox").fill("Turkey")
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("link", name="TR", exact=True).click()
    await expect(heading(page)).to_have_text("Turkey")
    await page.get_by_role("link", name="Read it as it is now").click()
    await expect(heading(page)).to_have_text("Türkiye")


@twice
async def test_travel_with_the_slider(page: Page, served_site: Site) -> None:
    await page.goto(f"{served_site.url}/country")
    slider = page.get_by_role("slider")
    await slider.focus()
    await slider.press("Home")
    for _ in range(3):
        await slider.press("PageUp")
    size = await slider.input_value()
    await page.get_by_role("button", name="Go there").first.click()
    await expect(page).to_have_url(f"{served_site.url}/country?at={size}")
    await expect(page.get_by_role("note")).to_contain_text(f"as of size {size}")
    await expect(page.locator("footer")).to_contain_text(f"the first {size} entries")


async def test_the_slider_tells_the_day_that_it_is_at(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page("phone")
    await page.goto(f"{served_site.url}/country")
    mark, at_head = page.locator("[data-here]"), await page.locator("[data-here]").get_attribute("x1")
    await page.get_by_role("slider").press("Home")
    await expect(page.locator("output")).to_have_text("1 of 303, about 3 November 2014")
    assert await mark.get_attribute("x1") == "0.0" != at_head


async def test_compare_two_dates(page: Page, served_site: Site) -> None:
    await page.goto(f"{served_site.url}/country")
    await page.get_by_role("link", name="Compare two dates").click()
    await page.get_by_label("From").fill("2021-03-01")
    await page.get_by_label("To", exact=True).fill("2022-12-31")
    await page.get_by_role("button", name="Compare").click()
    change = page.get_by_role("listitem").filter(has_text="Türkiye")
    await expect(change).to_contain_text("Changed")
    await expect(change.locator("del").first).to_contain_text("Turkey")
    await expect(change.locator("ins").first).to_contain_text("Türkiye")


@twice
async def test_see_how_a_record_changed(page: Page, served_site: Site) -> None:
    await page.goto(f"{served_site.url}/country/records/TR")
    steps = page.locator(".timeline > li")
    await expect(steps).to_have_count(2)
    await expect(steps.first.locator("del").first).to_contain_text("Turkey")
    await expect(steps.last).to_contain_text("Added")


@both_widths
async def test_verify_a_record_in_the_browser(width: str, open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page(width)
    await page.goto(f"{served_site.url}/country/records/TR")
    await verify(page, served_site.logs["country"].signer.vkey)
    await expect(page.locator(".verdict")).to_contain_text("Verified: it is in registers.localhost/country")
    assert await states(page) == ["good"] * 5
    await expect(page.get_by_role("img", name="it is the signed one")).to_be_visible()
    await page.reload()
    await expect(page.get_by_label("A vkey a line")).to_have_value(served_site.logs["country"].signer.vkey)
    await page.get_by_role("button", name="Forget the key").click()
    await page.reload()
    await expect(page.get_by_label("A vkey a line")).to_have_value("")


async def test_a_register_on_a_host_of_its_own(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page("phone")
    there = served_site.url.replace("127.0.0.1", "{}.registers.localhost").format
    await page.goto(f"{there('country')}/records/TR")
    await verify(page, served_site.logs["country"].signer.vkey)
    assert await states(page) == ["good"] * 5
    await page.get_by_role("link", name="TRY", exact=True).click()
    await expect(page).to_have_url(f"{there('currency')}/records/TRY")
    await page.get_by_label("What refers to it").get_by_role("link", name="Türkiye").click()
    await expect(page).to_have_url(f"{there('country')}/records/TR")
    await page.get_by_label("Register", exact=True).get_by_role("link", name="Country").click()
    await expect(heading(page)).to_have_text("Country")
    await expect(page.get_by_role("link", name="Registers")).to_have_count(0)


async def test_verify_an_entry_that_defines_the_register(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page()
    await page.goto(f"{served_site.url}/country/log/entries/0")
    await verify(page, served_site.logs["country"].signer.vkey)
    assert await states(page) == ["good"] * 5


async def test_verify_an_entry_that_ended_a_record(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page()
    await page.goto(f"{served_site.url}/hostile/log/entries/{served_site.logs['hostile'].size - 1}")
    await verify(page, served_site.logs["hostile"].signer.vkey)
    assert await states(page) == ["good"] * 5
    await expect(page.locator("[data-step=item]")).to_contain_text("ends the record")


async def test_verify_an_entry_whose_item_was_erased(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page()
    await page.goto(f"{served_site.url}/hostile/records/erased")
    await expect(page.get_by_text("What this record said was erased.")).to_be_visible()
    await verify(page, served_site.logs["hostile"].signer.vkey)
    assert await states(page) == ["good"] * 5
    await expect(page.locator("[data-step=item]")).to_contain_text("It was erased")


async def test_without_a_key_nothing_is_called_verified(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page()
    await page.goto(f"{served_site.url}/country/records/TR")
    await verify(page, "")
    assert await states(page) == ["good", "good", "good", "good", "open"]
    await expect(page.locator(".verdict")).to_contain_text("give the log's key")
    await expect(page.locator(".verify")).to_have_attribute("data-state", "open")


async def test_a_key_that_is_none_is_refused_with_the_reason(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page()
    await page.goto(f"{served_site.url}/country/records/TR")
    vkey = served_site.logs["country"].signer.vkey
    await page.get_by_label("A vkey a line").fill(vkey.replace("country", "county"))
    await page.get_by_role("button", name="Verify").click()
    await expect(page.get_by_role("alert")).to_contain_text("is not this key's")
    assert await states(page) == []


async def test_another_key_of_the_log_turns_it_red(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page()
    await page.goto(f"{served_site.url}/country/records/TR")
    await verify(page, generate_skey("registers.localhost/country").vkey)
    assert await states(page) == ["good", "good", "good", "good", "bad"]
    await expect(page.locator(".verdict")).to_contain_text("None of your keys of this log signed")


def _flip_path(proof: bytes) -> bytes:
    head, note = proof.split(b"\n\n", 1)
    lines = head.split(b"\n")
    lines[3] = (b"B" if lines[3][:1] == b"A" else b"A") + lines[3][1:]
    return b"\n".join(lines) + b"\n\n" + note


def _flip_root(proof: bytes) -> bytes:
    head, note = proof.split(b"\n\n", 1)
    lines = note.split(b"\n")
    lines[2] = (b"B" if lines[2][:1] == b"A" else b"A") + lines[2][1:]
    return head + b"\n\n" + b"\n".join(lines)


def _flip_signature(proof: bytes) -> bytes:
    at = proof.rindex(b" ") + 20
    return proof[:at] + (b"B" if proof[at : at + 1] == b"A" else b"A") + proof[at + 1 :]


def _flip_size(proof: bytes) -> bytes:
    return proof.replace(b"\n303\n", b"\n302\n")


TAMPERED = {
    "a hash of the path": ("**/*.proof", _flip_path, "path", "lead to"),
    "the root": ("**/*.proof", _flip_root, "path", "lead to"),
    "the size": ("**/*.proof", _flip_size, "signature", "does not verify with your key"),
    "a size of another shape": (
        "**/*.proof",
        lambda data: data.replace(b"\n303\n", b"\n99999\n"),
        "path",
        "fewer hashes",
    ),
    "the signature": ("**/*.proof", _flip_signature, "signature", "does not verify with your key"),
    "the index": ("**/*.proof", lambda data: data.replace(b"index 2", b"index 1"), "entry", "another entry"),
    "the timestamp": ("**/log/entries/*.json", lambda data: data.replace(b"2022-", b"2021-"), "path", "lead to"),
    "the key": ("**/log/entries/*.json", lambda data: data.replace(b'"TR"', b'"TX"'), "entry", "another entry"),
    "the item": ("**/items/*.json", lambda data: data.replace("Türkiye".encode(), b"Turkey"), "item", "hashes to"),
    "no JSON": ("**/items/*.json", lambda data: b"<html>", "item", "did not send JSON"),
    "no proof": ("**/*.proof", lambda data: b"", "entry", "A proof begins with"),
}


@both_widths
async def test_one_wrong_byte_turns_it_red_and_says_which_step_failed(
    width: str, open_page: Callable[..., Any], served_site: Site
) -> None:
    page, vkey = await open_page(width), served_site.logs["country"].signer.vkey
    await page.goto(f"{served_site.url}/country/records/TR")
    for what, (url, change, step, reason) in TAMPERED.items():
        await page.route(url, tampering(change))
        await verify(page, vkey)
        await check_failed(page, what, step, reason)
        await page.unroute(url)
    await verify(page, vkey)
    assert await states(page) == ["good"] * 5


def tampering(change: Callable[[bytes], bytes]) -> Callable[[Route], Awaitable[None]]:
    """Answers a request with what the server says, changed."""

    async def tamper(route: Route) -> None:
        body = await (await route.fetch()).body()
        assert change(body) != body
        await route.fulfill(status=200, body=change(body))

    return tamper


async def check_failed(page: Page, what: str, step: str, reason: str) -> None:
    """The panel is red, it was this step, everything before held and nothing after was looked at."""
    names = ["entry", "item", "leaf", "path", "signature"]
    failed = names.index(step)
    assert await states(page) == ["good"] * failed + ["bad"] + ["waiting"] * (4 - failed), what
    await expect(page.locator(".verify"), what).to_have_attribute("data-state", "bad")
    title = await page.locator(f"[data-step={step}] strong").inner_text()
    await expect(page.locator(".verdict"), what).to_contain_text(f"Failed at step {failed + 1} of 5, “{title}”")
    await expect(page.locator(".verdict"), what).to_contain_text(reason)
    wrong = page.get_by_role("img", name="it is not the signed one")
    await expect(wrong, what).to_have_count(1 if reason == "lead to" else 0)
    assert await overflow(page) == 0, what


async def test_a_server_that_fails_is_no_verification(open_page: Callable[..., Any], served_site: Site) -> None:
    page = await open_page(expected="the server responded with a status of 503")
    await page.route("**/*.proof", lambda route: route.fulfill(status=503))
    await page.goto(f"{served_site.url}/country/records/TR")
    await verify(page, served_site.logs["country"].signer.vkey)
    await expect(page.locator(".verdict")).to_contain_text("answered 503")
    assert (await states(page))[0] == "bad"


async def verify(page: Page, vkeys: str) -> None:
    """Gives keys and waits until the panel has judged."""
    await page.get_by_label("A vkey a line").fill(vkeys)
    await page.get_by_role("button", name="Verify").click()
    await expect(page.locator(".verify")).to_have_attribute("data-state", JUDGED)


async def overflow(page: Page) -> int:
    """By how many pixels a page is wider than what shows it."""
    return await page.evaluate("document.documentElement.scrollWidth - innerWidth")


async def states(page: Page) -> list[str]:
    """The state of each step."""
    return await page.locator("[data-step]").evaluate_all("steps => steps.map(step => step.dataset.state)")
