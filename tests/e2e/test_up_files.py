"""`mintmark up` with files of which some cannot be published: the others are, and each of these is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from mintmark.register.entry import v1_extend
from mintmark.register.rsf import write_rsf
from mintmark.tlog.edge import Edge
from tests.support.lighthouse import ROWS, user
from tests.support.lights import light, lights
from tests.support.up import up

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e


def test_a_bad_file_keeps_no_other_from_its_start(tmp_path: Path) -> None:
    good, bad, rest = tmp_path / "good.rsf", tmp_path / "bad.rsf", tmp_path / "lighthouse.rsf"
    good.write_bytes(b"".join(write_rsf(ROWS)))
    bad.write_bytes(good.read_bytes() + b"nonsense\t\n")
    more = lights(0, 2, "2024-03-03T00:00:00Z")
    rest.write_bytes(b"".join(write_rsf(more, v1_extend(Edge(), [entry for entry, _ in ROWS]))))
    with up(tmp_path / "up", "--register", rest, bad, good) as running:
        refused = running.ready["refused"]
        assert list(running.ready["registers"]) == ["lighthouse"]
        assert refused.keys() == {str(bad), str(rest)}
        assert "line 25: unknown command 'nonsense'" in refused[str(bad)]
        assert "there is no lighthouse here" in refused[str(rest)]
        assert httpx.get(f"{running.ready['http']}/lighthouse/records/FAR.json").status_code == 200
    said = (tmp_path / "up.stderr").read_text()
    assert f"{bad} is not published: line 25" in said

    good.write_bytes(b"".join(write_rsf([*ROWS[:-1], user("KIN", light("KIN"))])))
    with up(tmp_path / "up", "--register", good, rest) as running:
        assert running.ready["registers"]["lighthouse"]["size"] == len(ROWS) + 2
        assert running.ready["refused"].keys() == {str(good)}
        assert "holds other entries than this file: its user entry 2" in running.ready["refused"][str(good)]
