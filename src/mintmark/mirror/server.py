"""The mirror's shell: a worker over its sources, its copies served over gRPC, logs and metrics.

Settings come in as values and as `KeySource`, which reads keys anew when their files change or on SIGHUP.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from typing import TYPE_CHECKING, NamedTuple, Protocol

import grpc
import structlog

from mintmark.aio import reload_on_change, supervise
from mintmark.errors import BadSignature, MintmarkError, Misconfigured
from mintmark.formats import name_fault
from mintmark.mirror.run_once import NO_LOGS, LogResult, once
from mintmark.mirror.source_words import FRESH_SECONDS
from mintmark.mirror.worker import Worker
from mintmark.rpc.confirmations import Confirmations
from mintmark.rpc.mintmark_pb import log_pb2_grpc
from mintmark.rpc.server import SERVER_OPTIONS, add_standard_services, bind, strict_server
from mintmark.rpc.service import LogService
from mintmark.sources.open import open_source
from mintmark.store.connection.migrate import migrate
from mintmark.store.connection.pool import open_pool
from mintmark.store.log.cached_reader import CachedLogReader
from mintmark.store.log.heads import HeadListener
from mintmark.store.mirror.read_store import ReadStore
from mintmark.telemetry import Gauges, Reading, event_sink, restart_teller
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.cosignature import COSIGNATURE_KINDS
from mintmark.tlog.keys import public_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from mintmark.formats import LogKind
    from mintmark.rpc.server import ServiceHealth
    from mintmark.sources.grpc import GrpcSource
    from mintmark.sources.tiles import TilesSource
    from mintmark.store.mirror.freshness import Confirmable
    from mintmark.tlog.note import Signer, Verifier

MAX_CONNECTIONS = 24
RELOAD_INTERVAL_SECONDS = 2.0  # between looks at the files

LAG_GAUGE, AGE_GAUGE = "mintmark_mirror_lag_entries", "mintmark_mirror_confirmation_age_seconds"

_log = structlog.get_logger("mintmark.mirror")
_gauges = Gauges(
    {
        LAG_GAUGE: "Entries of a log that a source showed and that are not complete here",
        AGE_GAUGE: "Seconds since a source confirmed that these are all; infinite: never",
    }
)
_on_event = event_sink("mirror")


class FollowConfig(NamedTuple):
    """The logs to follow, origin -> verifiers, and their sources: HOST:PORT or a URL, best first.

    `kinds`: origin -> kind, of the logs whose kind no source is asked for.
    """

    trust: Mapping[str, Sequence[Verifier]]
    sources: Sequence[str]
    kinds: Mapping[str, LogKind]


class KeySource(Protocol):
    """Gives the logs to follow, their keys and their sources."""

    def load(self) -> FollowConfig:
        """The present configuration. Raises Misconfigured."""

    def stamp(self) -> object:
        """A value that changes when `load` may give another; cheap."""


async def serve_mirror(
    database: str,
    keys: KeySource,
    *,
    listen: str | None = None,
    cosigners: Sequence[Signer] = (),
    name: str = "",
    fresh_for: float = FRESH_SECONDS,
) -> None:
    """Mirrors until cancelled. Raises Misconfigured, Unavailable at the start; later troubles are tried again."""
    async with (
        _worker(database, keys, cosigners, name, fresh_for) as (worker, clients),
        _serving(worker.store, database, listen) as served,
        asyncio.TaskGroup() as tasks,
    ):
        _log_followed(worker.trust)
        tasks.create_task(supervise(worker.run, restart_teller(_on_event, "worker")))
        reload = partial(_reload, worker, clients, keys, cosigners)
        watch = partial(reload_on_change, keys.stamp, reload, RELOAD_INTERVAL_SECONDS, keys.stamp())
        tasks.create_task(supervise(watch, restart_teller(_on_event, "configuration")))
        if served is not None:
            tasks.create_task(served.heads.run(restart_teller(_on_event, "heads")))
            confirm = partial(served.confirmations.run, served.health)
            tasks.create_task(supervise(confirm, restart_teller(_on_event, "confirmations")))


async def mirror_once(
    database: str,
    keys: KeySource,
    seconds: float,
    *,
    cosigners: Sequence[Signer] = (),
    fresh_for: float = FRESH_SECONDS,
) -> list[LogResult]:
    """One run to the present heads, for at most about `seconds`; how far each log got."""
    async with _worker(database, keys, cosigners, "", fresh_for) as (worker, _):
        return await once(worker, seconds)


class _Clients:
    """A client for each address, for as long as it is configured."""

    def __init__(self) -> None:
        self._open: dict[str, GrpcSource | TilesSource] = {}

    def open(self, addresses: Sequence[str]) -> list[GrpcSource | TilesSource]:
        self._open |= {address: open_source(address) for address in addresses if address not in self._open}
        return [self._open[address] for address in dict.fromkeys(addresses)]

    async def close_others(self, addresses: Sequence[str]) -> None:
        for address in self._open.keys() - set(addresses):
            await self._open.pop(address).close()


@asynccontextmanager
async def _worker(
    database: str, keys: KeySource, cosigners: Sequence[Signer], name: str, fresh_for: float
) -> AsyncIterator[tuple[Worker, _Clients]]:
    config = keys.load()
    check_cosigners(cosigners, config.trust)
    await migrate(database, "read")
    clients = _Clients()
    try:
        async with open_pool(database, MAX_CONNECTIONS) as pool:
            sources, name = clients.open(config.sources), name or f"{socket.gethostname()}-{os.getpid()}"
            worker = Worker(
                name, ReadStore(pool), sources, config.trust, kinds=config.kinds,
                cosigners=cosigners, on_event=_on_event, fresh_for=fresh_for,
            )  # fmt: skip
            with _gauges.read_by(partial(_read_gauges, worker)):
                yield worker, clients
    finally:
        await clients.close_others(())


def check_cosigners(cosigners: Sequence[Signer], trust: Mapping[str, Sequence[Verifier]]) -> None:
    """A mirror speaks for itself. Raises Misconfigured for a key that a log signs with, or that is not for
    cosignatures.
    """
    if any(cosigner.kind not in COSIGNATURE_KINDS for cosigner in cosigners):
        raise Misconfigured("[mirror] key is a log's; make a cosigner's with mintmark keygen --cosigner")
    ours = {public_key(cosigner.vkey) for cosigner in cosigners}
    if origin := next((o for o, keys in trust.items() for key in keys if public_key(key.vkey) in ours), None):
        raise Misconfigured(f"[mirror] key is that of {origin}; a mirror cosigns with a key of its own")


def _read_gauges(worker: Worker) -> Iterator[Reading]:
    for lag in worker.lags():
        yield Reading(LAG_GAUGE, lag.entries, lag.origin)
        yield Reading(AGE_GAUGE, inf if lag.age is None else lag.age, lag.origin)


def _log_followed(trust: Mapping[str, Sequence[Verifier]]) -> None:
    for origin in trust:
        if (fault := name_fault(origin, "opaque")) is not None:
            _log.warning("log cannot be linked", origin=origin, detail=fault)
    if trust:
        _log.info("following", logs=len(trust))
    else:
        _log.warning(NO_LOGS)


async def _reload(worker: Worker, clients: _Clients, keys: KeySource, cosigners: Sequence[Signer]) -> bool:
    """Reads keys and configuration again. Where they cannot be read, the old ones stay in force until they change."""
    try:
        config = keys.load()
        check_cosigners(cosigners, config.trust)
    except MintmarkError as error:
        _log.error("configuration not reloaded", detail=str(error))
    else:
        _log_followed(config.trust)
        trust = {origin: await _with_needed(worker, origin, new) for origin, new in config.trust.items()}
        worker.follow(trust, clients.open(config.sources), config.kinds)
        await clients.close_others(config.sources)
    return True


async def _with_needed(worker: Worker, origin: str, keys: Sequence[Verifier]) -> Sequence[Verifier]:
    """The new keys of a log, and the old ones too where no new one has signed the head that is stored: without them
    nobody could tell that the log is still the same.
    """
    old = worker.trust.get(origin, ())
    if not set(old) - set(keys):
        return keys
    try:
        note = (await worker.store.progress(origin)).note
        if note is not None:
            open_checkpoint(note, origin, keys)
    except BadSignature:
        reason = (
            "its stored head is signed by none of its new keys, so the old ones stay in force until the next reload"
        )
        _on_event("key needed", origin, f"{reason}; put the old key back beside the new one until the log has grown")
        return tuple(dict.fromkeys([*keys, *old]))
    except MintmarkError as error:
        _on_event("trouble", origin, f"the stored head was not compared with the new keys: {error}")
    return keys


class _Served(NamedTuple):
    """What the caller of `_serving` runs: who announces heads, who confirms them, and who hears whether they are."""

    heads: HeadListener
    confirmations: Confirmations
    health: ServiceHealth


@asynccontextmanager
async def _serving(store: ReadStore, database: str, listen: str | None) -> AsyncIterator[_Served | None]:
    """Serves our copies as the mint serves its logs, for the time of the block: a mirror can be mirrored."""
    if listen is None:
        yield None
        return
    heads = HeadListener(store.pool, database)
    confirmations = Confirmations(partial(_look, heads, store))
    server = grpc.aio.server(options=SERVER_OPTIONS)
    service = LogService(CachedLogReader(store), heads, confirmations)
    log_pb2_grpc.add_LogServicer_to_server(service, strict_server(server))
    health = await add_standard_services(server, "Log")
    bind(server, listen, "[mirror] listen")
    await server.start()
    try:
        yield _Served(heads, confirmations, health)
    finally:
        await server.stop(grace=1)


async def _look(heads: HeadListener, store: ReadStore) -> Confirmable:
    """What our sources confirm, once our streams were told of the heads that moved."""
    await heads.compare_sizes()
    return await store.freshness.confirmable()
