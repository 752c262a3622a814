"""The high-water mark: the last checkpoint that a log committed here, kept beside its key and apart from its database.

A database that was restored from a backup, or is a copy of another, looks whole: its rows agree with its last note. But
the log has signed more since, and a mint that went on from there would sign a second history. So a log is signed for
only where its database has the tree of its high-water mark, or one grown from it (docs/adr/007-high-water-mark).

The mark is written behind the commits, at most once a second a log: it may be a second old, and is never ahead of the
database. It only rises. `claim` keeps what came in that second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.errors import Fork, Malformed, Misconfigured, Rollback
from mintmark.files import write_durably
from mintmark.tlog import prove
from mintmark.tlog.checkpoint import Checkpoint, open_checkpoint, read_tree_head
from mintmark.tlog.kernel import EMPTY_ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mintmark.store.log.log_store import LogStore
    from mintmark.tlog.note import Verifier
    from mintmark.tlog.text import TreeHead


def read_high_water_mark(file: Path, origin: str, verifiers: Sequence[Verifier]) -> Checkpoint:
    """The checkpoint in a file, or that of the empty tree where there is no file.

    Raises:
        BadSignature: no key of the log signed it.
        Misconfigured: the file cannot be read, or holds no checkpoint of this log.
    """
    try:
        return open_checkpoint(file.read_bytes(), origin, verifiers)
    except FileNotFoundError:
        return Checkpoint(origin, 0, EMPTY_ROOT)
    except OSError as error:
        raise Misconfigured(f"the mark {file} cannot be read: {error.strerror}") from error
    except Malformed as error:
        raise Misconfigured(f"{file} is damaged: {error}; put a checkpoint of a mirror in its place") from error


def raise_high_water_mark(file: Path, note: bytes) -> bool:
    """Brings the mark up to a note of ours, if it is not that far; True if it was.

    A note of the same tree with other signatures takes the old one's place: the key may have been changed. Several
    mints may keep one mark: a mint that wrote it calls this again, in case that another wrote less meanwhile. Raises
    Fork where the mark is of another tree of the same size; of two sizes, `check_high_water_mark` tells.
    """
    ours, held = read_tree_head(note), _tree_head(file)
    if held is not None and held.size == ours.size and held.root != ours.root:
        raise Fork(f"{ours.origin} has signed two trees of {ours.size} entries: {file} holds the other")
    if held is not None and (held.size > ours.size or (held.size == ours.size and file.read_bytes() == note)):
        return True
    write_high_water_mark(file, note)
    return False


def _tree_head(file: Path) -> TreeHead | None:
    try:
        return read_tree_head(file.read_bytes())
    except (FileNotFoundError, Malformed):
        return None


def write_high_water_mark(file: Path, note: bytes) -> None:
    """Replaces the mark: after a crash the old one is there or the new one. Raises OSError, Misconfigured."""
    if not file.parent.is_dir():  # a directory of keys that is gone must not come back empty
        raise Misconfigured(f"{file} cannot be written: {file.parent} is not there")
    write_durably(file, note, mode=0o600)


async def check_high_water_mark(store: LogStore, log: int, head: Checkpoint, mark: Checkpoint) -> None:
    """Checks that a log's tree has grown from the mark, or from another head that it has signed.

    Raises:
        Rollback: it is smaller. Carries both notes.
        Fork: it is another. Carries both notes.
        Malformed: a tile of it is too narrow.
    """
    if head.size < mark.size:
        reason = f"{head.origin} has signed {mark.size} entries, and its database holds {head.size}: an older copy"
        advice = "nothing is signed until it has caught up from a mirror (mintmark catch-up)"
        raise Rollback(f"{reason}; {advice}", mark.note, head.note)
    if mark.size == 0 or (mark.size, mark.root) == (head.size, head.root):
        return
    tiles = await store.tiles(log, prove.needed([(0, mark.size)]))
    if prove.subtree_root(0, mark.size, tiles) != mark.root:
        reason = f"the database of {head.origin} holds another tree than the one that it has signed"
        raise Fork(f"{reason}; nothing is signed until that one is restored from a mirror", mark.note, head.note)
