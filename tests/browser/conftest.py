"""A real browser for the pages of the read API: the system's Chromium, headless, without a way out of this machine.

Everything here is one event loop's: Playwright's, the servers' and the tests'. A page that breaks its own policy,
throws, logs an error or asks another host for anything fails the test that opened it, unless that test says which error
it means to see.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from mintmark.api.server import opened
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from tests.support import site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.postgres import TestPostgres
    from tests.support.world import World

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WATCH = """document.addEventListener("securitypolicyviolation",
    (event) => console.error(`Content Security Policy: ${event.violatedDirective} ${event.blockedURI}`))"""
HERE = re.compile(r"http://(127\.0\.0\.1|[a-z-]+\.registers\.localhost):")  # the second is the first, to Chromium
WIDTHS = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 900}}


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """An ASGI application on a free port; its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve([listener]))
    try:
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event to wait for
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()


@dataclass(frozen=True)
class Site:
    """The read API, served: its URL, and the logs whose copies it reads."""

    url: str
    logs: dict[str, World]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def served_site(postgres: TestPostgres) -> AsyncIterator[Site]:
    """The samples and the register `hostile`, mirrored into a database and served."""
    name = postgres.create("read")
    database = postgres.server.conninfo(name)
    logs = site.worlds()
    async with open_pool(database, 2) as pool:
        await site.mirror(ReadStore(pool), logs)
    async with opened(database, {}) as app, served(app) as url:
        yield Site(url, logs)
    postgres.drop(name)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The browser of this session."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser) -> AsyncIterator[Callable[..., Any]]:
    """Opens a page of a width, with options of its context. What goes wrong in one fails the test."""
    contexts: list[BrowserContext] = []
    troubles: list[str] = []

    async def open_(width: str = "desktop", expected: str | None = None, **options: Any) -> Page:
        contexts.append(await browser.new_context(viewport=WIDTHS[width], **options))
        page = await contexts[-1].new_page()

        def note(text: str) -> None:
            if expected is None or expected not in text:
                troubles.append(text)

        page.on("console", lambda message: note(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: note(str(error)))
        page.on("request", lambda request: None if HERE.match(request.url) else note(f"asked for {request.url}"))
        if options.get("java_script_enabled", True):
            await page.add_init_script(WATCH)
        return page

    yield open_
    for context in contexts:
        await context.close()
    assert troubles == []
