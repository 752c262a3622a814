"""The options that commands share.

Client commands: which log, on which server, by whose key.

    --dir DIR                                    an `up` of this machine knows its addresses and keys
    --grpc HOST:PORT --vkey KEY                  any server, and the log's key from a place that you trust
    --config FILE                                a mirror's sources and trusted keys

Commands of an operator: which read database.

    --dir DIR                                    that of an `up` of this machine
    --config FILE                                that of a mirror's configuration

Keys come from the command line or from files here, never from the server whose answers they check.
"""

from __future__ import annotations

import functools
import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mintmark.client.keys import KeyRing
from mintmark.client.up_directory import check_token, read_token
from mintmark.config.deployment import DeploymentDir
from mintmark.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mintmark.client.client import AsyncClient
    from mintmark.client.keys import TrustedLog
    from mintmark.config.settings import MirrorSettings

    LoadSettings = Callable[[], MirrorSettings]

ADVICE_FOR_UNKNOWN = "give the log's key with --vkey, or the directory of an `up` that has it with --dir"


@dataclass(frozen=True)
class Target:
    """The servers and keys that a client command names."""

    deployment: DeploymentDir
    grpc_option: str | None
    http_option: str | None
    vkeys: tuple[str, ...]
    trust: Path
    token_file: Path | None

    @property
    def is_elsewhere(self) -> bool:
        """True if the command names a server instead of asking the `up` of the directory."""
        return self.grpc_option is not None

    @property
    def http(self) -> str | None:
        """The URL of the read API, if one is known."""
        if self.http_option or self.grpc_option:
            return self.http_option
        return self.deployment.addresses().http

    def log(self, name: str, *, to_write: bool = False) -> TrustedLog:
        """The log of a short name or an origin. Raises Misconfigured when no key of it is known."""
        if self.vkeys:
            return self._given.sole_log(name)
        create = f"; `mintmark create {name}` makes a new log" if to_write and not self.grpc_option else ""
        return KeyRing(directories=[self.trust]).log(name, ADVICE_FOR_UNKNOWN, create)

    @functools.cached_property
    def _given(self) -> KeyRing:
        """The keys of --vkey, read once: a command of several logs asks for each, and a file may be a pipe."""
        return KeyRing(self.vkeys)

    def client(self, *logs: TrustedLog) -> AsyncClient:
        """A client of the server, which trusts these logs. Raises Unavailable when no server is known."""
        from mintmark.client.client import AsyncClient

        grpc = self.grpc_option or self.deployment.addresses().grpc
        return AsyncClient(grpc, logs, http=self.http, token=self._token())

    def _token(self) -> str:
        if "MINTMARK_TOKEN" in os.environ:
            return check_token(os.environ["MINTMARK_TOKEN"], "what $MINTMARK_TOKEN holds is not a token")
        file = self.token_file or (None if self.grpc_option else self.deployment.token)
        return read_token(file) if file is not None else ""


def _first_grpc(sources: Sequence[str], config: Path) -> str:
    """The first source that answers questions for proofs; a URL, where only files are, does not."""
    if (found := next((source for source in sources if "://" not in source), None)) is None:
        raise Misconfigured(f"{config} names no source that speaks gRPC; name a server with --grpc HOST:PORT")
    return found


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
config_option = click.option("--config", type=click.Path(path_type=Path), help="A mirror's configuration.")
server_config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file; its keys can be set as MINTMARK_<SECTION>__<KEY> too.",
)
_CLIENT_OPTIONS = (
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
    """Gives a command `target` and `as_json`."""

    @functools.wraps(command)
    def call(
        *args: Any, dir_: Path, grpc: str | None, http: str | None, vkeys: tuple[str, ...],
        trust: Path | None, config: Path | None, token: Path | None, **others: Any,
    ) -> Any:  # fmt: skip
        deployment = DeploymentDir(dir_)
        if config is not None:
            from mintmark.config.settings import load_mirror

            settings = load_mirror(config)
            grpc, trust = grpc or _first_grpc(settings.sources, config), trust or settings.trust
        target = Target(deployment, grpc, http, vkeys, trust or deployment.trust, token)
        return command(*args, target=target, **others)

    for option in reversed(_CLIENT_OPTIONS):
        call = option(call)
    return call


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the mirror's `settings`, and `as_json`."""

    @functools.wraps(command)
    def call(*args: Any, load_settings: LoadSettings, **others: Any) -> Any:
        return command(*args, settings=load_settings(), **others)

    return lazy_settings_options(call)


def lazy_settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `load_settings`, which reads the mirror's, and `as_json`."""

    @functools.wraps(command)
    def call(*args: Any, dir_: Path, config: Path | None, **others: Any) -> Any:
        from mintmark.config.settings import load_mirror

        deployment = DeploymentDir(dir_)
        with nullcontext() if config else deployment.reachable():
            return command(*args, load_settings=lambda: load_mirror(config or deployment.configured()), **others)

    return dir_option(config_option(json_option(call)))
