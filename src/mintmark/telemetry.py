"""Log lines, counters and gauges of servers. Only shells call this: mint, mirror, the command line's `run` commands.

Gauges are read when somebody collects them, and cost nothing otherwise.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from traceback import format_exception
from typing import TYPE_CHECKING, NamedTuple

import structlog
from prometheus_client import REGISTRY, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from mintmark.errors import MintmarkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

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


class Reading(NamedTuple):
    """The value of a gauge now, of one log or ("") of the server."""

    gauge: str
    value: float
    origin: str = ""


class Gauges(Collector):
    """Gauges of one kind of server, by name, each with what it counts. Make them once a process."""

    def __init__(self, about: Mapping[str, str]) -> None:
        self._about = about
        self._readers: list[Callable[[], Iterable[Reading]]] = []
        REGISTRY.register(self)

    @contextmanager
    def read_by(self, read: Callable[[], Iterable[Reading]]) -> Iterator[None]:
        """Has a function read them, for the time of the block."""
        self._readers.append(read)
        try:
            yield
        finally:
            self._readers.remove(read)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Reads them, for the library."""
        families = {name: GaugeMetricFamily(name, text, labels=["origin"]) for name, text in self._about.items()}
        for read in self._readers:
            for reading in read():
                families[reading.gauge].add_metric([reading.origin], reading.value)
        return families.values()
