"""One table between our errors and gRPC's status codes, used in both directions.

What a status code cannot carry (the rule and field that refused an entry, when to try again) travels as trailing
metadata, so that a client raises the same error that the server did.
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

# The most derived class of an error that stands here decides. Left to right on the server, right to left in a client,
# where the first of several classes with one code is taken.
STATUS: dict[type[errors.MintmarkError], grpc.StatusCode] = {
    errors.Malformed: _Code.INVALID_ARGUMENT,
    errors.Untrusted: _Code.DATA_LOSS,
    errors.Rejected: _Code.FAILED_PRECONDITION,
    errors.Conflict: _Code.ABORTED,
    errors.Busy: _Code.RESOURCE_EXHAUSTED,
    errors.NotFound: _Code.NOT_FOUND,
    errors.Gone: _Code.NOT_FOUND,
    errors.NotAvailableYet: _Code.NOT_FOUND,
    errors.Forbidden: _Code.PERMISSION_DENIED,
    errors.Unavailable: _Code.UNAVAILABLE,
    errors.MintmarkError: _Code.INTERNAL,
}
_ERRORS = {code: error for error, code in reversed(STATUS.items())} | {
    _Code.DEADLINE_EXCEEDED: errors.Unavailable,
    _Code.CANCELLED: errors.Unavailable,
    _Code.UNAUTHENTICATED: errors.Forbidden,
    _Code.OUT_OF_RANGE: errors.NotAvailableYet,
    _Code.UNKNOWN: errors.Unavailable,
}
MOST_RETRY_AFTER = 60.0  # seconds
MOST_SAID, MOST_FIELD = 1000, 200  # characters; what is longer than a header may be reaches no client at all
RETRY_AFTER, RULE, FIELD, INDEX = "retry-after", "mintmark-rule-bin", "mintmark-field-bin", "mintmark-index"
ABSENCE = "mintmark-absence"  # which error NOT_FOUND stands for
_ABSENCES: dict[str, type[errors.MintmarkError]] = {"gone": errors.Gone, "not-available-yet": errors.NotAvailableYet}


def status(error: errors.MintmarkError) -> grpc.StatusCode:
    """The status code of an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def trailers(error: errors.MintmarkError) -> tuple[tuple[str, str | bytes], ...]:
    """What else a client needs to raise the same error."""
    if isinstance(error, errors.Busy):
        return ((RETRY_AFTER, f"{error.retry_after:.3f}"),)
    if isinstance(error, errors.Rejected):
        found: tuple[tuple[str, str | bytes], ...] = (
            (RULE, error.rule.encode()),
            (FIELD, error.field[:MOST_FIELD].encode()),
        )
        return found if error.index is None else (*found, (INDEX, str(error.index)))
    return tuple((ABSENCE, name) for name, kind in _ABSENCES.items() if isinstance(error, kind))


def raised(error: grpc.aio.AioRpcError) -> errors.MintmarkError:
    """The error that a failed call stands for."""
    kind = _ERRORS.get(error.code(), errors.MintmarkError)
    said = error.details() or error.code().name
    meta: dict[str, Any] = dict(error.trailing_metadata() or ())
    if kind is errors.Busy:
        return errors.Busy(said, _seconds(meta.get(RETRY_AFTER)))
    if kind is errors.Rejected:
        rule, field = (meta.get(key, b"").decode(errors="replace") for key in (RULE, FIELD))
        index = meta.get(INDEX)
        at = int(index) if isinstance(index, str) and index.isascii() and index.isdecimal() else None
        return errors.Rejected(said, rule=rule, field=field, index=at)
    if kind is errors.NotFound:
        return _ABSENCES.get(meta.get(ABSENCE, ""), kind)(said)
    return kind(said)


def _seconds(value: object) -> float:
    """When to try again, as a server says; one that says nonsense is asked again in a second, or a minute at most."""
    try:
        seconds = float(str(value))
    except ValueError:
        return 1.0
    return min(max(seconds, 0.0), MOST_RETRY_AFTER) if math.isfinite(seconds) else 1.0


async def refuse(context: Context, error: Exception) -> NoReturn:
    """Ends a call with the status of an error; one that is not ours is logged and told as no more than that."""
    if not isinstance(error, errors.MintmarkError):
        _log.error("a call failed", exc_info=error)
        error = errors.MintmarkError("internal error; the server's log has it")
    await context.abort(status(error), str(error)[:MOST_SAID], trailers(error))
    raise AssertionError("abort raises")


def message(received: Q | None) -> Q:
    """What came, as `strict` parsed it. Raises Malformed."""
    if received is None:
        raise errors.Malformed("what came is no message of this protocol, or has more fields than any of it")
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
