"""Errors at the edge of the process: an exit code, a sentence for a person, an object for a machine.

One table gives the exit code of each class of error, the same in every command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mintmark import errors

if TYPE_CHECKING:
    from collections.abc import Iterable

OK, ERROR, USAGE, LIED, NOT_YET, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, 4, 130, 141

EXITS: dict[type[errors.MintmarkError], int] = {
    errors.Untrusted: LIED,
    errors.NotAvailableYet: NOT_YET,
    errors.Busy: NOT_YET,
    errors.Unavailable: NOT_YET,
    errors.MintmarkError: ERROR,
}


def exit_code(error: errors.MintmarkError) -> int:
    """The exit code of an error: the most derived of its classes in the table decides."""
    return next(EXITS[kind] for kind in type(error).__mro__ if kind in EXITS)


def describe_error(error: Exception) -> str:
    """One sentence for a person. A defect of ours is called one."""
    if isinstance(error, errors.MintmarkError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    message = " ".join(str(error).split())
    return f"internal error, {type(error).__name__}: {message}; run it again with --debug and report what it prints"


def error_object(error: Exception, code: int) -> dict[str, Any]:
    """The error as --json prints it: type, message and exit code, and what a machine may want beside these."""
    common = {"type": type(error).__name__, "message": describe_error(error), "exit": code}
    if isinstance(error, errors.Rejected):
        known = {"rule": error.rule, "field": error.field, "line": error.line, "index": error.index}
        return common | {key: value for key, value in known.items() if value not in ("", None)}
    if isinstance(error, errors.Untrusted) and error.notes:
        return common | {"notes": decode_notes(error.notes)}
    return common


def decode_notes(notes: Iterable[bytes]) -> list[str]:
    """Signed notes as JSON can hold them."""
    return [note.decode("utf-8", "backslashreplace") for note in notes]
