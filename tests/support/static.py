"""Published logs for the tests: a directory that is published to, and a web server that can be told to misbehave."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple

from mintmark.publish.object_store import PublishedLog, open_store
from mintmark.publish.publisher import Publisher
from mintmark.store.mirror.read_store import ReadStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mintmark.publish.publisher import Published
    from mintmark.store.log.log_store import LogStore
    from tests.support.world import World


class Answer(NamedTuple):
    """An answer instead of the file."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012  # never changed


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StaticServer

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Accept-Encoding"]))
        if self.headers["Cache-Control"] == "no-cache":
            self.server.past_caches.append(self.path)
        if self.server.behave is None or (answer := self.server.behave(self.path)) is None:
            super().do_GET()
            return
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class StaticServer(ThreadingHTTPServer):
    """Serves a directory. `behave` may answer in its place."""

    behave: Callable[[str], Answer | None] | None = None

    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(directory)))
        self.asked: list[tuple[str, str]] = []
        self.past_caches: list[str] = []  # the paths that were asked for past caches
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client may go."""


@contextmanager
def serving(directory: Path) -> Iterator[StaticServer]:
    """A web server of this directory, for the time of the block."""
    with StaticServer(directory) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def published_log(directory: Path, world: World) -> PublishedLog:
    """Where the world's log is published in a directory."""
    url = directory.as_uri()
    return PublishedLog(open_store(url), url, world.origin.rpartition("/")[2])


async def publish(store: LogStore, world: World, to: PublishedLog, clock: Callable[[], float] = time.time) -> Published:
    """Publishes the world's log, as it is in a database; in a read database, with a place for evidence."""
    evidence = store.evidence if isinstance(store, ReadStore) else None
    log = await store.log(world.origin)
    return await Publisher(store, log, world.verifiers, to, lambda _: None, evidence, clock).run()


def files(directory: Path) -> dict[str, bytes]:
    """Every file below a directory, by its path there."""
    return {str(f.relative_to(directory)): f.read_bytes() for f in sorted(directory.rglob("*")) if f.is_file()}
