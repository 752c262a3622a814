"""Tokens: what a file may say, what a token may do, and how its quota is spent."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.auth.tokens import RIGHTS, Tokens, format_token, parse_tokens
from mintmark.errors import Busy, Forbidden, Misconfigured, Unauthenticated

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # of "test"
METADATA = (("user-agent", "x"), ("authorization", "Bearer test"))


def table(**more: str) -> str:
    values = {"sha256": f'"{DIGEST}"', "rights": '["append"]'} | more
    return "[[token]]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


def test_what_is_printed_is_parsed(file: Path) -> None:
    file.write_text(format_token("up", "test", RIGHTS))
    token = Tokens(file).authorize(METADATA, "erase", "any/log")
    assert (token.name, token.rights, token.logs, token.quota) == ("up", RIGHTS, ("*",), None)
    assert "test" not in file.read_text()


@pytest.mark.parametrize(
    ("globs", "origin", "may"),
    [
        ('["*"]', "registers.example/country", True),
        ('["country"]', "registers.example/country", True),
        ('["registers.example/*"]', "registers.example/country", True),
        ('["registers.example/c*"]', "registers.example/region", False),
        ('["c*"]', "registers.example/region", False),
        ("[]", "registers.example/country", False),
    ],
)
def test_globs_say_in_which_logs(file: Path, globs: str, origin: str, may: bool) -> None:
    file.write_text(table(logs=globs))
    tokens = Tokens(file)
    if may:
        tokens.authorize(METADATA, "append", origin)
    else:
        with pytest.raises(Forbidden, match="no right to append"):
            tokens.authorize(METADATA, "append", origin)


@pytest.mark.parametrize(
    "metadata",
    [(), None, (("authorization", "Bearer other"),), (("authorization", "Basic test"),), (("authorization", b"test"),),
     (("authorization", "Bearer "),), (("authorization", "bearer test"),), (("x", "Bearer test"),)],
)  # fmt: skip
def test_without_the_token_there_is_no_right(file: Path, metadata: object) -> None:
    file.write_text(table())
    with pytest.raises(Unauthenticated, match="bearer token"):
        Tokens(file).authorize(metadata, "append", "a/b")  # type: ignore[arg-type]  # hostile


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[token]\n", "tables and nothing else"),
        ("other = 1\n", "tables and nothing else"),
        ("token = [1]\n", "tables and nothing else"),
        ("[[token]]\n", "token 1: sha256 is 64 lower-case hex digits"),
        (table(sha256='"00"'), "token 1: sha256 is"),
        (table(sha256=f'"{DIGEST.upper()}"'), "token 1: sha256 is"),
        (table(sha256="1"), "token 1: sha256 is"),
        (table(secret='"x"'), "token 1 has an unknown key 'secret'"),
        (table(rights='["append", "own"]'), "token 1 has an unknown right 'own'"),
        (table(rights='"append"'), "token 1: rights is a list"),
        (table(logs="[1]"), "token 1: logs is a list"),
        (table(quota="0"), "token 1: quota is a number"),
        (table(quota="-1"), "token 1: quota is a number"),
        (table(quota="true"), "token 1: quota is a number"),
        (table(quota="nan"), "token 1: quota is a number"),
        (table(quota='"many"'), "token 1: quota is a number"),
        (table() + table(), "token 2 is the same as"),
        ("[[token", "tokens.toml"),
    ],
)
def test_a_file_that_says_something_else_is_refused_by_what_is_wrong(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(Misconfigured, match=r"tokens.toml") as refused:
        Tokens(file)
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(Misconfigured, match=r"tokens.toml cannot be read: .*; name the file with \[mint\] tokens"):
        Tokens(file)


@given(st.text(max_size=200))
def test_any_text_is_a_file_of_tokens_or_refused(text: str) -> None:
    with suppress(ValueError):
        parse_tokens(text)


def test_the_file_is_read_again_when_it_changes_and_a_bad_one_changes_nothing(file: Path) -> None:
    file.write_text(table())
    tokens = Tokens(file)
    assert not tokens.reload()
    file.write_text(table(rights='["append", "create"]'))
    assert tokens.reload()
    tokens.authorize(METADATA, "create", "a/b")
    file.write_text("[[token]]\n")
    with pytest.raises(Misconfigured):
        tokens.reload()
    tokens.authorize(METADATA, "create", "a/b")
    os.unlink(file)
    with pytest.raises(Misconfigured):
        tokens.reload()
    tokens.authorize(METADATA, "create", "a/b")


def test_a_quota_is_of_each_log_and_fills_again(file: Path) -> None:
    file.write_text(table(quota="100"))
    now = 1000.0
    tokens = Tokens(file, lambda: now)
    token = tokens.authorize(METADATA, "append", "a/one")
    tokens.spend(token, "a/one", 150)
    tokens.spend(token, "a/one", 350)  # what is left lets a batch through whole
    with pytest.raises(Busy) as busy:
        tokens.spend(token, "a/one", 1)
    assert busy.value.retry_after == pytest.approx(3.01)
    tokens.spend(token, "a/two", 1)  # one log's quota never throttles another
    now += busy.value.retry_after
    tokens.spend(token, "a/one", 1)
    now += 3600
    tokens.spend(token, "a/one", 200)
    with pytest.raises(Busy):  # what was saved up in an hour is two seconds' worth
        tokens.spend(token, "a/one", 1)
