"""One table between our errors and gRPC's status codes, used in both directions.

A status code cannot carry the rule and field that refused an entry, or when to try again: they travel as trailing
metadata, so that a client raises the same error as the server did.
"""

from __future__ import annotations

import functools
import logging
import math
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import grpc

from mintmark import errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Context = grpc.aio.ServicerContext[Any, Any]

S = TypeVar("S")
Q = TypeVar("Q")
R = TypeVar("R")

_log = logging.getLogger(__name__)
_Code = grpc.StatusCode

# A server takes the code of the most derived class that stands here; a client takes the first class of a code.
STATUS: dict[type[errors.MintmarkError], grpc.StatusCode] = {
    errors.Malformed: _Code.INVALID_ARGUMENT,
    errors.Untrusted: _Code.DATA_LOSS,
    errors.Rejected: _Code.FAILED_PRECONDITION,
    errors.Conflict: _Code.ABORTED,
    errors.Busy: _Code.RESOURCE_EXHAUSTED,
    errors.NotFound: _Code.NOT_FOUND,
    errors.Gone: _Code.NOT_FOUND,
    errors.NotAvailableYet: _Code.NOT_FOUND,
    errors.Unauthenticated: _Code.UNAUTHENTICATED,
    errors.Forbidden: _Code.PERMISSION_DENIED,
    errors.Unavailable: _Code.UNAVAILABLE,
    errors.MintmarkError: _Code.INTERNAL,
}
_ERRORS = {code: error for error, code in reversed(STATUS.items())} | {
    _Code.DEADLINE_EXCEEDED: errors.Unavailable,
    _Code.CANCELLED: errors.Unavailable,
    _Code.OUT_OF_RANGE: errors.NotAvailableYet,
    _Code.UNKNOWN: errors.Unavailable,
}
MAX_RETRY_AFTER_SECONDS = 60.0
MAX_DETAILS_CHARACTERS, MAX_FIELD_CHARACTERS = 1000, 200  # a status longer than a header may be reaches no client
# Keys of trailing metadata.
_RETRY_AFTER, _RULE, _FIELD, _INDEX = "retry-after", "mintmark-rule-bin", "mintmark-field-bin", "mintmark-index"
_ABSENCE = "mintmark-absence"  # the error that NOT_FOUND stands for
_ANSWER = "mintmark-answer"  # of a server of ours: gRPC itself says UNAVAILABLE where no server is reached
_ABSENCES: dict[str, type[errors.MintmarkError]] = {"gone": errors.Gone, "not-available-yet": errors.NotAvailableYet}


def status(error: errors.MintmarkError) -> grpc.StatusCode:
    """The status code of an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def trailers(error: errors.MintmarkError) -> tuple[tuple[str, str | bytes], ...]:
    """The metadata that a client needs to raise the same error."""
    if isinstance(error, errors.Busy):
        return ((_RETRY_AFTER, f"{error.retry_after:.3f}"),)
    if isinstance(error, errors.Rejected):
        found: tuple[tuple[str, str | bytes], ...] = (
            (_RULE, error.rule.encode()),
            (_FIELD, error.field[:MAX_FIELD_CHARACTERS].encode()),
        )
        return found if error.index is None else (*found, (_INDEX, str(error.index)))
    if isinstance(error, errors.Unavailable):
        return ((_ANSWER, "1"),)
    return tuple((_ABSENCE, name) for name, kind in _ABSENCES.items() if isinstance(error, kind))


def is_answer(error: grpc.aio.AioRpcError) -> bool:
    """True if a server of ours said UNAVAILABLE: it was reached, and something behind it was not."""
    return _ANSWER in dict(error.trailing_metadata() or ())


def from_rpc_error(error: grpc.aio.AioRpcError) -> errors.MintmarkError:
    """The error that a failed call stands for."""
    kind = _ERRORS.get(error.code(), errors.MintmarkError)
    details = error.details() or error.code().name
    meta: dict[str, Any] = dict(error.trailing_metadata() or ())
    if kind is errors.Busy:
        return errors.Busy(details, _seconds(meta.get(_RETRY_AFTER)))
    if kind is errors.Rejected:
        rule, field = (meta.get(key, b"").decode(errors="replace") for key in (_RULE, _FIELD))
        index = meta.get(_INDEX)
        at = int(index) if isinstance(index, str) and index.isascii() and index.isdecimal() else None
        return errors.Rejected(details, rule=rule, field=field, index=at)
    if kind is errors.NotFound:
        return _ABSENCES.get(meta.get(_ABSENCE, ""), kind)(details)
    return kind(details)


def _seconds(value: object) -> float:
    """The seconds to wait, as a server says: at most a minute, and one second where it says nonsense."""
    try:
        seconds = float(str(value))
    except ValueError:
        return 1.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS) if math.isfinite(seconds) else 1.0


async def refuse(context: Context, error: Exception) -> NoReturn:
    """Ends a call with the status of an error. A defect is logged, and answered as an internal error.

    What the operator is to mend is logged, too: a stranger learns no path, host or user of the server.
    """
    if not isinstance(error, errors.MintmarkError):
        _log.error("defect in a call", exc_info=error)
        error = errors.MintmarkError("internal error; the server's log has it")
    elif isinstance(error, errors.Misconfigured):
        _log.error("a call failed: %s", error)
        error = errors.MintmarkError("the server is not set up for this; its operator finds the reason in its log")
    said = error.public if isinstance(error, errors.Unavailable) else str(error)
    await context.abort(status(error), said[:MAX_DETAILS_CHARACTERS], trailers(error))
    raise AssertionError("abort raises")


def message(received: Q | None) -> Q:
    """A message as `transport.strictly` parsed it. Raises Malformed for one that it refused."""
    if received is None:
        raise errors.Malformed("this is no message of this protocol, or has more fields than any of them")
    return received


def unary(
    method: Callable[[S, Q, Context], Awaitable[R]],
) -> Callable[[S, Q, Context], Awaitable[R]]:
    """A unary method whose errors become status codes."""

    @functools.wraps(method)
    async def call(self: S, request: Q, context: Context) -> R:
        try:
            return await method(self, message(request), context)
        except Exception as error:  # noqa: BLE001  # the edge of the process: every error becomes a status
            await refuse(context, error)

    return call


def stream(
    method: Callable[[S, Q, Context], AsyncIterator[R]],
) -> Callable[[S, Q, Context], AsyncIterator[R]]:
    """A streaming method whose errors become status codes."""

    @functools.wraps(method)
    async def call(self: S, request: Q, context: Context) -> AsyncIterator[R]:
        try:
            async for answer in method(self, message(request), context):
                yield answer
        except Exception as error:  # noqa: BLE001  # the edge of the process: every error becomes a status
            await refuse(context, error)

    return call
