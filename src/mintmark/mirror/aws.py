"""The mirror as an AWS Lambda function: a schedule or a message starts a run that ends in time.

    MINTMARK_MIRROR__DATABASE   the read database (through RDS Proxy or any transaction pooler)
    MINTMARK_MIRROR__SOURCES    JSON list of HOST:PORT, or of URLs that logs are published at, best first
    MINTMARK_MIRROR__VKEYS      the logs' public keys, separated by blanks or line ends
    MINTMARK_MIRROR__FRESH_FOR  the seconds that a run's word holds: the schedule's period, and what a run takes

There is no state but the read database, and one function follows any number of logs. The pool is kept between the
invocations of one container; an invocation that died leaves leases of a few seconds and nothing else. An event may name
the logs to follow, `{"logs": ["country"]}`, as may the bodies of queued messages; without a name all are followed.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any, Protocol

from mintmark.errors import MintmarkError, Misconfigured
from mintmark.mirror.run_once import LogResult, once
from mintmark.mirror.source_words import FRESH_SECONDS
from mintmark.mirror.worker import Worker
from mintmark.sources.open import expand_addresses, open_source
from mintmark.store.connection.migrate import migrate
from mintmark.store.connection.pool import open_pool
from mintmark.store.mirror.read_store import ReadStore
from mintmark.tlog.note import parse_vkey
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mintmark.store.connection.pool import Pool
    from mintmark.tlog.note import Verifier

RESERVED_SECONDS = 3.0  # for the last commit and the answer
MAX_CONNECTIONS = 8  # two catch-ups of one source take three each


class LambdaContext(Protocol):
    """The context that Lambda hands a function."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """The milliseconds that are left of the time limit."""


class _Container:
    """The state of a container: an event loop, and a pool of connections in it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._pool: Pool | None = None

    async def pool(self) -> Pool:
        if self._pool is None:
            database = _setting("DATABASE")
            await migrate(database, "read")
            self._pool = open_pool(database, MAX_CONNECTIONS)
            await self._pool.open(wait=True)
        return self._pool


_container: _Container | None = None


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Follows the logs to their present heads, while there is time. Raises MintmarkError where one could not go on."""
    global _container  # a container's state, by Lambda's design
    _container = _container or _Container()
    reached = _container.loop.run_until_complete(_run(_container, event, context))
    if failed := [log for log in reached if log.error is not None]:
        raise MintmarkError("; ".join(f"{log.origin}: {log.error}" for log in failed))
    return {
        "done": all(log.done for log in reached),
        "logs": {log.origin: {"size": log.size, "target": log.target} for log in reached},
    }


async def _run(container: _Container, event: Mapping[str, Any], context: LambdaContext) -> list[LogResult]:
    trust = _wanted(_trust(), event)
    pool = await container.pool()
    clients = [open_source(address) for address in expand_addresses(json.loads(_setting("SOURCES")), trust)]
    name = f"lambda-{context.aws_request_id}"
    worker = Worker(name, ReadStore(pool), clients, trust, fresh_for=_fresh_for())
    try:
        return await once(worker, context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS)
    finally:
        for client in clients:
            await client.close()


def _wanted(trust: Mapping[str, Sequence[Verifier]], event: Mapping[str, Any]) -> dict[str, Sequence[Verifier]]:
    """The logs that an event or its messages name, by origin or short name; all where none is named."""
    bodies = [json.loads(record["body"]) for record in event.get("Records", []) if "body" in record] or [event]
    names = {name for body in bodies for name in body.get("logs", [])}
    return {origin: keys for origin, keys in trust.items() if not names or {origin, short_name(origin)} & names}


def _trust() -> dict[str, Sequence[Verifier]]:
    trust: dict[str, list[Verifier]] = {}
    for text in _setting("VKEYS").split():
        verifier = parse_vkey(text)
        trust.setdefault(verifier.name, []).append(verifier)
    return dict(trust)


def _fresh_for() -> float:
    text = _setting("FRESH_FOR", f"{FRESH_SECONDS:.0f}")
    if not text.isdecimal():
        raise Misconfigured(f"MINTMARK_MIRROR__FRESH_FOR is {text!r}, and not a whole number of seconds")
    return float(text)


def _setting(name: str, default: str = "") -> str:
    key = f"MINTMARK_MIRROR__{name}"
    if not (value := os.environ.get(key, default)):
        raise Misconfigured(f"{key} is not set; see mintmark.mirror.aws")
    return value
