"""Command lines as tests run them: in this process where nothing is served, as a process where something is."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    Run = Callable[..., "Result"]


class Result(NamedTuple):
    """The exit code of a command line, and what it printed."""

    code: int
    out: str
    err: str


async def spawn(*arguments: object, stdin: bytes = b"", **environment: str) -> Result:
    """`mintmark ARGUMENTS` as a process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "mintmark", *map(str, arguments)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | environment,
    )
    out, err = await process.communicate(stdin)
    return Result(process.returncode or 0, out.decode(), err.decode())


async def shell(line: str, *arguments: object, **environment: str) -> Result:
    """`mintmark ARGUMENTS`, by bash, in the place of `@` in a line."""
    command = shlex.join([sys.executable, "-P", "-m", "mintmark", *map(str, arguments)])
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", line.replace("@", command)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | environment,
    )
    out, err = await process.communicate()
    return Result(process.returncode or 0, out.decode(), err.decode())


@asynccontextmanager
async def serving(database: str, address: str) -> AsyncIterator[Process]:
    """`mintmark serve` as a process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "mintmark", "serve"),
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"MINTMARK_API__DATABASE": database, "MINTMARK_API__LISTEN": address},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def one_sentence(result: Result, code: int, *expected: str) -> None:
    """The command ended with this code, and with one sentence that has these words and is fit for a person."""
    assert result.code == code, result
    assert result.err.startswith("mintmark: ")
    assert result.err.count("\n") == 1
    assert "rror: internal" not in result.err
    assert "[Errno" not in result.err
    for words in expected:
        assert words in result.err, result


def configured(directory: Path, section: str, **values: object) -> Path:
    """A configuration file with one section."""
    file = directory / "mintmark.toml"
    file.write_text(f"[{section}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    return file


def free_address() -> str:
    """A HOST:PORT of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
