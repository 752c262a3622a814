"""One table from our errors to HTTP: status and title (RFC 9457). What a user may not see is said in general words."""

from __future__ import annotations

from typing import NamedTuple

from mintmark import errors


class NotAcceptable(errors.MintmarkError):
    """No format that the client takes can say this."""


class NotAllowed(errors.MintmarkError):
    """Another method than GET and HEAD."""


class HttpStatus(NamedTuple):
    """A status, its title, and the detail that takes the place of the error's own; None: it can be shown."""

    code: int
    title: str
    detail: str | None = None


FAULT = HttpStatus(500, "Fault", "The fault is ours, and has been logged.")
STATUSES: dict[type[errors.MintmarkError], HttpStatus] = {
    errors.Malformed: HttpStatus(400, "Bad request"),
    errors.NotFound: HttpStatus(404, "Not found"),
    errors.Gone: HttpStatus(404, "Not found"),
    errors.NotAvailableYet: HttpStatus(404, "Not found"),
    NotAllowed: HttpStatus(405, "Method not allowed"),
    NotAcceptable: HttpStatus(406, "Not acceptable"),
    errors.Rejected: HttpStatus(406, "Not acceptable"),
    errors.Busy: HttpStatus(429, "Too many requests"),
    errors.Unavailable: HttpStatus(
        503, "Unavailable", "The database cannot be reached now, or took too long. Try again."
    ),
}


def status(error: Exception) -> HttpStatus:
    """The status of an error: the most derived of its classes in the table decides; none of ours is a fault."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), FAULT)
