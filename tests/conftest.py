"""What every test may ask for: databases on a real Postgres, stores on them, and an oracle that checks a log in one.

Each worker of a parallel run has a server of its own; each test, databases of its own, copied from migrated templates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mintmark.store.connection.pool import open_pool
from mintmark.store.log.log_store import LogStore
from mintmark.store.mirror.read_store import ReadStore
from tests.support import oracle
from tests.support.mint_site import mint, site  # noqa: F401  # fixtures
from tests.support.postgres import TestPostgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestPostgres]:
    """The server of this session."""
    with TestPostgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def new_database(postgres: TestPostgres) -> Iterator[Callable[[str | None], str]]:
    """Makes databases of a kind ("mint", "read", None: empty) and gives their connection strings."""
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
    """Gives the oracle; await it with a connection string, an origin and the verifiers of its head."""
    return oracle.check_log
