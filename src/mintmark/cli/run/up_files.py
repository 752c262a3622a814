"""What `up` writes into its directory before anything starts, and what it passes to its children."""

from __future__ import annotations

import fcntl
import json
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from mintmark.auth.tokens import RIGHTS, format_token
from mintmark.cli.run.ports import reach
from mintmark.errors import Misconfigured
from mintmark.files import write_durably

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mintmark.config.deployment import DeploymentDir

CONFIG = """\
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
database = {read}
listen = {http}

# Registers published elsewhere: a CURIE's prefix, and the URL that its key is added to.
[api.links]
"""


TOKENS = """\
# Who may append what. Written once by `mintmark up`, and yours to edit; the mint reads it again when it changes.
# A token is kept by its hash (printf %s TOKEN | sha256sum). The first one is in DIR/token.
"""


class Databases(NamedTuple):
    """Connection strings."""

    mint: str
    read: str


@contextmanager
def sole_use(place: DeploymentDir) -> Iterator[None]:
    """The directory, made if it is not there, and held by this process alone. Raises Misconfigured."""
    try:
        for directory in (place.dir, place.keys, place.trust, place.logs):
            directory.mkdir(parents=True, exist_ok=True)
        place.keys.parent.chmod(0o700)
        if not (ignore := place.dir / ".gitignore").exists():  # the directory may be somebody's already
            ignore.write_text("*\n")
        lock = (place.dir / "lock").open("w")
    except OSError as error:
        raise Misconfigured(f"{place.dir} cannot be written: {error.strerror}; choose another with --dir") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Misconfigured(
                f"another mintmark up runs in {place.dir}; stop it first, or choose another directory with --dir"
            ) from error
        yield


def write_files(place: DeploymentDir, databases: Databases, grpc: str, http: str) -> None:
    """The configuration, the token, and what the mint knows of it, where they are not there yet."""
    if not place.config.exists():
        values = {"mint": databases.mint, "read": databases.read, "grpc": grpc, "http": http, "source": reach(grpc)}
        write_durably(place.config, CONFIG.format(**{key: json.dumps(value) for key, value in values.items()}).encode())
    if not place.token.exists():
        write_durably(place.token, secrets.token_urlsafe(32).encode() + b"\n", mode=0o600)
    if not place.tokens.exists():
        token = format_token("up", place.token.read_text().strip(), RIGHTS)
        write_durably(place.tokens, f"{TOKENS}\n{token}".encode(), mode=0o600)


def environment(databases: Databases, grpc: str, http: str) -> dict[str, str]:
    """The settings that are `up`'s to decide, for every child."""
    return {
        "MINTMARK_MINT__DATABASE": databases.mint,
        "MINTMARK_MINT__LISTEN": grpc,
        "MINTMARK_MIRROR__DATABASE": databases.read,
        "MINTMARK_MIRROR__SOURCES": json.dumps([reach(grpc)]),
        "MINTMARK_API__DATABASE": databases.read,
        "MINTMARK_API__LISTEN": http,
    }
