"""Which log, on which server, by whose key: the options that every client command shares.

    --dir DIR                                    an `up` of this machine knows its addresses and keys
    --grpc HOST:PORT --vkey KEY                  any server, and the log's key from wherever you trust
    --config FILE                                a mirror's sources and trusted keys

Keys come from the command line or from files here, never from the server that they are to check.
"""

from __future__ import annotations

import difflib
import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mintmark.config.deployment import DeploymentDir
from mintmark.config.key_files import parse_vkeys, read_vkeys
from mintmark.errors import Misconfigured
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mintmark.rpc.client import RpcClient
    from mintmark.tlog.note import Verifier


@dataclass(frozen=True)
class TrustedLog:
    """A log, and how to know it when it speaks."""

    origin: str
    verifiers: tuple[Verifier, ...]

    @property
    def name(self) -> str:
        """Its short name."""
        return short_name(self.origin)


@dataclass(frozen=True)
class Target:
    """What the command line says of servers and keys."""

    place: DeploymentDir
    grpc_option: str | None
    http_option: str | None
    vkeys: tuple[str, ...]
    trust: Path
    token_file: Path | None

    @property
    def grpc(self) -> str:
        """The HOST:PORT of the gRPC server. Raises Unavailable when none is known."""
        return self.grpc_option or self.place.addresses().grpc

    @property
    def http(self) -> str | None:
        """The URL of the read API, if one is known."""
        if self.http_option or self.grpc_option:
            return self.http_option
        return self.place.addresses().http

    def log(self, name: str, *, to_write: bool = False) -> TrustedLog:
        """The log of a short name or an origin. Raises Misconfigured when no key of it is known."""
        if self.vkeys:
            verifiers = tuple(verifier for key in self.vkeys for verifier in key_argument(key))
            origins = {verifier.name for verifier in verifiers}
        else:
            verifiers = self._trusted(name, to_write)
            origins = {verifiers[0].name}
        log = TrustedLog(verifiers[0].name, verifiers)
        if len(origins) > 1 or name not in (log.origin, log.name):
            raise Misconfigured(
                f"the key is of {', '.join(sorted(origins))}, not of {name}; name the log or its key right"
            )
        return log

    def client(self) -> RpcClient:
        """A client of the server."""
        from mintmark.rpc.client import RpcClient

        return RpcClient(self.grpc, token=self._token())

    def _trusted(self, name: str, to_write: bool) -> tuple[Verifier, ...]:
        file = self.trust / f"{short_name(name)}.vkey"
        if not file.exists():
            new = f"; `mintmark create {name}` makes a new log" if to_write and not self.grpc_option else ""
            raise Misconfigured(f"no key of {name} is known: {file} is not there; {self._hint(file.stem)}{new}")
        return read_vkeys(file)

    def _hint(self, name: str) -> str:
        known = [file.stem for file in self.trust.glob("*.vkey")]
        if close := difflib.get_close_matches(name, known, 1):
            return f"did you mean {close[0]!r}?"
        return "give the log's key with --vkey, or the directory of an `up` that has it with --dir"

    def _token(self) -> str:
        if "MINTMARK_TOKEN" in os.environ:
            return _sendable(os.environ["MINTMARK_TOKEN"], "what $MINTMARK_TOKEN holds is not a token")
        file = self.token_file or (None if self.grpc_option else self.place.token)
        if file is None or not file.exists():
            return ""
        return _sendable(file.read_bytes().decode(errors="replace").strip(), f"{file} is not a token file")


def _sendable(token: str, otherwise: str) -> str:
    """The token, if it can stand in a header. The message does not show it."""
    if not (token.isascii() and token.isprintable()):
        raise Misconfigured(f"{otherwise}: a bearer token is one line of ASCII characters")
    return token


def _first_grpc(sources: Sequence[str], config: Path) -> str:
    """What a client can ask for proofs: not a URL, where only files are."""
    if (found := next((source for source in sources if "://" not in source), None)) is None:
        raise Misconfigured(f"{config} names no source that speaks gRPC; name a server with --grpc HOST:PORT")
    return found


def key_argument(value: str) -> tuple[Verifier, ...]:
    """The keys of a --vkey: the key itself, or a file of it."""
    return parse_vkeys(value) if "+" in value and not Path(value).exists() else read_vkeys(Path(value))


dir_option = click.option(
    "--dir",
    "dir_",
    type=click.Path(path_type=Path),
    default=".mintmark",
    show_default=True,
    help="The directory of an `up`.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
vkey_option = click.option(
    "--vkey", "vkeys", multiple=True, metavar="KEY|FILE", help="The log's public key, or its file."
)
trust_option = click.option(
    "--trust", type=click.Path(path_type=Path), metavar="DIR", help="A directory of public keys, NAME.vkey each."
)
_OPTIONS = (
    dir_option,
    click.option("--grpc", metavar="HOST:PORT", help="The server to ask, instead of the one of --dir."),
    click.option("--http", metavar="URL", help="The read API to look records up in."),
    vkey_option,
    trust_option,
    click.option(
        "--config", type=click.Path(path_type=Path), help="A mirror's configuration: its sources and its keys."
    ),
    click.option(
        "--token",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A file that holds a bearer token; $MINTMARK_TOKEN, the token itself, goes before it.",
    ),
    json_option,
)


def client_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `where` and `as_json`."""

    @functools.wraps(command)
    def call(
        *args: Any, dir_: Path, grpc: str | None, http: str | None, vkeys: tuple[str, ...],
        trust: Path | None, config: Path | None, token: Path | None, **others: Any,
    ) -> Any:  # fmt: skip
        place = DeploymentDir(dir_)
        if config is not None:
            from mintmark.config.settings import load_mirror

            settings = load_mirror(config)
            grpc, trust = grpc or _first_grpc(settings.sources, config), trust or settings.trust
        return command(*args, where=Target(place, grpc, http, vkeys, trust or place.trust, token), **others)

    for option in reversed(_OPTIONS):
        call = option(call)
    return call
