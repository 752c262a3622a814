from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mintmark.cli.run.up_files import CONFIG_TEMPLATE
from mintmark.config.settings import load_api, load_mint, load_mirror
from mintmark.errors import Misconfigured

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
[mint]
database = "postgresql:///mint"
keys = "mint/keys"
tokens = "/etc/tokens.toml"
[mirror]
database = "postgresql:///read"
sources = ["127.0.0.1:7070", "[::1]:7070"]
trust = "trust"
exclude = ["secret-*"]
[api]
database = "postgresql:///read"
[api.links]
iso = "https://iso.example/"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mintmark.toml"
    path.write_text(WHOLE)
    return path


def test_a_whole_file(file: Path) -> None:
    mint, mirror, api = load_mint(file), load_mirror(file), load_api(file)
    assert (mint.listen, api.listen, mirror.listen) == ("127.0.0.1:7070", "127.0.0.1:8080", None)
    assert mirror.sources == ("127.0.0.1:7070", "[::1]:7070")
    assert (mirror.logs, mirror.exclude) == (("*",), ("secret-*",))
    assert api.links == {"iso": "https://iso.example/"}


def test_paths_are_relative_to_the_file(file: Path) -> None:
    assert load_mint(file).keys == file.parent / "mint/keys"
    assert str(load_mint(file).tokens) == "/etc/tokens.toml"
    assert load_mirror(file).key is None


def test_the_environment_goes_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINTMARK_MIRROR__DATABASE", "host=elsewhere")
    monkeypatch.setenv("MINTMARK_MIRROR__SOURCES", '["mint:1"]')
    monkeypatch.setenv("MINTMARK_TOKEN", "not a setting")
    mirror = load_mirror(file)
    assert (mirror.database, mirror.sources) == ("host=elsewhere", ("mint:1",))
    assert mirror.trust == file.parent / "trust"


def test_the_environment_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINTMARK_API__DATABASE", "host=here")
    assert load_api(None).database == "host=here"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("sources", "source", "unknown key [mirror] source; did you mean 'sources'?"),
        ("[mirror]", "[miror]", "unknown section or key 'miror'; did you mean 'mirror'?"),
        (
            '"[::1]:7070"',
            '"nowhere"',
            "[mirror] sources: 'nowhere' is not HOST:PORT; it is HOST:PORT of mints or mirrors",
        ),
        ('trust = "trust"', "", "[mirror] trust: is missing; it is the directory of the logs' public keys"),
        ('trust = "trust"', "trust = 7", "[mirror] trust: "),
        ('["127.0.0.1:7070", "[::1]:7070"]', "[]", "[mirror] sources: "),
        ("[mirror]", "[mirror", "is not TOML"),
    ],
)
def test_a_fault_names_file_key_and_fix(file: Path, before: str, after: str, said: str) -> None:
    file.write_text(WHOLE.replace(before, after))
    with pytest.raises(Misconfigured) as caught:
        load_mirror(file)
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_no_section(file: Path) -> None:
    file.write_text(WHOLE.split("[mirror]")[0])
    with pytest.raises(Misconfigured, match=r"no \[mirror\] section.*MINTMARK_MIRROR__DATABASE"):
        load_mirror(file)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read: No such file or directory; name the file with --config"):
        load_mint(tmp_path / "none.toml")


def test_the_file_that_up_writes(file: Path) -> None:
    values = {"mint": '"m"', "read": '"r"', "api": '"a"'}
    values |= {"grpc": '"127.0.0.1:1"', "http": '"127.0.0.1:2"', "source": '"127.0.0.1:1"'}
    file.write_text(CONFIG_TEMPLATE.format(**values))
    assert load_mint(file).keys == file.parent / "mint/keys"
    assert load_mirror(file).sources == (load_mint(file).listen,)
    assert (load_mirror(file).database, load_api(file).database) == ("r", "a")
    assert load_api(file).listen == "127.0.0.1:2"
