"""The connections of the read API: uvicorn's protocol, with bounds that no client can take from the others.

number      `max_connections`, a quarter of them from one address: beyond, the one that is idle for longest makes room
time        to send a header, and for the client to take something of an answer that waits for it
size        of a header; and of all that is written and not taken yet: who has not taken it for longest is cut off

The address is the peer's. Behind a proxy all clients have the proxy's, and share its quarter.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mintmark.api.requests import ABORT

if TYPE_CHECKING:
    import asyncio

MAX_CONNECTIONS = 4_096
MAX_UNTAKEN_BYTES = 256 * 2**20  # of all answers
MAX_HEADER_BYTES = 2**16
HEADER_SECONDS = 20.0  # from the connection, or from a header's first byte
STALL_SECONDS = 60.0  # in which a client takes nothing: the kernel's buffer alone may take a slow one long


class Connections:
    """The open connections of one server, by address, each address's longest idle first."""

    def __init__(
        self,
        max_connections: int = MAX_CONNECTIONS,
        max_untaken_bytes: int = MAX_UNTAKEN_BYTES,
        header_seconds: float = HEADER_SECONDS,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self.header_seconds, self.stall_seconds = header_seconds, stall_seconds
        self._max, self._max_of_address = max_connections, max(1, max_connections // 4)
        self._max_untaken_bytes = max_untaken_bytes
        self._by_address: dict[str, OrderedDict[GuardedProtocol, None]] = {}
        self._count = 0
        self._untaken: dict[GuardedProtocol, None] = {}  # the longest first

    def protocol(self, **settings: Any) -> GuardedProtocol:
        """The protocol of a new connection, as uvicorn asks for it."""
        return GuardedProtocol(self, **settings)

    def add(self, connection: GuardedProtocol) -> None:
        """Adds a connection. Where there are too many, closes an idle one, or this one if none is."""
        ours = self._by_address.setdefault(connection.address, OrderedDict())
        ours[connection] = None
        self._count += 1
        if len(ours) > self._max_of_address:
            _close_idle(ours, connection)
        elif self._count > self._max:
            _close_idle(max(self._by_address.values(), key=len), connection)

    def remove(self, connection: GuardedProtocol) -> None:
        """Forgets a connection that was lost."""
        self._untaken.pop(connection, None)
        ours = self._by_address.get(connection.address)
        if ours is not None and connection in ours:
            del ours[connection]
            self._count -= 1
            if not ours:
                del self._by_address[connection.address]

    def begin_request(self, connection: GuardedProtocol) -> None:
        """Tells that a connection is used."""
        ours = self._by_address.get(connection.address)
        if ours is not None and connection in ours:
            ours.move_to_end(connection)

    def begin_wait(self, connection: GuardedProtocol) -> None:
        """Tells that a client does not take what is written. Cuts clients off where that is too much."""
        self._untaken[connection] = None
        sizes = {each: each.transport.get_write_buffer_size() for each in self._untaken}
        excess = sum(sizes.values()) - self._max_untaken_bytes
        for each, size in sizes.items():
            if excess <= 0:
                return
            excess -= size
            del self._untaken[each]
            each.transport.abort()

    def end_wait(self, connection: GuardedProtocol) -> None:
        """Tells that a client has taken it."""
        self._untaken.pop(connection, None)


def _close_idle(among: OrderedDict[GuardedProtocol, None], newest: GuardedProtocol) -> None:
    found = next((each for each in among if each is not newest and each.idle), newest)
    found.transport.abort()


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, connections: Connections, **settings: Any) -> None:
        self._connections = connections
        self._in_header = False
        self._header_bytes = 0
        self._header_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self.address = ""
        super().__init__(**settings)

    @property
    def idle(self) -> bool:
        """True while no request is answered."""
        return self.transport.get_write_buffer_size() == 0 and (self.cycle is None or self.cycle.response_complete)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begins a connection."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._await_header()
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends a connection."""
        self._end_header()
        self._end_stall()
        self._connections.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses what came; a header that is not whole yet has bounds."""
        super().data_received(data)
        if not self._in_header:
            return
        self._header_bytes += len(data)
        if self._header_bytes > MAX_HEADER_BYTES:
            self.transport.abort()
        elif self._header_timer is None:
            self._await_header()

    def on_message_begin(self) -> None:
        """Begins a request."""
        super().on_message_begin()
        self._in_header = True

    def on_headers_complete(self) -> None:
        """Hands the request on."""
        self._end_header()
        self._connections.begin_request(self)
        self.scope[ABORT] = self.transport.abort  # type: ignore[literal-required]  # a key of our own
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """The client does not take what is written."""
        super().pause_writing()
        self._await_taking(self.transport.get_write_buffer_size())
        self._connections.begin_wait(self)

    def resume_writing(self) -> None:
        """The client has taken it."""
        super().resume_writing()
        self._end_stall()
        self._connections.end_wait(self)

    def _await_header(self) -> None:
        self._header_timer = self.loop.call_later(self._connections.header_seconds, self.transport.abort)

    def _end_header(self) -> None:
        self._in_header, self._header_bytes = False, 0
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _await_taking(self, size: int) -> None:
        self._stall_timer = self.loop.call_later(self._connections.stall_seconds, self._check_taking, size)

    def _check_taking(self, before: int) -> None:
        if (size := self.transport.get_write_buffer_size()) >= before:
            self.transport.abort()
        else:
            self._await_taking(size)

    def _end_stall(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
