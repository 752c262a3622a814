"""The journeys of people: to find a register and a record, follow a link, travel and compare.

Each journey is made at the width of a phone and of a desktop, with and without JavaScript. What is beside the way is
looked at twice. To check for themselves is in `test_verify_panel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from playwright.async_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.async_api import Page

    from tests.browser.conftest import Site

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

twice = pytest.mark.parametrize(
    "page", [("phone", False), ("desktop", True)], indirect=True, ids=["phone-no-script", "desktop"]
)


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


def time_shown(page: Page) -> Any:
    """What a page of the past says of its time."""
    return page.get_by_role("complementary", name="Time").get_by_role("note")


async def test_find_a_register(page: Page, served_site: Site) -> None:
    await page.goto(served_site.url)
    await expect(heading(page)).to_have_text("Registers")
    await page.get_by_role("link", name="Country", exact=True).click()
    await expect(heading(page)).to_have_text("Country")
    root = served_site.logs["country"].edge.root().hex()
    await expect(page.get_by_role("complementary", name="Fingerprint")).to_contain_text(root)
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
    await expect(time_shown(page)).to_contain_text("the end of 1 March 2021")
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
    await expect(time_shown(page)).to_contain_text(f"as of size {size}")
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
