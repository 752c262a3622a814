"""Errors as HTTP responses: problem details (RFC 9457), in the format that the client asked for.

One table maps an error's class to its status. An error that a client may not see is described in general words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import structlog

from mintmark import errors
from mintmark.api import html, models
from mintmark.api.formats import CONTENT_TYPES, NotAcceptable
from mintmark.api.requests import choose_format
from mintmark.api.responses import render, response

if TYPE_CHECKING:
    from starlette.responses import Response

    from mintmark.api.models import View
    from mintmark.api.requests import HttpRequest

PROBLEM_FORMATS = ("json", "yaml", "csv", "tsv", "ttl", "html")
ALLOWED_METHODS = ("GET", "HEAD", "OPTIONS")

_log = structlog.get_logger("mintmark.api")


class MethodNotAllowed(errors.MintmarkError):
    """Another method than GET, HEAD and OPTIONS (HTTP 405)."""


class HttpStatus(NamedTuple):
    """A status and its title. `detail` replaces the error's own message; None: the message can be shown."""

    code: int
    title: str
    detail: str | None = None


FAULT = HttpStatus(500, "Fault", "The fault is ours, and has been logged.")
STATUSES: dict[type[errors.MintmarkError], HttpStatus] = {
    errors.Malformed: HttpStatus(400, "Bad request"),
    errors.NotFound: HttpStatus(404, "Not found"),
    errors.Gone: HttpStatus(404, "Not found"),
    errors.NotAvailableYet: HttpStatus(404, "Not found"),
    MethodNotAllowed: HttpStatus(405, "Method not allowed"),
    NotAcceptable: HttpStatus(406, "Not acceptable"),
    errors.Rejected: HttpStatus(406, "Not acceptable"),
    errors.Busy: HttpStatus(429, "Too many requests"),
    errors.Unavailable: HttpStatus(
        503, "Unavailable", "The database cannot be reached now, or took too long. Try again."
    ),
}


def http_status(error: Exception) -> HttpStatus:
    """The status of the error's most derived class in STATUSES; FAULT where none is there."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), FAULT)


def problem_response(request: HttpRequest, error: Exception, view: View | None) -> Response:
    """An error as a response; `view` is the register's that the request was for, where it is known."""
    status = http_status(error)
    if status.code >= 500:
        _log_fault(request, error)
    format_ = _problem_format(request)
    problem = models.Problem(
        path=request.full_path, status=status.code, title=status.title, detail=status.detail or str(error), view=view
    )
    return response(
        render(problem, format_, request),
        "application/problem+json" if format_ == "json" else CONTENT_TYPES[format_],
        status=status.code,
        headers=_problem_headers(error, status, format_),
    )


def _log_fault(request: HttpRequest, error: Exception) -> None:
    detail = " ".join(str(error).split())
    traceback = None if isinstance(error, errors.MintmarkError) else error
    _log.error("request failed", path=request.full_path, detail=detail, exc_info=traceback)


def _problem_format(request: HttpRequest) -> str:
    try:
        return choose_format(request.suffix, request.accept, PROBLEM_FORMATS)
    except errors.MintmarkError:
        return "html" if "text/html" in request.accept else "json"


def _problem_headers(error: Exception, status: HttpStatus, format_: str) -> dict[str, str]:
    headers = dict(html.PAGE_HEADERS) if format_ == "html" else {}
    if isinstance(error, errors.Busy | errors.Unavailable):
        headers["Retry-After"] = str(max(1, round(getattr(error, "retry_after", 1))))
    if status.code == 405:
        headers["Allow"] = ", ".join(ALLOWED_METHODS)
    return headers
