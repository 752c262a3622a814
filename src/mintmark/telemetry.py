"""Log lines and counters of the servers. Only shells call this: mint, mirror and the command line's `run` commands."""

from __future__ import annotations

import sys
from traceback import format_exception
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter

from mintmark.errors import MintmarkError

if TYPE_CHECKING:
    from collections.abc import Callable

    EventSink = Callable[[str, str, str], None]  # event, origin, detail

_ERRORS = frozenset(("contradiction", "defect"))


def log_to_stderr() -> None:
    """One line an event. A traceback goes without the values of its variables: they are long, and may be secret."""
    from structlog.dev import ConsoleRenderer, plain_traceback

    console = ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain_traceback)
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[*structlog.get_config()["processors"][:-1], console],
    )


def event_sink(server: str) -> EventSink:
    """A function that logs and counts the events of a server ("mint", "mirror"). Call it once a process for each.

    A detail of several lines is a traceback, and is printed below the event.
    """
    counter = Counter(f"mintmark_{server}_events_total", f"Events that a {server} met", ["event", "origin"])
    log = structlog.get_logger(f"mintmark.{server}")

    def on_event(event: str, origin: str, detail: str) -> None:
        counter.labels(event, origin).inc()
        kind = "exception" if "\n" in detail else "detail"
        (log.error if event in _ERRORS else log.warning)(event, origin=origin, **{kind: detail})

    return on_event


def restart_teller(on_event: EventSink, task: str) -> Callable[[BaseException], None]:
    """A function that tells why a background task failed, for `aio.supervise`; a defect comes with its traceback."""

    def tell(error: BaseException) -> None:
        on_event("task restarted", "", f"{task}: {type(error).__name__}: {' '.join(str(error).split())}")
        if not isinstance(error, MintmarkError):
            on_event("defect", "", "".join(format_exception(error)))

    return tell
