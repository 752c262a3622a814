"""The directory of an `up`: where it keeps data, keys and addresses, and where client commands find them.

DIR/mintmark.toml        the servers' configuration
DIR/mint/keys/NAME.key   the logs' secret keys          DIR/mint/tokens.toml   who may append
DIR/trust/NAME.vkey      their public keys: what mirrors and clients trust
DIR/token                a client's bearer token        DIR/addresses.json     what runs now, and where
DIR/postgres  DIR/log    DIR/audit/NAME.checkpoint      the last head that `audit` saw
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mintmark.config.key_files import lines, make_keys, read_keys, read_vkeys, write_keys
from mintmark.errors import Misconfigured, Unavailable
from mintmark.files import write_durably
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mintmark.tlog.note import Verifier

ELSEWHERE = "name the configuration of another database with --config"


class Addresses(NamedTuple):
    """Where an `up` answers, and the domain of the origins that it makes."""

    grpc: str
    http: str
    domain: str


@dataclass(frozen=True)
class DeploymentDir:
    """One such directory."""

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
        """Who may append what."""
        return self.dir / "mint" / "tokens.toml"

    @property
    def token(self) -> Path:
        """The bearer token of clients of this directory."""
        return self.dir / "token"

    @property
    def trust(self) -> Path:
        """The public keys of the logs."""
        return self.dir / "trust"

    @property
    def logs(self) -> Path:
        """What the servers print."""
        return self.dir / "log"

    @property
    def running(self) -> Path:
        """The addresses of what runs now."""
        return self.dir / "addresses.json"

    def addresses(self) -> Addresses:
        """Where the `up` of this directory answers. Raises Unavailable when none runs."""
        try:
            return Addresses(**json.loads(self.running.read_text()))
        except FileNotFoundError as error:
            raise self._idle("name a server with --grpc and its log's key with --vkey") from error
        except (ValueError, TypeError) as error:
            raise Misconfigured(f"{self.running} is damaged; stop mintmark and start it again") from error

    def configured(self) -> Path:
        """The configuration, for who needs a database of it. Raises Unavailable where no `up` has written it."""
        if not self.config.exists():
            raise self._idle(ELSEWHERE)
        return self.config

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around questions to its databases. Raises Unavailable as `addresses` does: no Postgres runs without `up`."""
        try:
            yield
        except Unavailable as error:
            if not self.running.exists():
                raise self._idle(ELSEWHERE) from error
            raise

    def _idle(self, otherwise: str) -> Unavailable:
        return Unavailable(f"nothing runs in {self.dir}; start it with `mintmark up --dir {self.dir}`, or {otherwise}")

    def publish(self, addresses: Addresses) -> None:
        """Tells clients where to go."""
        write_durably(self.running, json.dumps(addresses._asdict()).encode() + b"\n")

    def withdraw(self) -> None:
        """Tells clients that nothing runs here."""
        self.running.unlink(missing_ok=True)

    def adopt(self, origin: str, mldsa: bool = False) -> tuple[Verifier, ...]:
        """The public keys of a log, whose secret keys are made here if they are not yet."""
        name = short_name(origin)
        secret, public = self.keys / f"{name}.key", self.trust / f"{name}.vkey"
        if not secret.exists():
            if public.exists():
                raise Misconfigured(f"{public} is the key of a log whose secret key is not here; choose another name")
            write_keys(secret, make_keys(origin, mldsa))
        if not public.exists():  # a crash may have come between the two
            write_durably(public, lines(signer.vkey for signer in read_keys(secret)))
        verifiers = read_vkeys(public)
        if verifiers[0].name != origin:
            raise Misconfigured(f"{name} is here already as {verifiers[0].name}; choose another name than {origin}")
        return verifiers
