"""The OpenAPI 3.1 document. Its paths and formats come from the routing table.

routes.table.RESOURCES  +  operations (a path's purpose, parameters and JSON)  ->  DOCUMENT
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mintmark import __version__
from mintmark.api.formats import MEDIA_TYPES
from mintmark.api.openapi import operations, schemas
from mintmark.api.problems import PROBLEM_FORMATS
from mintmark.api.routes.table import HOME_FORMATS, RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mintmark.api.openapi.operations import Operation

Tree = dict[str, Any]

_NAMES = re.compile(r"{([a-z]+)}")
_HEADERS = {
    "Mintmark-Origin": "The log's name, which its checkpoints are signed for.",
    "Mintmark-Size": "The size that the answer speaks for.",
    "Mintmark-Root": "The root of the log's tree at that size.",
    "Mintmark-Freshness": "How fresh the log's copy is: current, behind; lag=N, unknown; since=TIME, or stopped.",
    "Mintmark-Proof-Size": "The size of the checkpoint in a tlog-proof.",
    "Content-Disposition": "A name for the file.",
    "ETag": "Changes when the answer may.",
    "Location": "Where it is.",
}
_ABOUT_LOG = ("Mintmark-Origin", "Mintmark-Size", "Mintmark-Root", "Mintmark-Freshness")
_PROBLEMS = {
    "400": ("BadRequest", "The path or a parameter is not what it should be; the problem's detail says how."),
    "404": ("NotFound", "There is no such register, record, entry, item or page, or not at that size."),
    "406": ("NotAcceptable", "It cannot be had in the format that was asked for; the problem's detail says in which."),
    "429": ("Busy", "Too much is being read here at once. Retry-After says when to try again."),
    "503": ("Unavailable", "The database cannot be reached now, or took too long. Retry-After says when to try again."),
}


def _document() -> Tree:
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mintmark read API", "version": __version__, "description": operations.ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in operations.TAGS.items()],
        "paths": dict(_paths()),
        "components": {
            "schemas": schemas.SHAPES,
            "parameters": {name: _parameter(name) for name in operations.PARAMETERS},
            "headers": {n: {"description": text, "schema": {"type": "string"}} for n, text in _HEADERS.items()},
            "responses": {name: _problem(text) for name, text in _PROBLEMS.values()},
        },
    }


def _paths() -> Iterator[tuple[str, Tree]]:
    yield _path("/", operations.OPERATIONS["/"], HOME_FORMATS)
    for below, found in RESOURCES.items():
        path, about = "/{register}" + below, operations.OPERATIONS[below]
        yield _path(path, about, tuple(name for name in found.formats if name != "proof"))
        if "proof" in found.formats:
            yield _path(f"{path}.proof", operations.proof_file(below), ("proof",))
    for below, about in operations.LOG.items():
        yield _path("/{register}" + below, about)
    for below, target in operations.MOVED.items():
        yield "/{register}" + below, {"get": _moved("/{register}" + below, target)}
    for path, about in operations.FIXED.items():
        yield _path(path, about)


def _path(path: str, about: Operation, formats: Sequence[str] = ()) -> tuple[str, Tree]:
    content = {MEDIA_TYPES[name][0]: _content(name, about) for name in formats} or {about.type: {}}
    headers = (*(_ABOUT_LOG if path.startswith("/{register}") else ()), *about.headers)
    responses: Tree = {"200": _response(about.summary, headers) | {"content": content}}
    if "ETag" in headers:
        responses["304"] = _response("If-None-Match names the current response.", headers)
    suffixes = ", ".join(f"`.{name}`" for name in formats if name != "full")
    texts = (about.text, suffixes and f"Suffixes: {suffixes}.")
    return path, {
        "get": {
            "operationId": _id(path),
            "tags": [about.tag],
            "summary": about.summary,
            "description": "\n\n".join(text for text in texts if text),
            "parameters": _parameters(path, (*about.parameters, "full") if "full" in formats else about.parameters),
            "responses": responses | _problems(),
        }
    }


def _moved(path: str, target: str) -> Tree:
    return {
        "operationId": _id(path),
        "tags": ["v1"],
        "summary": f"Moved to {target}",
        "deprecated": True,
        "parameters": _parameters(path, ("at",)),
        "responses": {"301": _response("It is there.", ("Location",))} | _problems(),
    }


def _id(path: str) -> str:
    return "-".join(re.findall("[a-z0-9]+", path)) or "registers"


def _parameters(path: str, names: Iterable[str]) -> list[Tree]:
    return [_ref("parameters", name) for name in (*_NAMES.findall(path), *names)]


def _parameter(name: str) -> Tree:
    about = operations.PARAMETERS[name]
    where = {"in": "path", "required": True} if about.in_path else {"in": "query"}
    shown = {"name": about.name or name, **where, "description": about.text, "schema": about.schema}
    return shown | ({"example": about.example} if about.example else {})


def _content(format_: str, about: Operation) -> Tree:
    if format_ not in ("json", "full"):
        return {}
    published = about.published and format_ == "json"
    return {"schema": schemas.ref(f"V1{about.shape}" if published else about.shape)}


def _response(text: str, headers: Iterable[str]) -> Tree:
    return {"description": text, "headers": {name: _ref("headers", name) for name in headers}}


def _problems() -> Tree:
    return {status: _ref("responses", name) for status, (name, _) in _PROBLEMS.items()}


def _problem(text: str) -> Tree:
    types: Tree = {"application/problem+json": {"schema": schemas.ref("Problem")}}
    return {
        "description": text,
        "content": types | {MEDIA_TYPES[name][0]: {} for name in PROBLEM_FORMATS if name != "json"},
    }


def _ref(kind: str, name: str) -> Tree:
    return {"$ref": f"#/components/{kind}/{name}"}


DOCUMENT: Tree = _document()
