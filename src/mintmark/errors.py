"""The one exception tree. An error says whose fault it is, and its message names the fix.

    MintmarkError
    ├── Malformed          input that does not parse: an option, a file, a request, bytes from a peer
    ├── Untrusted          a log, a source or a proof contradicts what was signed: stop, keep the evidence, never retry
    │   ├── BadSignature     no signature by a key we trust, or one that does not verify
    │   ├── ProofError       bytes, item or proof that do not hash to the signed root
    │   │   └── WriteMismatch  rows about to be written that do not hash to the root about to be signed
    │   ├── Rollback         a signed head smaller than one that was signed before
    │   └── Fork             two signed heads that no single log can have
    ├── Rejected           the register's rules say no: which rule, and where
    ├── Conflict           a lost compare-and-swap: reload and go on
    ├── Busy               try again after `retry_after` seconds
    ├── NotFound           nothing of this name is here: a log, a record, a path
    ├── Gone               it was here, and was erased
    ├── NotAvailableYet    beyond the head, or not known to enough others so far: it may come
    ├── Forbidden          the credential lacks the right
    │   └── Unauthenticated  there is no credential, or an unknown one
    ├── Misconfigured      a setting, a path, a port, a key: the operator can mend it
    └── Unavailable        a peer or a database cannot be reached

Whose fault decides the class. A mistyped policy is Malformed, a missing file Misconfigured, and a copy that lags behind
NotAvailableYet: none of them is Untrusted, because no log has contradicted itself. A lost or damaged row is a plain
MintmarkError, whose message says: run mintmark fsck. A defect of our own is no MintmarkError: the shell logs it with
its traceback, and answers with an internal error.

One table per shell maps class -> status: `rpc.status` (gRPC), `api.problems` (HTTP), `cli.exits` (exit codes: 2 for a
malformed option, 1 for a malformed file, 3 for Untrusted, 4 for what may work later).
"""

from __future__ import annotations


class MintmarkError(Exception):
    """Any error that Mintmark raises on purpose; `str(error)` is one sentence for a person."""


class Malformed(MintmarkError, ValueError):
    """Input that does not parse as what it claims to be. The message says where (file, line, field), and what is."""


class Untrusted(MintmarkError):
    """A log, a source or a proof contradicts a signature, or itself.

    `notes` holds the signed notes that show it, oldest first, as received; may be empty.
    """

    def __init__(self, message: str, *notes: bytes) -> None:
        super().__init__(message)
        self.notes = notes


class BadSignature(Untrusted):
    """No signature by a trusted key, or a trusted key's signature that does not verify."""


class ProofError(Untrusted):
    """Bytes, an item or a proof that do not lead to the signed root."""


class WriteMismatch(ProofError):
    """The rows of a commit do not have the root that is about to be signed: a byte changed in memory."""


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
    """It was here, and was erased. The entry that names it stays, and so does its proof."""


class NotAvailableYet(MintmarkError):
    """Beyond the head, or not confirmed so far: the same question may have an answer later."""


class Forbidden(MintmarkError):
    """The credential lacks the right."""


class Unauthenticated(Forbidden):
    """There is no credential, or an unknown one."""


class Misconfigured(MintmarkError):
    """A setting, path, port or key file that the operator can mend."""


class Unavailable(MintmarkError):
    """A peer or a database cannot be reached, or gives up.

    `public` is what strangers are told of it: no path, host or user of ours.
    """

    def __init__(self, message: str, public: str = "") -> None:
        super().__init__(message)
        self.public = public or message
