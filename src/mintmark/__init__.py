"""Mintmark: verifiable registers, mirrored into anybody's Postgres.

The library: `AsyncClient` and `Client` read, append and audit; `verify` checks a proof offline. Errors are those of
`mintmark.errors`. A name is imported when it is used: `verify` loads neither gRPC nor a database, and the clients load
gRPC when they connect.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mintmark.errors import (
    BadSignature,
    Busy,
    Conflict,
    Forbidden,
    Fork,
    Gone,
    Malformed,
    MintmarkError,
    Misconfigured,
    NotAvailableYet,
    NotFound,
    ProofError,
    Rejected,
    Rollback,
    Unauthenticated,
    Unavailable,
    Untrusted,
    WriteMismatch,
)

if TYPE_CHECKING:
    from mintmark.client.client import AsyncClient
    from mintmark.client.proofs import Proof, ProvenEntry, verify
    from mintmark.client.sync import Client

__all__ = [
    "AsyncClient",
    "BadSignature",
    "Busy",
    "Client",
    "Conflict",
    "Forbidden",
    "Fork",
    "Gone",
    "Malformed",
    "MintmarkError",
    "Misconfigured",
    "NotAvailableYet",
    "NotFound",
    "Proof",
    "ProofError",
    "ProvenEntry",
    "Rejected",
    "Rollback",
    "Unauthenticated",
    "Unavailable",
    "Untrusted",
    "WriteMismatch",
    "verify",
]
__version__ = "0.1.0"

_MODULES = {
    "AsyncClient": "mintmark.client.client",
    "Client": "mintmark.client.sync",
    "Proof": "mintmark.client.proofs",
    "ProvenEntry": "mintmark.client.proofs",
    "verify": "mintmark.client.proofs",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
