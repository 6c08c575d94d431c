"""Words for writing operations down briefly. Source: OpenAPI 3.1.0, whose schemas are JSON Schema 2020-12."""

from __future__ import annotations

from typing import Any

from chaser_server.web.openapi.errors import failures

Json = dict[str, Any]

BY_KEY: list[dict[str, list[str]]] = [{"key": []}, {"cookie": []}]
BY_COOKIE: list[dict[str, list[str]]] = [{"cookie": []}]
OPEN: list[dict[str, list[str]]] = []
REQUEST_ID = {"X-Request-Id": {"description": "Names this request in the server's log.", "schema": {"type": "string"}}}


def shape(name: str) -> Json:
    """A schema of `schemas.SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def answer(description: str, schema: Json | None = None, *, example: Any = None, headers: Json | None = None) -> Json:
    """A response with a JSON body, or with none."""
    told: Json = {"description": description, "headers": {**REQUEST_ID, **(headers or {})}}
    if schema is not None:
        content: Json = {"schema": schema}
        if example is not None:
            content["example"] = example
        told["content"] = {"application/json": content}
    return told


def raw(description: str, content_type: str, schema: Json, *, example: Any = None) -> Json:
    """A response with a body that is not JSON."""
    content = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"description": description, "headers": REQUEST_ID, "content": {content_type: content}}


def page(description: str) -> Json:
    """A response with a page for people."""
    return raw(description, "text/html", {"type": "string"})


def header(description: str, example: str) -> Json:
    """A header of a response, always there."""
    return {"description": description, "required": True, "schema": {"type": "string"}, "example": example}


def query(name: str, description: str, schema: Json, *, required: bool = False) -> Json:
    """A parameter in the query string."""
    return {"name": name, "in": "query", "description": description, "required": required, "schema": schema}


def in_header(name: str, description: str, schema: Json) -> Json:
    """A parameter in a request header."""
    return {"name": name, "in": "header", "description": description, "schema": schema}


def in_path(name: str, description: str, example: str, **schema: Any) -> Json:
    """A part of the path."""
    kind: Json = {"type": "string", "minLength": 1, **schema}
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": kind,
        "example": example,
    }


def body(schema: Json, example: Any, *, required: bool = False) -> Json:
    """A JSON body of a request."""
    return {"required": required, "content": {"application/json": {"schema": schema, "example": example}}}


def operation(
    name: str,
    summary: str,
    *,
    tag: str,
    responses: Json,
    errors: tuple[str, ...] = (),
    description: str = "",
    security: list[dict[str, list[str]]],
    parameters: list[Json] | None = None,
    request_body: Json | None = None,
) -> Json:
    """One operation; `errors` are codes of `errors.ERRORS`, to which our own failure is always added."""
    told: Json = {"operationId": name, "summary": summary, "tags": [tag], "security": security}
    if description:
        told["description"] = description
    if parameters:
        told["parameters"] = parameters
    if request_body is not None:
        told["requestBody"] = request_body
    told["responses"] = {**responses, **failures(*errors, "internal_error", headers=REQUEST_ID)}
    return told


SESSION_ID = in_path(
    "session_id", "The session's id, as its create gave it.", "sess_01998d2e-5f3a-7c41-9e0b-2d6c1f3a4b5c"
)
