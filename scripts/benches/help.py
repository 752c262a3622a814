"""How soon `mintmark --help` is there, beside the interpreter alone and with click."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benches.report import Report, interleave

if TYPE_CHECKING:
    from benches.report import Options

ABOUT = "the start of `mintmark --help`"


async def run(options: Options) -> Report:
    report = Report("wall clock of a process")
    script = str(Path(sys.executable).with_name("mintmark"))
    cases = {
        "mintmark --help": lambda: started(script, "--help"),
        "python, click imported": lambda: started(sys.executable, "-c", "import click"),
        "python": lambda: started(sys.executable, "-c", ""),
    }
    report.add(await interleave(cases, options.rounds or 10), "ms")
    report.limit("mintmark --help", 150, most=True)
    return report


async def started(*arguments: str) -> float:
    """The milliseconds of a command, from start to end."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.DEVNULL)
    await process.wait()
    return (time.perf_counter() - began) * 1000
