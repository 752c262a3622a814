"""The last journey: people check a record in their own browser, and see which step fails where the server lies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from mintmark.tlog.note import generate_skey
from mintmark.tlog.proof_file import ProofParts, format_parts, format_proof, parse_parts, parse_proof
from tests.browser.test_journeys import heading

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from playwright.async_api import Page, Route

    from tests.browser.conftest import Site

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

JUDGED = re.compile("good|bad|open")
both_widths = pytest.mark.parametrize("width", ["phone", "desktop"])


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
    said = "What this record said was erased by entry 28 of the log; reason: Personal data; authority: The court."
    await expect(page.get_by_text(said)).to_be_visible()
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


def _with_parts(change: Callable[[ProofParts], ProofParts]) -> Callable[[bytes], bytes]:
    def changed(proof: bytes) -> bytes:
        parsed = parse_proof(proof)
        parts = parse_parts(parsed.extra)
        assert parts is not None
        return format_proof(parsed._replace(extra=format_parts(change(parts))))

    return changed


TAMPERED = {
    "the entry in the proof file": (
        "**/*.proof",
        _with_parts(lambda parts: parts._replace(entry=parts.entry.replace(b"TR", b"TX"))),
        "path",
        "holds another entry",
    ),
    "the item in the proof file": (
        "**/*.proof",
        _with_parts(lambda parts: parts._replace(item=(parts.item or b"") + b" ")),
        "item",
        "holds another item",
    ),
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
