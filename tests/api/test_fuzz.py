"""Whatever the OpenAPI document lets one ask, and what it does not: never a fault, always what the document promises.

Requests are made by schemathesis, from the document that is served, and sent to a server on a port.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis import checks

from mintmark.api.openapi.document import DOCUMENT
from mintmark.api.server import opened
from tests.api.conftest import ELSEWHERE
from tests.support.published_facts import SHARED, UNPUBLISHED, facts

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = 12
PATTERN = re.compile(DOCUMENT["components"]["parameters"]["at"]["schema"]["pattern"])
REGISTERS = ["country", "field", "information-sharing-agreement-0001", "government-service"]
SECRETS = (b"Traceback", b"psycopg", b"select ", b"from entry", b"LINE 1", b"site-packages", b"mintmark/")
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]
if not SHARED.is_dir():  # the hooks need it before any fixture could skip
    pytest.skip(UNPUBLISHED, allow_module_level=True)
schema = schemathesis.openapi.from_dict(DOCUMENT)


@schema.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Most requests are of registers, records and items that are there; what is left is as it was made."""
    if not path_parameters:
        return path_parameters
    chance = int(sha256(repr(sorted(path_parameters.items(), key=str)).encode()).hexdigest(), 16)
    name = REGISTERS[chance % 4]
    known = facts(name)
    there = {
        "register": name,
        "key": list(known.latest)[chance % len(known.latest)],
        "field": known.columns[chance % len(known.columns)],
        "digest": list(known.raw)[chance % len(known.raw)],
    }
    if chance // 7 % 5 == 0:
        del there["key"], there["field"], there["digest"]
    if chance // 11 % 9 == 0:
        del there["register"]
    return {part: there.get(part, value) for part, value in path_parameters.items()}


@schema.hook
def map_query(context: Any, query: dict[str, Any] | None) -> dict[str, Any] | None:
    """Half of the sizes and times that could be are of this log."""
    for name in ("at", "from", "to"):
        if isinstance(text := (query or {}).get(name), str) and PATTERN.fullmatch(text) and len(text) % 2:
            query = query | {name: str(int(text[:9], 10) % 60) if text.isdecimal() else f"20{len(text)}-01-01"}
    return query


@pytest.fixture(scope="module")
def url(published_db: str) -> Iterator[str]:
    """The API over the published registers, on a port, in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    servers: list[uvicorn.Server] = []
    ready = threading.Event()

    async def serve() -> None:
        async with opened(published_db, ELSEWHERE) as app:
            servers.append(uvicorn.Server(uvicorn.Config(app, http="httptools", lifespan="off", log_config=None)))
            ready.set()
            await servers[0].serve([listener])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(30)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    servers[0].should_exit = True
    thread.join(20)
    listener.close()


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_document_is_kept(case: schemathesis.Case, url: str) -> None:
    response = case.call(base_url=url, allow_redirects=False)
    case.validate_response(response, checks=CHECKS)
    if response.status_code >= 400:
        assert not any(word in response.content for word in SECRETS)
