"""Exit codes: one table from our errors, the same in every command."""

from __future__ import annotations

from mintmark import errors

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
