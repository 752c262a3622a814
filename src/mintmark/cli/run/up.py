"""`mintmark up`: everything on one machine, supervised; data, keys and addresses in one directory.

    check files and ports -> Postgres -> mint -> registers appended -> mirrors and read API -> all mirrored -> ready

Stopping goes the other way: servers first, all together, then Postgres.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import click

from mintmark.cli.options import TrustedLog, dir_option, json_option
from mintmark.cli.output import answer, echo, run_until_stopped
from mintmark.config.deployment import Addresses, DeploymentDir
from mintmark.errors import Malformed

if TYPE_CHECKING:
    from mintmark.cli.run.supervisor import Supervisor
    from mintmark.cli.run.up_files import Databases
    from mintmark.client.rsf_import import CheckedFile
    from mintmark.rpc.client import RpcClient

LOOK = 0.1  # seconds between looks


@dataclass(frozen=True)
class Plan:
    """What the command line asks for, checked."""

    place: DeploymentDir
    files: tuple[tuple[CheckedFile, bool], ...]  # each with whether it needs the legacy mode
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

    A second run goes on from the same data, and appends what the files have that the registers have not.
    """
    from mintmark.cli.run.ports import claim, split
    from mintmark.cli.run.up_files import sole_use

    _check_domain(domain)
    for address, option in ((grpc, "--grpc"), (http, "--http")):  # both, before one is found to be taken
        split(address, option)
    paths = [*map(_existing, registers), *more]
    if samples or (samples is None and not paths):
        paths += sample_files()
    files = tuple(map(_checked, paths))
    place = DeploymentDir(dir_.absolute())
    with sole_use(place):
        plan = Plan(place, files, claim(grpc, "--grpc"), claim(http, "--http"), mirrors, domain, as_json)
        run_until_stopped(_up(plan))


def _check_domain(domain: str) -> None:
    from mintmark.tlog.origin import check_origin

    try:
        check_origin(f"{domain}/register")
    except Malformed as error:
        raise click.BadParameter(f"no origin begins with it: {error}", param_hint="--domain") from error
    if not domain:
        raise click.BadParameter("it is empty", param_hint="--domain")


def _existing(name: str) -> Path:
    if not Path(name).is_file():
        raise click.BadParameter(f"{name} is not a file", param_hint="--register")
    return Path(name)


def sample_files() -> list[Path]:
    """The registers that come with the package."""
    return sorted((Path(__file__).parents[2] / "samples").glob("*.rsf"))


def _checked(path: Path) -> tuple[CheckedFile, bool]:
    """A register file, by the strict rules; where they refuse it, by those for old data, saying what was admitted."""
    from mintmark.cli.write.import_ import tell_warnings
    from mintmark.client.rsf_import import check_file
    from mintmark.errors import Rejected

    try:
        return check_file(path), False
    except Rejected as error:
        try:
            file = check_file(path, legacy=True)
        except Rejected as worse:
            raise Rejected(f"{path}: {worse}", rule=worse.rule, field=worse.field, line=worse.line) from error
        echo(f"{path.name} is old data, in which some values break the rules of today")
        tell_warnings(list(file.warnings))
        return file, True


async def _up(plan: Plan) -> None:
    from mintmark.cli.run.postgres import running_postgres
    from mintmark.cli.run.supervisor import Supervisor
    from mintmark.cli.run.up_files import write_files

    echo(f"starting Postgres in {plan.place.dir / 'postgres'}")
    async with running_postgres(plan.place.dir / "postgres") as databases:
        write_files(plan.place, databases, plan.grpc, plan.http)
        try:
            async with Supervisor() as crew:
                await crew.during(_bring_up(plan, crew, databases))
                crew.settled = True
                await crew.during(asyncio.Event().wait())
        finally:
            plan.place.withdraw()
            echo("stopping")


async def _bring_up(plan: Plan, crew: Supervisor, databases: Databases) -> None:
    from mintmark.cli.run.ports import reach
    from mintmark.client.upload import patiently
    from mintmark.rpc.client import RpcClient
    from mintmark.store.connection.migrate import migrate

    await migrate(databases.read, "read")  # before several mirrors and the API want it

    _start_servers(plan, crew, databases)
    token = plan.place.token.read_text().strip()
    async with RpcClient(reach(plan.grpc), token=token) as client:
        await patiently(client.logs)
        for file, legacy in plan.files:
            await _publish(plan, client, file, legacy)
        registers = await _registers(plan, client)
    await _mirrored(databases.read, {log["origin"]: log["size"] for log in registers.values()})
    await _serving(reach(plan.http))
    addresses = Addresses(reach(plan.grpc), f"http://{reach(plan.http)}", plan.domain)
    plan.place.publish(addresses)
    ready = {
        "ready": True,
        "http": addresses.http,
        "grpc": addresses.grpc,
        "dir": str(plan.place.dir),
        "registers": registers,
    }
    answer(
        plan.as_json, ready, f"ready: {addresses.http}  gRPC {addresses.grpc}  data {plan.place.dir}  (Ctrl-C stops it)"
    )


def _start_servers(plan: Plan, crew: Supervisor, databases: Databases) -> None:
    from mintmark.cli.run.supervisor import Child
    from mintmark.cli.run.up_files import environment

    settings = environment(databases, plan.grpc, plan.http)
    mirrors = [f"mirror-{number}" for number in range(1, plan.mirrors + 1)]
    for name, command in [("mint", "mint"), *((mirror, "mirror") for mirror in mirrors), ("api", "serve")]:
        arguments = (command, "--config", str(plan.place.config))
        crew.start(Child(name, arguments, plan.place.logs / f"{name}.log", settings))
    echo(f"starting the mint, {', '.join(mirrors)} and the read API; they write to {plan.place.logs}")


async def _publish(plan: Plan, client: RpcClient, file: CheckedFile, legacy: bool) -> None:
    from mintmark.client.rsf_import import append_file
    from mintmark.client.upload import patiently

    origin = f"{plan.domain}/{file.name}"
    log = TrustedLog(origin, plan.place.adopt(origin))
    await patiently(lambda: client.create(origin, "register"))
    appended, _, head = await append_file(client, log, file, legacy=legacy)
    echo(f"{origin}: {head.size} entries, {appended} of them new")


async def _registers(plan: Plan, client: RpcClient) -> dict[str, dict[str, Any]]:
    """Every log that the mint serves and whose key is here."""
    from mintmark.config.key_files import read_vkeys

    found = {}
    for log in await client.logs():
        key = plan.place.trust / f"{log.name}.vkey"
        if key.exists():
            found[log.name] = {"origin": log.origin, "vkey": read_vkeys(key)[0].vkey, "size": log.size}
    return found


async def _mirrored(database: str, sizes: dict[str, int]) -> None:
    """Waits until the read database holds what the mint has signed; a log that contradicts itself is not waited for."""
    from mintmark.store.connection.pool import open_pool
    from mintmark.store.mirror.read_store import ReadStore

    async with open_pool(database, 1) as pool:
        store = ReadStore(pool)
        while True:
            logs = {log.origin: log for log in await store.status.status()}
            for log in logs.values():
                if log.stopped is not None and log.origin in sizes:
                    echo(f"{log.origin} is not mirrored any more: {log.stopped}")
                    del sizes[log.origin]
            if all(origin in logs and logs[origin].head >= size for origin, size in sizes.items()):
                return
            await asyncio.sleep(LOOK)


async def _serving(address: str) -> None:
    """Waits until the read API answers."""
    while not await asyncio.to_thread(_answers, f"http://{address}/"):  # noqa: ASYNC110  # another process
        await asyncio.sleep(LOOK)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as response:  # noqa: S310  # our own address
            return bool(response.status == 200)
    except OSError:
        return False
