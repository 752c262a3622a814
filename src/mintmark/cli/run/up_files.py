"""The preparation of an `up`: addresses, its directory and the files in it, and its children's settings.

An address to listen on is HOST:PORT; port 0 takes any free one.
"""

from __future__ import annotations

import fcntl
import json
import re
import secrets
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from mintmark.auth.tokens import RIGHTS, format_token
from mintmark.errors import Misconfigured
from mintmark.files import write_durably
from mintmark.store.connection.session import DEFAULT_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mintmark.config.deployment import DeploymentDir

LOOPBACK_OF_ANY = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104  # to reach a server that listens on all

CONFIG_TEMPLATE = """\
# Written once by `mintmark up`, and yours to edit. `up` passes databases and addresses to its servers itself, in the
# environment (MINTMARK_MINT__DATABASE and so on); those here are for the commands that you run by hand.

[mint]
database = {mint}
listen = {grpc}
keys = "mint/keys"
tokens = "mint/tokens.toml"

[mirror]
database = {read}
sources = [{source}]
trust = "trust"
logs = ["*"]

[api]
database = {api}
listen = {http}

# Registers published elsewhere: a CURIE's prefix, and the URL that its key is added to.
[api.links]
"""


HOST = re.compile(r"host=('(?:[^'\\]|\\.)*'|\S+)")

TOKENS_HEADER = """\
# Who may append what. Written once by `mintmark up`, and yours to edit; the mint reads it again when it changes.
# A token is kept by its hash (printf %s TOKEN | sha256sum). The first one is in DIR/token.
"""


class Databases(NamedTuple):
    """The connection strings of the mint, of the mirrors, and of the read API, which may only read."""

    mint: str
    read: str
    api: str


@contextmanager
def sole_use(deployment: DeploymentDir) -> Iterator[None]:
    """Makes the directory and holds it for this process alone. Raises Misconfigured where another has it."""
    try:
        for directory in (deployment.dir, deployment.keys, deployment.trust, deployment.logs):
            directory.mkdir(parents=True, exist_ok=True)
        deployment.keys.parent.chmod(0o700)
        if not (ignore := deployment.dir / ".gitignore").exists():  # it may be a directory with other files
            ignore.write_text("*\n")
        lock = (deployment.dir / "lock").open("w")
    except OSError as error:
        raise Misconfigured(
            f"{deployment.dir} cannot be written: {error.strerror}; choose another with --dir"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Misconfigured(
                f"another mintmark up runs in {deployment.dir}; stop it first, or choose another directory with --dir"
            ) from error
        yield


def write_files(deployment: DeploymentDir, databases: Databases, grpc: str, http: str) -> None:
    """Writes the configuration, the token, and the mint's file of tokens, each where it is not there yet."""
    if deployment.config.exists():
        _name_roles(deployment, databases)
    else:
        values = {
            **databases._asdict(),
            "grpc": grpc,
            "http": http,
            "source": reachable_address(grpc),
        }
        write_durably(
            deployment.config,
            CONFIG_TEMPLATE.format(**{key: json.dumps(value) for key, value in values.items()}).encode(),
        )
    if not deployment.token.exists():
        write_durably(deployment.token, secrets.token_urlsafe(32).encode() + b"\n", mode=0o600)
    if not deployment.tokens.exists():
        token = format_token("up", deployment.token.read_text().strip(), RIGHTS)
        write_durably(deployment.tokens, f"{TOKENS_HEADER}\n{token}".encode(), mode=0o600)


def _name_roles(deployment: DeploymentDir, databases: Databases) -> None:
    """Mends a configuration of the time when all processes were one role, which nobody can be any more.

    Only what `up` wrote is replaced: a database that somebody named since stays.
    """
    found = HOST.search(databases.mint)
    former = {name: f"{found and found[0]} port=5432 user=mintmark dbname={name}" for name in ("mint", "read")}
    lines = {
        ("mint", _database_line(former["mint"])): _database_line(databases.mint),
        ("mirror", _database_line(former["read"])): _database_line(databases.read),
        ("api", _database_line(former["read"])): _database_line(databases.api),
    }
    section, mended = "", []
    for line in (text := deployment.config.read_text()).split("\n"):
        section = line.strip("[]") if line.startswith("[") else section
        mended.append(lines.get((section, line), line))
    if "\n".join(mended) != text:
        write_durably(deployment.config, "\n".join(mended).encode())


def _database_line(conninfo: str) -> str:
    return f"database = {json.dumps(conninfo)}"


def environment(databases: Databases, grpc: str, http: str) -> dict[str, str]:
    """The settings of every child that `up` decides."""
    schemas = {f"MINTMARK_{section}__DATABASE_SCHEMA": DEFAULT_SCHEMA for section in ("MINT", "MIRROR", "API")}
    return {
        **schemas,
        "MINTMARK_MINT__DATABASE": databases.mint,
        "MINTMARK_MINT__LISTEN": grpc,
        "MINTMARK_MIRROR__DATABASE": databases.read,
        "MINTMARK_MIRROR__SOURCES": json.dumps([reachable_address(grpc)]),
        "MINTMARK_API__DATABASE": databases.api,
        "MINTMARK_API__LISTEN": http,
    }


def split_address(address: str, option: str) -> tuple[str, str]:
    """Host and port. Raises Misconfigured, naming the option, where it is not both."""
    host, colon, port = address.rpartition(":")
    if not colon:
        example = f"127.0.0.1:{port if port.isdecimal() else 8080}"
        raise Misconfigured(f"{option}: {address} is not HOST:PORT; for instance {example}")
    return host, port


def claim_address(address: str, option: str) -> str:
    """The address with a port that is free. Raises Misconfigured, naming the option, when it cannot be listened on."""
    host, port = split_address(address, option)
    try:
        if not 0 <= int(port) < 65536:  # the resolver would take it modulo 65536
            raise ValueError(port)
        family, kind, _, _, target = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or a port just left would seem taken
            listener.bind(target)
            listener.listen()
            return f"{host}:{listener.getsockname()[1]}"
    except (OSError, ValueError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not HOST:PORT"
        raise Misconfigured(
            f"cannot listen on {address}: {reason}; choose another with {option} HOST:PORT (port 0 takes any free one)"
        ) from error


def reachable_address(address: str) -> str:
    """The address to connect to for one that is listened on."""
    host, _, port = address.rpartition(":")
    return f"{LOOPBACK_OF_ANY.get(host, host)}:{port}"
