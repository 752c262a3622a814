"""The servers' settings: one TOML file with a section a server, and the environment over it.

    [mint]    database database_schema listen keys tokens
    [mirror]  database database_schema sources trust logs exclude kinds listen key
    [api]     database database_schema listen links

`MINTMARK_<SECTION>__<KEY>` overrides a key, so that a container needs no file. Paths are relative to the file. A key
that no server knows, a value of the wrong type and a missing value are Misconfigured: the message names file, key and
fix.

Only commands that need a configuration import this: pydantic takes longer to import than all of `mintmark --help`.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from mintmark.errors import Misconfigured
from mintmark.files import refuse_pipe
from mintmark.formats import LogKind  # noqa: TC001  # pydantic reads it
from mintmark.mirror.source_words import FRESH_SECONDS
from mintmark.store.connection.session import DEFAULT_SCHEMA, with_schema

if TYPE_CHECKING:
    from pydantic_settings import PydanticBaseSettingsSource


def _address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) < 65536):
        raise ValueError(f"{value!r} is not HOST:PORT")
    return value


def _source(value: str) -> str:
    if "://" not in value:
        return _address(value)
    scheme, _, rest = value.partition("://")
    if scheme not in ("http", "https") or not rest.strip("/") or set("?#@ ") & set(rest):
        raise ValueError(f"{value!r} is not http(s)://HOST/PATH/, with {{name}} for a log's name if it is of many")
    return value.rstrip("/") + "/"


MAX_FRESH_SECONDS = 366 * 86_400.0

Address = Annotated[str, AfterValidator(_address)]
SourceAddress = Annotated[str, AfterValidator(_source)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    database: str = Field(min_length=1, description="a Postgres connection string")
    database_schema: str = Field(
        DEFAULT_SCHEMA, description="the schema that our tables stand in, made where there is none"
    )


class MintSettings(_Section):
    """The settings of `mintmark mint`."""

    database: str = Field(min_length=1, description="a Postgres connection string, for the mint alone")
    listen: Address = Field("127.0.0.1:7070", description="the HOST:PORT to serve gRPC on")
    keys: Path = Field(description="the directory of the logs' secret keys, NAME.key each (mintmark keygen)")
    tokens: Path = Field(description="the TOML file that says which bearer token may do what")


class MirrorSettings(_Section):
    """The settings of `mintmark mirror`."""

    database: str = Field(min_length=1, description="a Postgres connection string, of the read database")
    sources: tuple[SourceAddress, ...] = Field(
        min_length=1, description="HOST:PORT of mints or mirrors, or URLs that logs are published at, best first"
    )
    trust: Path = Field(description="the directory of the logs' public keys, NAME.vkey each")
    logs: tuple[str, ...] = Field(("*",), min_length=1, description="globs of the names or origins to follow")
    exclude: tuple[str, ...] = Field((), description="globs of those not to follow")
    kinds: dict[str, LogKind] = Field(
        {}, description="name or origin = opaque or register, for logs of which no source is to say what they are"
    )
    listen: Address | None = Field(None, description="the HOST:PORT to serve the copies on over gRPC, if at all")
    key: Path | None = Field(None, description="the mirror's own secret key, to cosign what it holds with")
    fresh_for: float = Field(
        FRESH_SECONDS,
        ge=5,
        le=MAX_FRESH_SECONDS,
        description="the seconds that a source's word holds: the period of a schedule, or more",
    )


class ApiSettings(_Section):
    """The settings of `mintmark serve`."""

    database: str = Field(min_length=1, description="a Postgres connection string, of the read database")
    listen: Address = Field("127.0.0.1:8080", description="the HOST:PORT to serve HTTP on")
    links: dict[str, str] = Field({}, description="CURIE prefix = URL of registers that are published elsewhere")


class Settings(BaseSettings):
    """A whole configuration file; each server reads its own section."""

    model_config = SettingsConfigDict(
        env_prefix="MINTMARK_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )
    mint: MintSettings | None = None
    mirror: MirrorSettings | None = None
    api: ApiSettings | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes over the file."""
        return env_settings, init_settings


UP_CONFIG_FILE = Path(".mintmark/mintmark.toml")  # which `mintmark up` writes where it is run

S = TypeVar("S", bound=_Section)


def load_mint(file: Path | None) -> MintSettings:
    """The mint's settings from a file (if any) and the environment. Raises Misconfigured."""
    return _section(file, "mint", MintSettings)


def load_mirror(file: Path | None) -> MirrorSettings:
    """A mirror's settings from a file (if any) and the environment. Raises Misconfigured."""
    return _section(file, "mirror", MirrorSettings)


def load_api(file: Path | None) -> ApiSettings:
    """The read API's settings from a file (if any) and the environment. Raises Misconfigured."""
    return _section(file, "api", ApiSettings)


def configured(file: Path | None) -> set[str]:
    """The sections that a file (if any) and the environment give. Raises Misconfigured."""
    settings = _settings(file)
    return {name for name in SECTIONS if getattr(settings, name) is not None}


def _section(file: Path | None, name: str, kind: type[S]) -> S:
    place = _place(file)
    section = getattr(_settings(file), name)
    if not isinstance(section, kind):
        raise Misconfigured(
            f"{place} has no [{name}] section; give one with --config {_likely(file)}, or set {_variables(name, kind)}"
        )
    return _with_schema(_anchored(section, file.absolute().parent if file else Path.cwd()))


def _likely(file: Path | None) -> str:
    return str(UP_CONFIG_FILE) if file is None and UP_CONFIG_FILE.exists() else "FILE"


def _place(file: Path | None) -> str:
    return str(file) if file else "the environment"


def _settings(file: Path | None) -> Settings:
    try:
        return Settings(**_read(file))
    except ValidationError as error:
        raise Misconfigured(f"{_place(file)}: {_explain(error)}") from error


def _read(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    refuse_pipe(file)
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read: {error.strerror}; name the file with --config") from error
    except ValueError as error:
        raise Misconfigured(f"{file} is not TOML: {error}") from error


def _variables(name: str, kind: type[_Section]) -> str:
    needed = [key for key, field in kind.model_fields.items() if field.is_required()]
    return ", ".join(f"MINTMARK_{name.upper()}__{key.upper()}" for key in needed)


def _anchored(section: S, base: Path) -> S:
    values = {key: getattr(section, key) for key in type(section).model_fields}
    return section.model_copy(update={key: base / value for key, value in values.items() if isinstance(value, Path)})


def _with_schema(section: S) -> S:
    """The section whose connection string names our schema too: it goes where the string goes."""
    if section.database_schema == DEFAULT_SCHEMA:
        return section
    return section.model_copy(update={"database": with_schema(section.database, section.database_schema)})


SECTIONS: dict[str, type[_Section]] = {"mint": MintSettings, "mirror": MirrorSettings, "api": ApiSettings}


def _explain(error: ValidationError) -> str:
    """One fault in the words of the file: the key, what is wrong, what belongs there. Misspelt keys before missing."""
    fault = min(error.errors(include_url=False), key=lambda fault: fault["type"] != "extra_forbidden")
    section, key = (*map(str, fault["loc"]), "", "")[:2]
    fields = SECTIONS[section].model_fields if section in SECTIONS else {}
    if fault["type"] == "extra_forbidden":
        known = list(fields) if key else list(SECTIONS)
        close = difflib.get_close_matches(key or section, known, 1)
        meant = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        return f"unknown {f'key [{section}] {key}' if key else f'section or key {section!r}'}; {meant}"
    what = "is missing" if fault["type"] == "missing" else fault["msg"].removeprefix("Value error, ")
    about = fields[key].description if key in fields else "a section"
    return f"[{section}] {key}: {what}; it is {about}"
