"""The servers of an `up` of this machine, as its directory tells clients, and the token to write with.

DIR/addresses.json   what runs now, and where      DIR/token   the bearer token      DIR/trust   the logs' public keys
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

ADDRESSES_FILE, TOKEN_FILE, TRUST_DIRECTORY = "addresses.json", "token", "trust"
NAME_A_SERVER = "name a server with --grpc and its log's key with --vkey"


class Addresses(NamedTuple):
    """The HOST:PORT of an `up`'s gRPC server, the URL of its read API, and the domain of the origins that it makes."""

    grpc: str
    http: str
    domain: str


def read_addresses(directory: Path, otherwise: str = NAME_A_SERVER) -> Addresses:
    """The addresses of a directory's `up`. Raises Unavailable when none runs; `otherwise` says what else to do."""
    file = directory / ADDRESSES_FILE
    try:
        return Addresses(**json.loads(file.read_text()))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise not_running(directory, otherwise) from error
    except (ValueError, TypeError) as error:
        raise Misconfigured(f"{file} is damaged; stop mintmark and start it again") from error


def not_running(directory: Path, otherwise: str) -> Unavailable:
    """The error of a directory whose `up` does not run."""
    return Unavailable(f"nothing runs in {directory}; start it with `mintmark up --dir {directory}`, or {otherwise}")


def read_token(file: Path) -> str:
    """The bearer token in a file; empty where there is none. Raises Misconfigured for a file of anything else."""
    if not file.exists():
        return ""
    return check_token(file.read_bytes().decode(errors="replace").strip(), f"{file} is not a token file")


def check_token(token: str, otherwise: str) -> str:
    """The token, if it can stand in a header. Raises Misconfigured, with `otherwise` and without the token."""
    if not (token.isascii() and token.isprintable()):
        raise Misconfigured(f"{otherwise}: a bearer token is one line of ASCII characters")
    return token
