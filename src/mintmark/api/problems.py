"""One table from our errors to HTTP: status and title (RFC 9457). What a user may not see is said in general words."""

from __future__ import annotations

from typing import NamedTuple

from mintmark import errors


class NotAcceptable(errors.MintmarkError):
    """No format that the client takes can say this."""


class NotAllowed(errors.MintmarkError):
    """Another method than GET and HEAD."""


class Status(NamedTuple):
    """A status, its title, and the detail that takes the place of the error's own; None: it can be shown."""

    code: int
    title: str
    detail: str | None = None


FAULT = Status(500, "Fault", "The fault is ours, and has been logged.")
STATUSES: dict[type[errors.MintmarkError], Status] = {
    errors.Malformed: Status(400, "Bad request"),
    errors.NotYet: Status(404, "Not found"),
    NotAllowed: Status(405, "Method not allowed"),
    NotAcceptable: Status(406, "Not acceptable"),
    errors.Rejected: Status(406, "Not acceptable"),
    errors.Busy: Status(429, "Too many requests"),
    errors.Unavailable: Status(503, "Unavailable", "The database cannot be reached now, or took too long. Try again."),
}


def status(error: Exception) -> Status:
    """The status of an error: the most derived of its classes in the table decides; none of ours is a fault."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), FAULT)
