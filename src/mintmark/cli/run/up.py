"""`mintmark up`: everything on one machine, supervised; data, keys and addresses in one directory.

    check files and ports -> Postgres -> mint, mirrors, read API -> registers appended -> all mirrored -> ready

Stopping goes the other way: servers first, all together, then Postgres.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mintmark.cli.options import dir_option, json_option
from mintmark.cli.output import STOP_SIGNALS, answer, echo, echo_admitted, run_until_stopped
from mintmark.client.keys import TrustedLog, read_vkeys
from mintmark.client.up_directory import Addresses
from mintmark.config.deployment import DeploymentDir, forget_postgres_variables
from mintmark.errors import Malformed, Misconfigured, NotFound, Rejected
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from mintmark.cli.run.supervisor import Supervisor
    from mintmark.cli.run.up_files import Databases
    from mintmark.client.mint_client import MintClient
    from mintmark.client.rsf_import import CheckedFile

POLL_INTERVAL_SECONDS = 0.1


@dataclass(frozen=True)
class UpOptions:
    """The options of the command line, checked."""

    deployment: DeploymentDir
    files: dict[Path, CheckedFile]
    refused: dict[str, str]  # by the file's path: why it is not published
    grpc: str
    http: str
    mirrors: int
    domain: str
    as_json: bool


@click.command()
@dir_option
@click.option("--register", "registers", multiple=True, metavar="FILE...", help="RSF files to publish as registers.")
@click.argument("more", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="[FILE]...")
@click.option("--samples/--no-samples", default=None, help="Publish the sample registers (default: unless --register).")
@click.option("--grpc", default="127.0.0.1:7070", show_default=True, metavar="HOST:PORT", help="Port 0: any free one.")
@click.option("--http", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT", help="Port 0: any free one.")
@click.option("--mirrors", type=click.IntRange(min=1), default=2, show_default=True, help="How many mirror workers.")
@click.option("--domain", default="registers.localhost", show_default=True, help="Origins are DOMAIN/NAME.")
@json_option
def up(
    dir_: Path, registers: tuple[str, ...], more: tuple[Path, ...], samples: bool | None, grpc: str, http: str,
    mirrors: int, domain: str, as_json: bool,
) -> None:  # fmt: skip
    """Start everything here: Postgres, the mint, mirrors, the read API, registers. Ctrl-C stops it all, cleanly.

    A second run goes on from the same data, and appends what the files have that the registers have not. A file that
    cannot be published is told, and keeps nothing else from its start.
    """
    from mintmark.cli.run.up_files import claim_address, sole_use, split_address

    forget_postgres_variables()
    _check_domain(domain)
    for address, option in ((grpc, "--grpc"), (http, "--http")):  # both, before one is found to be taken
        split_address(address, option)
    paths = [*map(_existing, map(Path, registers)), *map(_existing, more)]
    if samples or (samples is None and not paths):
        paths += sample_files()
    refused: dict[str, str] = {}
    files = {path: file for path in paths if (file := _checked(path, refused)) is not None}
    deployment = DeploymentDir(dir_.absolute())
    with sole_use(deployment):
        addresses = claim_address(grpc, "--grpc"), claim_address(http, "--http")
        options = UpOptions(deployment, files, refused, *addresses, mirrors, domain, as_json)
        if not (in_terminal := _in_terminal()):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there are servers to pass it on to
        run_until_stopped(_up(options), stops=(*STOP_SIGNALS, signal.SIGHUP) if in_terminal else STOP_SIGNALS)


def _check_domain(domain: str) -> None:
    from mintmark.tlog.origin import check_origin

    try:
        check_origin(f"{domain}/register")
    except Malformed as error:
        raise click.BadParameter(f"no origin begins with it: {error}", param_hint="--domain") from error
    if not domain:
        raise click.BadParameter("it is empty", param_hint="--domain")


def _existing(path: Path) -> Path:
    """The path of a file. A pipe, which can be read once, is none: a second run reads the files again."""
    if not path.is_file():
        raise click.BadParameter(f"{path} is not a file", param_hint="--register")
    return path


def sample_files() -> list[Path]:
    """The RSF files of the registers that come with the package."""
    return sorted((Path(__file__).parents[2] / "samples").glob("*.rsf"))


def _checked(path: Path, refused: dict[str, str]) -> CheckedFile | None:
    """A register file, by the strict rules; where they refuse it, by those for old data, with what they admitted.

    None where these refuse it too: `refused` has the reason.
    """
    from mintmark.client.rsf_import import check_file

    try:
        return check_file(path)
    except Rejected:
        try:
            file = check_file(path, legacy=True)
        except Rejected as error:
            _refuse(refused, path, error)
            return None
        echo(f"{path.name} is old data, in which some values break the rules of today")
        echo_admitted(file.warnings)
        return file
    except OSError as error:
        _refuse(refused, path, error)
        return None


def _refuse(refused: dict[str, str], path: Path, error: Exception) -> None:
    refused[str(path)] = str(error)
    echo(f"{path} is not published: {error}")


async def _up(options: UpOptions) -> None:
    from mintmark.cli.run.postgres import running_postgres
    from mintmark.cli.run.supervisor import Supervisor
    from mintmark.cli.run.up_files import write_files

    echo(f"starting Postgres in {options.deployment.dir / 'postgres'}")
    async with running_postgres(options.deployment.dir / "postgres") as databases:
        write_files(options.deployment, databases, options.grpc, options.http)
        try:
            async with Supervisor() as supervisor:
                _pass_on_hangups(supervisor)
                await supervisor.during(_bring_up(options, supervisor, databases))
                supervisor.settled = True
                await supervisor.during(asyncio.Event().wait())
        finally:
            options.deployment.withdraw()
            echo("stopping")


def _pass_on_hangups(supervisor: Supervisor) -> None:
    """Has the servers read their files again on SIGHUP; but not where that is the end of our terminal."""
    if not _in_terminal():
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, supervisor.send_signal, signal.SIGHUP)


def _in_terminal() -> bool:
    """True where SIGHUP means that the terminal is closed; not under nohup, say, which has it ignored."""
    return signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and any(
        stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)
    )


async def _bring_up(options: UpOptions, supervisor: Supervisor, databases: Databases) -> None:
    from mintmark.cli.run.postgres import READER
    from mintmark.cli.run.up_files import reachable_address
    from mintmark.store.connection.migrate import migrate
    from mintmark.store.connection.roles import grant_reading

    await migrate(databases.read, "read")  # before several mirrors and the API want it
    await grant_reading(databases.read, READER)
    _start_servers(options, supervisor, databases)
    grpc, http = reachable_address(options.grpc), f"http://{reachable_address(options.http)}"
    registers = await _append_files(options, grpc)
    await _mirrored(databases.read, {log["origin"]: log["size"] for log in registers.values()})
    await _serving(http)
    options.deployment.publish(Addresses(grpc, http, options.domain))
    directory = options.deployment.dir
    ready = {"ready": True, "http": http, "grpc": grpc, "dir": str(directory), "registers": registers}
    ready["refused"] = options.refused
    answer(options.as_json, ready, f"ready: {http}  gRPC {grpc}  data {directory}  (Ctrl-C stops it)")


def _start_servers(options: UpOptions, supervisor: Supervisor, databases: Databases) -> None:
    from mintmark.cli.run.supervisor import Child
    from mintmark.cli.run.up_files import environment

    settings = environment(databases, options.grpc, options.http)
    mirrors = [f"mirror-{number}" for number in range(1, options.mirrors + 1)]
    for name, command in [("mint", "mint"), *((mirror, "mirror") for mirror in mirrors), ("api", "serve")]:
        arguments = (command, "--config", str(options.deployment.config))
        supervisor.start(Child(name, arguments, options.deployment.logs / f"{name}.log", settings))
    echo(f"starting the mint, {', '.join(mirrors)} and the read API; they write to {options.deployment.logs}")


async def _append_files(options: UpOptions, grpc: str) -> dict[str, dict[str, Any]]:
    """Appends what the files have that the registers have not; describes every register that the mint serves."""
    from mintmark.client.mint_client import MintClient
    from mintmark.client.sending import with_retries

    async with MintClient(grpc, token=options.deployment.token.read_text().strip()) as client:
        await with_retries(client.logs)
        for path, file in options.files.items():
            try:
                await _append_file(options, client, file)
            except (Rejected, NotFound, Misconfigured) as error:  # of this file, or of its name
                _refuse(options.refused, path, error)
        return await _registers(options, client)


async def _append_file(options: UpOptions, client: MintClient, file: CheckedFile) -> None:
    from mintmark.client.rsf_import import plan_rsf
    from mintmark.client.sending import with_retries

    origin = f"{options.domain}/{file.name}"
    if file.continued is not None and not (options.deployment.trust / f"{file.name}.vkey").exists():
        raise NotFound(f"it continues a register, and there is no {file.name} here; name the file as its register")
    log = TrustedLog(origin, options.deployment.adopt(origin))
    if file.continued is None:
        await with_retries(lambda: client.create(origin, "register"))
    appended, _, head = await (await plan_rsf(client, log, file)).apply(client)
    echo(f"{origin}: {head.size} entries, {appended} of them new")


async def _registers(options: UpOptions, client: MintClient) -> dict[str, dict[str, Any]]:
    """Every log that the mint serves and whose key is here."""
    found = {}
    for log in await client.logs():
        key = options.deployment.trust / f"{short_name(log.origin)}.vkey"
        if key.exists():
            found[short_name(log.origin)] = {"origin": log.origin, "vkey": read_vkeys(key)[0].vkey, "size": log.size}
    return found


async def _mirrored(database: str, sizes: dict[str, int]) -> None:
    """Waits until the read database holds what the mint has signed; a log that contradicts itself is not waited for."""
    from mintmark.store.connection.pool import open_pool
    from mintmark.store.mirror.read_store import ReadStore

    async with open_pool(database, 1) as pool:
        store = ReadStore(pool)
        while True:
            logs = {log.origin: log for log in await store.status.of_logs()}
            for log in logs.values():
                if log.stopped is not None and log.origin in sizes:
                    echo(f"{log.origin} is not mirrored any more: {log.stopped}")
                    del sizes[log.origin]
            if all(origin in logs and logs[origin].head >= size for origin, size in sizes.items()):
                return
            await asyncio.sleep(POLL_INTERVAL_SECONDS)


async def _serving(url: str) -> None:
    """Waits until the read API answers."""
    from mintmark.client.read_api import ReadApi

    read_api = ReadApi(url)
    while not await read_api.is_serving():  # noqa: ASYNC110  # another process
        await asyncio.sleep(POLL_INTERVAL_SECONDS)
    await read_api.close()
