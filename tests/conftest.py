"""Shared by every test: databases on a real Postgres, stores on them, and an oracle that checks a log in one.

Each worker of a parallel run has a server of its own; each test, databases of its own, copied from migrated templates.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from mintmark.store.connection.pool import open_pool
from mintmark.store.log.log_store import LogStore
from mintmark.store.mirror.read_store import ReadStore
from tests.support import oracle
from tests.support.mint_site import mint, site  # noqa: F401  # fixtures
from tests.support.postgres import TestPostgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


TESTS = Path(__file__).parent

hypothesis.settings.register_profile("untimed", deadline=None)  # a machine may be busy
hypothesis.settings.load_profile("untimed")

# The fast tier: pure tests and unit tests. A test there that needs a database or a process is left out.
FAST = [
    Path(path)
    for path in (
        *("auth", "config", "docs", "formats", "register", "rpc", "tlog", "test_aio.py", "test_layers.py"),
        *("cli/test_faults.py", "cli/test_main.py"),
    )
]


def is_fast(path: Path) -> bool:
    """True for what belongs to the fast tier, and for the directories on the way there."""
    below = path.relative_to(TESTS)
    return any(below == fast or fast in below.parents or below in fast.parents for fast in FAST)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Does not read other tests where only the fast tier is asked for: reading all takes longer than running it."""
    fast_only = config.getoption("markexpr") == "fast" and collection_path.is_relative_to(TESTS)
    return True if fast_only and not is_fast(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of the fast tier."""
    for item in items:
        heavy = any(item.get_closest_marker(name) for name in ("e2e", "browser", "interop"))
        if is_fast(item.path) and not heavy and "postgres" not in getattr(item, "fixturenames", ()):
            item.add_marker("fast")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestPostgres]:
    """A Postgres server for all tests of this process."""
    with TestPostgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def new_database(postgres: TestPostgres) -> Iterator[Callable[[str | None], str]]:
    """A function from a kind of database ("mint", "read", None: empty) to the connection string of a new one."""
    names: list[str] = []

    def create(kind: str | None) -> str:
        names.append(postgres.create(kind))
        return postgres.server.conninfo(names[-1])

    yield create
    for name in names:
        postgres.drop(name)


@pytest.fixture
def mint_db(new_database: Callable[[str | None], str]) -> str:
    """The connection string of a mint's database, migrated and empty."""
    return new_database("mint")


@pytest.fixture
def read_db(new_database: Callable[[str | None], str]) -> str:
    """The connection string of a read database, migrated and empty."""
    return new_database("read")


@pytest.fixture
async def read_store(read_db: str) -> AsyncIterator[ReadStore]:
    """An open store on `read_db`."""
    async with open_pool(read_db, 4) as pool:
        yield ReadStore(pool)


@pytest.fixture
async def log_store(mint_db: str) -> AsyncIterator[LogStore]:
    """An open store on `mint_db`, which reads logs."""
    async with open_pool(mint_db, 4) as pool:
        yield LogStore(pool)


@pytest.fixture
def check_log() -> Callable[..., object]:
    """The oracle; await it with a connection string, an origin and the verifiers of its head."""
    return oracle.check_log
