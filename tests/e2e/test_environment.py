"""`mintmark up` is about its own Postgres, whatever the environment says of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.up import up

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = {
    "PGHOST": "192.0.2.1",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "9",
    "PGUSER": "nobody",
    "PGDATABASE": "nothing",
    "PGPASSFILE": "/nowhere/passwords",
    "PGSERVICE": "missing",
    "PGSERVICEFILE": "/nowhere/services",
    "PGOPTIONS": "-c search_path=elsewhere -c default_transaction_read_only=on",
    "PGCLIENTENCODING": "LATIN1",
    "PGDATESTYLE": "SQL, DMY",
    "PGTZ": "Asia/Kathmandu",
    "PGREQUIREAUTH": "gss",
    "PGREQUIREPEER": "nobody",
    "PGCHANNELBINDING": "require",
    "PGSSLMODE": "verify-full",
    "PGTARGETSESSIONATTRS": "standby",
    "PGDATA": "/nowhere/data",
    "PGAPPNAME": "x" * 100,
}


@pytest.mark.e2e
def test_no_variable_of_libpq_reaches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    directory = tmp_path / "up"
    with up(directory, "--mirrors", "1", "--no-samples") as running:
        created = running.run("create", "things", "--json")
        assert created.returncode == 0, created.stderr
    with up(directory, "--mirrors", "1", "--no-samples") as running:  # ready when `things` is mirrored
        status = running.run("status")
        assert "registers.localhost/things" in status.stdout, status.stderr
        assert running.run("fsck").returncode == 0
