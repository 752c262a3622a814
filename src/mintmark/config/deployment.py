"""The directory of an `up`: its data, keys and addresses, where client commands find them.

DIR/mintmark.toml        the servers' configuration
DIR/mint/keys/NAME.key   the logs' secret keys          DIR/mint/tokens.toml   who may append
DIR/trust/NAME.vkey      their public keys: what mirrors and clients trust
DIR/token                a client's bearer token        DIR/addresses.json     what runs now, and where
DIR/postgres  DIR/log    DIR/audit/NAME.checkpoint      the last head that `audit` saw
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mintmark.client.keys import read_vkeys
from mintmark.client.up_directory import (
    ADDRESSES_FILE,
    TOKEN_FILE,
    TRUST_DIRECTORY,
    Addresses,
    not_running,
    read_addresses,
)
from mintmark.config.key_files import format_key_lines, make_keys, write_keys
from mintmark.errors import Misconfigured, Rejected, Unavailable
from mintmark.files import write_durably
from mintmark.formats import name_fault
from mintmark.mint.keys import read_keys
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mintmark.formats import LogKind
    from mintmark.tlog.note import Verifier

ANOTHER_DATABASE = "name the configuration of another database with --config"


def forget_postgres_variables() -> None:
    """Removes what the environment says to libpq: it is about other databases than those of an `up`.

    Some of it goes before a connection string (PGSERVICE), and some says what that leaves open (PGHOSTADDR,
    PGREQUIREAUTH): the way to a server that nobody can reach.
    """
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


@dataclass(frozen=True)
class DeploymentDir:
    """One such directory: the paths in it, and what the commands do with them."""

    dir: Path

    @property
    def config(self) -> Path:
        """The servers' configuration."""
        return self.dir / "mintmark.toml"

    @property
    def keys(self) -> Path:
        """The logs' secret keys."""
        return self.dir / "mint" / "keys"

    @property
    def tokens(self) -> Path:
        """The file that says who may append what."""
        return self.dir / "mint" / "tokens.toml"

    @property
    def token(self) -> Path:
        """The bearer token of clients of this directory."""
        return self.dir / TOKEN_FILE

    @property
    def trust(self) -> Path:
        """The public keys of the logs."""
        return self.dir / TRUST_DIRECTORY

    @property
    def logs(self) -> Path:
        """The directory of what the servers print."""
        return self.dir / "log"

    @property
    def running(self) -> Path:
        """The addresses of what runs now."""
        return self.dir / ADDRESSES_FILE

    def addresses(self) -> Addresses:
        """The addresses of this directory's `up`. Raises Unavailable when none runs."""
        return read_addresses(self.dir)

    def configured(self) -> Path:
        """The configuration file, which names the databases. Raises Unavailable where no `up` has written it."""
        if not self.config.exists():
            raise not_running(self.dir, ANOTHER_DATABASE)
        forget_postgres_variables()
        return self.config

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Around the use of its databases: an Unavailable says that no `up` runs, where that is why."""
        try:
            yield
        except Unavailable as error:
            if not self.running.exists():
                raise not_running(self.dir, ANOTHER_DATABASE) from error
            raise

    def publish(self, addresses: Addresses) -> None:
        """Writes the addresses, for clients."""
        write_durably(self.running, json.dumps(addresses._asdict()).encode() + b"\n")

    def withdraw(self) -> None:
        """Removes the addresses: nothing runs here."""
        self.running.unlink(missing_ok=True)

    def adopt(self, origin: str, mldsa: bool = False, kind: LogKind = "register") -> tuple[Verifier, ...]:
        """The public keys of a log; makes its secret keys where none are here.

        Raises Misconfigured where the name is taken: by another origin, or by a log whose secret key is not here.
        Rejected for a new log whose name could not be linked.
        """
        name = short_name(origin)
        secret, public = self.keys / f"{name}.key", self.trust / f"{name}.vkey"
        if not secret.exists():
            if public.exists():
                raise Misconfigured(f"{public} is the key of a log whose secret key is not here; choose another name")
            if (fault := name_fault(origin, kind)) is not None:
                raise Rejected(fault, rule="name")
            write_keys(secret, make_keys(origin, mldsa))
        if not public.exists():  # a crash may have come between the two
            write_durably(public, format_key_lines(signer.vkey for signer in read_keys(secret)))
        verifiers = read_vkeys(public)
        if verifiers[0].name != origin:
            raise Misconfigured(f"{name} is here already as {verifiers[0].name}; choose another name than {origin}")
        return verifiers
