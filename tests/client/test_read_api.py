"""What a read API answers is bounded before anything is made of it: in bytes received, and in bytes unpacked."""

from __future__ import annotations

import gzip
import json
import threading
import tracemalloc
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from mintmark.client.read_api import MAX_ANSWER_BYTES, NotAReadApi, ReadApi, RecordLocation

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORD = json.dumps({"7": {"index": 5}}).encode()
BOMB_BYTES = 200 * 2**20


@contextmanager
def answering(body: bytes, encoding: str = "identity") -> Iterator[str]:
    """A server that answers every request with this body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Mintmark-Size", "9")
            self.send_header("Content-Encoding", encoding)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except ConnectionError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def locate(url: str) -> RecordLocation:
    api = ReadApi(url)
    try:
        return await api.locate("thing", "7")
    finally:
        await api.close()


async def test_an_answer_up_to_the_bound_is_taken_and_one_beyond_it_is_refused() -> None:
    with answering(RECORD.ljust(MAX_ANSWER_BYTES)) as url:
        assert await locate(url) == RecordLocation(5, 9)
    with answering(RECORD.ljust(MAX_ANSWER_BYTES + 1)) as url, pytest.raises(NotAReadApi, match="no record is so long"):
        await locate(url)


async def test_an_answer_that_unpacks_beyond_the_bound_is_refused_before_it_is_unpacked() -> None:
    bomb = gzip.compress(RECORD.ljust(BOMB_BYTES), 9)
    assert len(bomb) < MAX_ANSWER_BYTES
    with answering(bomb, "gzip") as url:
        tracemalloc.start()
        try:
            with pytest.raises(NotAReadApi):
                await locate(url)
            assert tracemalloc.get_traced_memory()[1] < 10 * MAX_ANSWER_BYTES
        finally:
            tracemalloc.stop()
