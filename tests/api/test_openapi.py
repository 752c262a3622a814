"""The OpenAPI document: it is valid, says every route and nothing else, and is served, and read, as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import schemathesis
from starlette.routing import Match

from mintmark.api.app import App
from mintmark.api.formats import MEDIA_TYPES
from mintmark.api.openapi.document import DOCUMENT
from mintmark.api.routes.table import RESOURCES
from mintmark.store.registers.register_store import RegisterStore

if TYPE_CHECKING:
    import httpx

session = pytest.mark.asyncio(loop_scope="session")


@session
async def test_the_document_is_served_and_valid(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == DOCUMENT
    schemathesis.openapi.from_dict(answer.json()).validate()


def test_every_route_is_in_it_with_its_formats() -> None:
    for path, found in RESOURCES.items():
        operation = DOCUMENT["paths"]["/{register}" + path]["get"]
        formats = {MEDIA_TYPES[name][0] for name in found.formats if name != "proof"}
        assert "full" in {p["$ref"].rpartition("/")[2] for p in operation["parameters"]} or "full" not in found.formats
        assert set(operation["responses"]["200"]["content"]) == formats
        assert ("/{register}" + path + ".proof" in DOCUMENT["paths"]) == ("proof" in found.formats)


def test_a_path_leads_to_the_route_that_it_is_the_template_of() -> None:
    (routes,) = App(RegisterStore(None), {}).routes  # type: ignore[arg-type]  # nothing is read
    for path in RESOURCES:
        template = "/{register}" + path
        scope = {"type": "http", "method": "GET", "path": template}
        match, found = routes.matches(scope)
        assert (match, found["route"].path) == (Match.FULL, template)


def test_parameters_have_names_that_are_each_given_once() -> None:
    parameters = DOCUMENT["components"]["parameters"]
    for path, methods in DOCUMENT["paths"].items():
        known = [parameters[p["$ref"].rpartition("/")[2]] for p in methods["get"]["parameters"]]
        names = [(p["in"], p["name"]) for p in known]
        assert len(set(names)) == len(names), path
        assert {name for where, name in names if where == "path"} == {
            part.partition("}")[0] for part in path.split("{")[1:]
        }
    assert len({methods["get"]["operationId"] for methods in DOCUMENT["paths"].values()}) == len(DOCUMENT["paths"])


@session
async def test_people_read_the_same_document(client: httpx.AsyncClient) -> None:
    answer = await client.get("/-/docs")
    assert answer.headers["content-type"] == "text/html; charset=UTF-8"
    for path in DOCUMENT["paths"]:
        assert f'<form data-path="{path}">' in answer.text
