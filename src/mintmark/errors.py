"""The one exception tree. An error says whose fault it is, and its message names the fix.

    MintmarkError
    ├── Malformed        bytes that do not parse
    ├── Untrusted        the log (or who speaks for it) lies: stop, keep the evidence, never retry
    │   ├── BadSignature   no signature by a key we trust, or one that does not verify
    │   ├── ProofError     bytes, item or proof that do not hash to the signed root
    │   ├── Rollback       a signed head smaller than one that was signed before
    │   └── Fork           two signed heads that no single log can have
    ├── Rejected         the register's rules say no: which rule, and where
    ├── Conflict         a lost compare-and-swap: reload and go on
    ├── Busy             try again after `retry_after` seconds
    ├── NotFound         nothing of this name is here: a log, a record, a path
    ├── Gone             it was here, and was erased
    ├── NotAvailableYet  beyond the head, or not known to enough others so far: it may come
    ├── Forbidden        the credential lacks the right
    ├── Misconfigured    a setting, a path, a port: the operator can mend it
    └── Unavailable      a peer or a database cannot be reached

One table per shell maps class -> status: `rpc.status` (gRPC), `api.problems` (HTTP), `cli.exits` (exit codes).
"""

from __future__ import annotations


class MintmarkError(Exception):
    """Any error that Mintmark raises on purpose; `str(error)` is one sentence for a person."""


class Malformed(MintmarkError, ValueError):
    """Bytes that do not parse as what they claim to be."""


class Untrusted(MintmarkError):
    """What a log says contradicts its signature, its proofs or itself.

    `notes` holds the signed notes that show it, oldest first, as received; may be empty.
    """

    def __init__(self, message: str, *notes: bytes) -> None:
        super().__init__(message)
        self.notes = notes


class BadSignature(Untrusted):
    """No signature by a trusted key, or a trusted key's signature that does not verify."""


class ProofError(Untrusted):
    """Bytes, an item or a proof that do not lead to the signed root."""


class Rollback(Untrusted):
    """A signed head smaller than one that the same log signed before."""


class Fork(Untrusted):
    """Two signed heads that cannot both belong to one append-only log."""


class Rejected(MintmarkError):
    """The register's rules refuse an entry.

    `rule` is the rule's short name, `field` the item's field, `line` the 1-based line of the file and `index` the
    0-based position in the batch, each where known.
    """

    def __init__(
        self, message: str, *, rule: str = "", field: str = "", line: int | None = None, index: int | None = None
    ) -> None:
        super().__init__(message)
        self.rule, self.field, self.line, self.index = rule, field, line, index


class Conflict(MintmarkError):
    """Another writer moved the head first; nothing was written. Reload and go on."""


class Busy(MintmarkError):
    """Too much is waiting; try again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotFound(MintmarkError):
    """Nothing of this name is here: no such log, record, entry, item or path."""


class Gone(MintmarkError):
    """What was asked for was erased. The entry that names it stays, and so does its proof."""


class NotAvailableYet(MintmarkError):
    """Beyond the head, or behind what was asked for: the same question may have an answer later."""


class Forbidden(MintmarkError):
    """The credential is missing, unknown, or lacks the right."""


class Misconfigured(MintmarkError):
    """A setting, path, port or key file that the operator can mend."""


class Unavailable(MintmarkError):
    """A peer or a database cannot be reached."""
