"""The entry point: the table of commands, and the end of every error.

A command's module is imported when the command runs, so `mintmark --help` imports click and this table. Every error
ends in one sentence on stderr and an exit code of `cli.exits`; a traceback comes only with --debug or MINTMARK_DEBUG=1.
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
from mintmark.cli import exits, streams
from mintmark.errors import MintmarkError

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
        "keygen": ("write.logs:keygen", "Make a log's signing key."),
        "create": ("write.logs:create", "Make an empty log."),
        "append": ("write.append:append", "Append entries, records, definitions or an erasure."),
        "import": ("write.append:import_", "Append a file: RSF, CSV, TSV or JSON Lines."),
    },
    "Read and verify": {
        "checkpoint": ("read.heads:checkpoint", "Print the verified signed head of a log."),
        "entries": ("read.entries:entries", "Print verified entries."),
        "export": ("read.entries:export", "Write a verified log to a file."),
        "watch": ("read.heads:watch", "Print each new head of some logs, verified, as it is signed."),
        "prove": ("read.proofs:prove", "Fetch the proof of one entry, to keep or hand on."),
        "verify": ("read.proofs:verify", "Check a proof offline."),
        "audit": ("read.heads:audit", "Prove that a log has only grown since the last audit."),
    },
    "Operate": {
        "status": ("operate.status:status", "Show how far each mirrored log is, and what went wrong."),
        "evidence": ("operate.evidence:evidence", "Print what contradicted a log, for others to check."),
        "resume": ("operate.status:resume", "Follow a log again that was stopped."),
        "publish": ("operate.publish:publish", "Write logs to an object store, for CDNs and mirrors."),
        "fsck": ("operate.fsck:fsck", "Check every row of a database, and mend it from a source."),
        "rebuild": ("operate.recovery:rebuild", "Make the rows of a mirrored log again from its bundles."),
        "catch-up": ("operate.recovery:catch_up", "Bring a mint's restored database up to a mirror."),
    },
}
COMMANDS: Commands = {name: command for section in SECTIONS.values() for name, command in section.items()}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports a command when it is used."""

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
        """Finds a command. The error of a misspelt one names the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            guesses = difflib.get_close_matches(args[0], COMMANDS, 1)
            guess = f" Did you mean {guesses[0]!r}?" if guesses else ""
            raise click.UsageError(error.message + guess, ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the table of commands, in sections, without importing any."""
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
    """Runs one command line; returns its exit code."""
    if argv is None:
        streams.prepare()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # grpc writes lines of its own to stderr; our errors suffice
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments  # here, because an error may come before click has parsed the options
    try:
        result = cli.main(arguments, prog_name="mintmark", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else exits.OK
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        _print_usage_error(error, as_json)
        return error.exit_code
    except MintmarkError as error:
        return _print_error(error, exits.exit_code(error), as_json)
    except (KeyboardInterrupt, click.Abort):
        return exits.INTERRUPTED
    except (SystemExit, BrokenPipeError):  # the reader of stdout is gone; click raises the first alone
        streams.drop_output()
        return exits.BROKEN_PIPE
    except Exception as error:  # noqa: BLE001  # the edge of the process: a defect of ours, in one line
        if isinstance(error, UnicodeEncodeError) and (foreign := _not_unicode(arguments)) is not None:
            usage = click.UsageError(f"an argument is not {sys.getfilesystemencoding()}: {foreign!a}")
            _print_usage_error(usage, as_json)
            return usage.exit_code
        if isinstance(error, OSError) and error.filename == streams.STDOUT:
            streams.drop_output()
        return _print_error(error, exits.ERROR, as_json)


def _not_unicode(arguments: Sequence[str]) -> str | None:
    """The first argument with bytes that Python could not decode. Only an entry and a path may have them."""
    return next((each for each in arguments if any("\udc80" <= char <= "\udcff" for char in each)), None)


def _print_error(error: Exception, code: int, as_json: bool) -> int:
    if os.environ.get("MINTMARK_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    if as_json:
        _print(json.dumps({"error": exits.error_object(error, code)}))
    else:
        _print(f"mintmark: {exits.describe_error(error)}")
    return code


def _print_usage_error(error: click.ClickException, as_json: bool) -> None:
    if as_json:
        message = {"type": "Usage", "message": error.format_message(), "exit": error.exit_code}
        _print(json.dumps({"error": message}))
    else:
        error.show()


def _print(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    sys.exit(main())
