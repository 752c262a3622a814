"""`mintmark mint`, `mintmark mirror`, `mintmark serve`: settings and keys in, a server until SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import resource
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from mintmark.cli import exits
from mintmark.cli.options import json_option, server_config_option
from mintmark.cli.output import answer, run, run_until_stopped
from mintmark.cli.run.supervisor import end_with_parent
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from mintmark.mirror.run_once import LogResult

M_MMAP_THRESHOLD = -3  # glibc's code of the parameter
LARGE_BLOCK_BYTES = 4 * 2**20
MAX_OPEN_FILES = 65_536  # a connection is one
GC_THRESHOLD_OBJECTS = 10_000  # made between two runs of the garbage collector


def _begin() -> None:
    """Has this server end with the `up` that started it, open as many files as it may, and log to stderr.

    stdout is for results. SIGHUP asks servers to read their files again. It ends none, whether it has files to read or
    not, or not yet.
    """
    from mintmark.telemetry import log_to_stderr

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end_with_parent()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MAX_OPEN_FILES) if soft < MAX_OPEN_FILES else soft, hard))
    log_to_stderr()


def _run_server(server: Coroutine[Any, Any, None]) -> None:
    """Runs a server until SIGINT or SIGTERM, with little garbage collection.

    Objects that are loaded by now live as long as the process, and those of a request die with their last reference.
    Looking for cycles after every 700 objects takes a tenth of a mint's time.
    """
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD_OBJECTS)
    _give_large_blocks_back()
    run_until_stopped(server, _new_loop)


def _give_large_blocks_back() -> None:
    """Has glibc return freed blocks of this size to the system: it would keep all up to the largest it ever freed."""
    with suppress(OSError, AttributeError):  # another libc
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def _new_loop() -> asyncio.AbstractEventLoop:
    """An event loop for many small calls: uvloop's, where it runs, answers a fifth more of them."""
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@click.command()
@server_config_option
def mint(config: Path | None) -> None:
    """Serve the mint of the configuration's [mint] section, until SIGINT or SIGTERM."""
    _begin()
    from mintmark.config.settings import load_mint
    from mintmark.mint.server import serve_mint

    settings = load_mint(config)
    _run_server(serve_mint(settings.database, settings.listen, settings.keys, settings.tokens))


@click.command()
@server_config_option
@click.option("--once", is_flag=True, help="Go to the heads of now, then end.")
@click.option(
    "--deadline", type=float, metavar="SECONDS", default=50, show_default=True, help="With --once: do what fits."
)
@json_option
def mirror(config: Path | None, once: bool, deadline: float, as_json: bool) -> int:
    """Keep verified copies of the logs of the configuration's [mirror] section, until SIGINT or SIGTERM.

    With --once, exit 0 means that each log is verified up to the head it had at the start; 4, that one is not yet; 3,
    that one lied, and why is in `mintmark evidence NAME`.
    """
    _begin()
    from mintmark.config.settings import load_mirror
    from mintmark.config.trust_store import TrustStore
    from mintmark.mint.keys import read_keys
    from mintmark.mirror.server import mirror_once, serve_mirror

    settings = load_mirror(config)
    trust_store = TrustStore(config)
    cosigners = read_keys(settings.key) if settings.key else ()
    database, fresh_for = settings.database, settings.fresh_for
    if once:
        reached = run(mirror_once(database, trust_store, deadline, cosigners=cosigners, fresh_for=fresh_for))
        return _print_results(reached, as_json)
    listen = settings.listen
    _run_server(serve_mirror(database, trust_store, listen=listen, cosigners=cosigners, fresh_for=fresh_for))
    return exits.OK


def _print_results(logs: list[LogResult], as_json: bool) -> int:
    for log in logs:
        state = {"origin": log.origin, "size": log.size, "target": log.target, "done": log.done, "error": log.error}
        answer(as_json, state, f"{log.origin}: {log.size} of {log.target}{_reason(log)}")
    if any(log.lied for log in logs):
        return exits.LIED
    return exits.OK if all(log.done for log in logs) else exits.NOT_YET


def _reason(log: LogResult) -> str:
    """The reason why a log is not at its target, and what there is to do."""
    if not log.lied:
        return f"; {log.error}" if log.error else ""
    name, reason = short_name(log.origin), log.error or "by a source, which is not used any more"
    what = "stopped" if log.stopped else "contradicted"
    return f"; {what}: {reason}; see `mintmark evidence {name}`, and once you have decided, `mintmark resume {name}`"


@click.command()
@server_config_option
def serve(config: Path | None) -> None:
    """Serve the read API of the configuration's [api] section, until SIGINT or SIGTERM."""
    _begin()
    from mintmark.api.server import serve
    from mintmark.config.settings import load_api

    settings = load_api(config)
    _run_server(serve(settings.database, settings.listen, settings.links))
