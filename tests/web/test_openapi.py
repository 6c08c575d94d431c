"""The document and the server say the same: routes, errors, shapes, examples; and the page is made of nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import jsonschema_rs
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from chaser_server import __version__, errors
from chaser_server.web.middleware import _STATUS
from chaser_server.web.openapi.errors import ERRORS
from chaser_server.web.routes import ROUTES
from tests.api import Api
from tests.contract import CONTRACT, Operation

PAGES = re.compile(r"/dashboard(/(?!log(in|out)$).*)?")
"""Pages for people and what they are made of: no API."""


def example_of(operation: Operation) -> str:
    """The operation's path with the examples of its parameters."""
    path = operation.path
    for parameter in operation.told.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
    return path


async def handler_of(operation: Operation) -> Any:
    """Who answers this operation; None when nobody does."""
    application = web.Application()
    application.add_routes(ROUTES)
    found = await application.router.resolve(make_mocked_request(operation.method, example_of(operation)))
    return None if found.http_exception else found.handler


@pytest.mark.parametrize("operation", CONTRACT.operations, ids=lambda each: f"{each.method} {each.path}")
async def test_every_operation_of_the_document_has_a_route(operation: Operation) -> None:
    assert "{" not in example_of(operation)
    assert await handler_of(operation) is not None


async def test_every_route_is_in_the_document() -> None:
    told = {(operation.method, await handler_of(operation)) for operation in CONTRACT.operations}
    routes = [route for route in ROUTES if isinstance(route, web.RouteDef) and not PAGES.fullmatch(route.path)]
    untold = [f"{route.method} {route.path}" for route in routes if (route.method, route.handler) not in told]
    assert untold == []
    assert (
        "`/dashboard/data/`" in CONTRACT.document["info"]["description"]
    )  # what the pages ask for is left out, and why


def test_every_error_is_described_with_the_status_it_has() -> None:
    of_aiohttp = {"method_not_allowed": 405, "payload_too_large": 413}
    answered = {**_STATUS, **of_aiohttp, errors.ChaserError.code: 500}
    assert {code: told.status for code, told in ERRORS.items()} == answered


def test_every_error_is_an_answer_of_some_operation_or_of_all_paths() -> None:
    told = {
        code
        for operation in CONTRACT.operations
        for answer in operation.told["responses"].values()
        for content in answer.get("content", {}).values()
        for code in content.get("examples", ())
    }
    assert told | {"method_not_allowed"} == set(ERRORS)
    assert "method_not_allowed" in CONTRACT.document["info"]["description"]


def examples() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    for operation in CONTRACT.operations:
        contents = list(operation.told.get("requestBody", {}).get("content", {}).values())
        for answer in operation.told["responses"].values():
            contents += answer.get("content", {}).values()
        for content in contents:
            if "example" in content:
                yield operation.path, content["example"], content["schema"]
            for example in content.get("examples", {}).values():
                yield operation.path, example["value"], content["schema"]


def test_every_example_is_of_its_own_shape() -> None:
    shown = list(examples())
    assert len(shown) > 100
    for _, example, schema in shown:
        CONTRACT.check_shape(example, schema)


def test_every_json_answer_has_an_example() -> None:
    bare = [
        f"{operation.method} {operation.path} {status}"
        for operation in CONTRACT.operations
        for status, answer in operation.told["responses"].items()
        for content in (answer.get("content", {}).get("application/json", {}),)
        if content and not content.keys() & {"example", "examples"}
    ]
    assert bare == ["GET /openapi.json 200"]  # it is its own


def test_every_operation_is_named_once() -> None:
    names = [operation.told["operationId"] for operation in CONTRACT.operations]
    assert len(names) == len(set(names))


async def test_an_answer_that_is_not_as_told_is_noticed(fake_api: Api) -> None:
    session = await fake_api.get((await fake_api.create())["id"])
    told = CONTRACT.find("GET", "/v1/sessions/x")
    assert told is not None
    schema = told.told["responses"]["200"]["content"]["application/json"]["schema"]
    CONTRACT.check_shape(session, schema)
    for broken in ({**session, "more": 1}, {**session, "bytes_up": -1}, {**session, "created_at": "yesterday"}):
        with pytest.raises(jsonschema_rs.ValidationError):
            CONTRACT.check_shape(broken, schema)


async def test_the_document_is_open_to_all(fake_api: Api) -> None:
    answer = await fake_api.ask("GET", "/openapi.json", key="")
    assert answer.json["openapi"] == "3.1.0"
    assert answer.json["info"]["version"] == __version__
    assert answer.json == CONTRACT.document
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


class _Addresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attributes if name in ("src", "href", "action")]


async def test_the_page_is_made_of_our_own_files_alone(fake_api: Api) -> None:
    answer = await fake_api.ask("GET", "/docs", key="")
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (200, "text/html")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    parser = _Addresses()
    parser.feed(answer.body.decode())
    assert "/dashboard/static/docs.js" in parser.found
    for address in parser.found:
        assert address.startswith("/"), address
        assert (await fake_api.ask("GET", address, key="")).status == 200
