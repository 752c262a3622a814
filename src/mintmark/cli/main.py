"""The entry point: the table of commands, and what becomes of an error.

A command's module is imported when the command runs, so `mintmark --help` imports click and this table. Whatever goes
wrong ends in one sentence on stderr and an exit code of `cli.exits`; a traceback only with --debug or MINTMARK_DEBUG=1.
"""

from __future__ import annotations

import difflib
import importlib
import json
import os
import sys
import traceback
from typing import TYPE_CHECKING

import click

from mintmark import __version__
from mintmark.cli import exits
from mintmark.errors import MintmarkError, Rejected, Untrusted

if TYPE_CHECKING:
    from collections.abc import Sequence

Commands = dict[str, tuple[str, str]]  # name -> (module:function in this package, help)

SECTIONS: dict[str, Commands] = {
    "Run": {
        "up": ("run.up:up", "Start everything here: Postgres, mint, mirrors, read API, registers."),
        "mint": ("run.servers:mint", "Serve the mint: append, sign, prove."),
        "mirror": ("run.servers:mirror", "Keep verified copies of logs in a read database."),
        "serve": ("run.servers:serve", "Serve the read API from a read database."),
    },
    "Write": {
        "keygen": ("write.keygen:keygen", "Make a log's signing key."),
        "create": ("write.create:create", "Make an empty log."),
        "append": ("write.append:append", "Append entries, records, definitions or an erasure."),
        "import": ("write.import_:import_", "Append a file: RSF, CSV, TSV or JSON Lines."),
    },
    "Read and verify": {
        "checkpoint": ("read.checkpoint:checkpoint", "Print the verified signed head of a log."),
        "entries": ("read.entries:entries", "Print verified entries."),
        "export": ("read.export:export", "Write a verified log to a file."),
        "watch": ("read.watch:watch", "Print each new head of some logs, verified, as it is signed."),
        "prove": ("read.prove:prove", "Fetch the proof of one entry, to keep or hand on."),
        "verify": ("read.verify:verify", "Check a proof offline."),
        "audit": ("read.audit:audit", "Prove that a log has only grown since the last audit."),
    },
    "Operate": {
        "status": ("operate.status:status", "Show how far each mirrored log is, and what went wrong."),
        "evidence": ("operate.evidence:evidence", "Print what contradicted a log, for others to check."),
        "resume": ("operate.resume:resume", "Follow a log again that was stopped."),
        "publish": ("operate.publish:publish", "Write logs to an object store, for CDNs and mirrors."),
        "fsck": ("operate.fsck:fsck", "Check every row of a database, and mend it from a source."),
        "rebuild": ("operate.rebuild:rebuild", "Make the rows of a mirrored log again from its bundles."),
        "catch-up": ("operate.catch_up:catch_up", "Bring a mint's restored database up to a mirror."),
    },
}
COMMANDS: Commands = {name: command for section in SECTIONS.values() for name, command in section.items()}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command."""
        if cmd_name not in COMMANDS:
            return None
        module, function = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(f"mintmark.cli.{module}"), function)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds a command; guesses at what a misspelt one was meant to be."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            guesses = difflib.get_close_matches(args[0], COMMANDS, 1)
            guess = f" Did you mean {guesses[0]!r}?" if guesses else ""
            raise click.UsageError(error.message + guess, ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, in sections, without importing one command."""
        width = max(map(len, COMMANDS))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, (_, text) in commands.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="mintmark %(version)s")
@click.option("--debug", is_flag=True, help="Show a traceback on errors (also MINTMARK_DEBUG=1).")
def cli(debug: bool) -> None:
    """Registers as verifiable logs, and verified copies of them in anybody's Postgres.

    Exit codes: 0 done and verified, 1 error, 2 usage, 3 the log lied, 4 unreachable or not yet.
    """
    if debug:
        os.environ["MINTMARK_DEBUG"] = "1"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; its exit code."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # grpc writes its own lines to stderr; our errors say it better
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments  # asked here, for an error may come before the command line is understood
    try:
        result = cli.main(arguments, prog_name="mintmark", standalone_mode=False)
        return result if isinstance(result, int) else exits.OK
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        _tell_usage(error, as_json)
        return error.exit_code
    except MintmarkError as error:
        return _tell(error, exits.exit_code(error), as_json)
    except (KeyboardInterrupt, click.Abort):
        return exits.INTERRUPTED
    except SystemExit:  # by which click ends where a reader has gone away, and nothing else here does
        return exits.BROKEN_PIPE
    except Exception as error:  # noqa: BLE001  # the edge of the process: a defect of ours, said in one line
        return _tell(error, exits.ERROR, as_json)


def _tell(error: Exception, code: int, as_json: bool) -> int:
    if os.environ.get("MINTMARK_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    message = _sentence(error)
    if as_json:
        _print(
            json.dumps({"error": {"type": type(error).__name__, "message": message, "exit": code} | _details(error)})
        )
    else:
        _print(f"mintmark: {message}")
    return code


def _sentence(error: Exception) -> str:
    if isinstance(error, MintmarkError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    said = " ".join(str(error).split())
    return f"internal error, {type(error).__name__}: {said}; run it again with --debug and report what it prints"


def _details(error: Exception) -> dict[str, object]:
    """What a machine may want of an error beside its sentence."""
    if isinstance(error, Rejected):
        known = {"rule": error.rule, "field": error.field, "line": error.line, "index": error.index}
        return {key: value for key, value in known.items() if value not in ("", None)}
    if isinstance(error, Untrusted) and error.notes:
        return {"notes": [note.decode("utf-8", "backslashreplace") for note in error.notes]}
    return {}


def _tell_usage(error: click.ClickException, as_json: bool) -> None:
    if as_json:
        message = {"type": "Usage", "message": error.format_message(), "exit": error.exit_code}
        _print(json.dumps({"error": message}))
    else:
        error.show()


def _print(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    sys.exit(main())
