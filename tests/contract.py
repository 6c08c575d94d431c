"""Holds answers to what /openapi.json says of them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from chaser_server.web.openapi.document import document
from tests.api import Answer

EVERYWHERE = {400: "invalid_request", 404: "not_found", 405: "method_not_allowed"}
"""What the document says of every path at once, in its own words."""


@dataclass(frozen=True)
class Operation:
    """One operation of the document, with what its path looks like."""

    path: str
    method: str
    told: dict[str, Any]

    @property
    def pattern(self) -> re.Pattern[str]:
        parts = re.split(r"\{[^}]+\}", self.path)
        return re.compile("[^/]+".join(map(re.escape, parts)))


class Contract:
    """The document, ready to be asked."""

    def __init__(self) -> None:
        self.document = document()
        self.operations = [
            Operation(path, method.upper(), told)
            for path, item in self.document["paths"].items()
            for method, told in item.items()
        ]

    def find(self, method: str, path: str) -> Operation | None:
        """The operation behind a request; a path in plain words goes before one with parameters."""
        fitting = [each for each in self.operations if each.method == method and each.pattern.fullmatch(path)]
        return min(fitting, key=lambda each: each.path.count("{"), default=None)

    def check(self, method: str, path: str, answer: Answer) -> None:
        """Raise AssertionError when the answer is not as told; what is not of the API is let pass."""
        operation = self.find(method, path)
        if operation is None:
            return
        told = operation.told["responses"].get(str(answer.status))
        if told is None:
            code = answer.json["error"]["code"] if answer.json else None
            assert EVERYWHERE.get(answer.status) == code, f"{method} {path}: {answer.status} {code} is not told"
            return
        required = [name for name, each in told["headers"].items() if each.get("required")]
        missing = [name for name in required if name not in answer.headers]
        assert not missing, f"{method} {path} {answer.status} lacks {missing}"
        if "content" not in told:
            assert answer.body == b"", f"{method} {path} {answer.status} has a body"
            return
        content_type = answer.headers["Content-Type"].split(";")[0]
        assert content_type in told["content"], f"{method} {path} {answer.status} is {content_type}"
        if answer.json is not None:
            self.check_shape(answer.json, told["content"][content_type]["schema"])

    def check_shape(self, value: Any, schema: dict[str, Any]) -> None:
        """Raise when `value` is not of this schema, whose references lead into the document."""
        key = json.dumps(schema, sort_keys=True)
        if key not in _VALIDATORS:
            whole = {**schema, "components": self.document["components"]}
            _VALIDATORS[key] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        _VALIDATORS[key].validate(value)


_VALIDATORS: dict[str, jsonschema_rs.Draft202012Validator] = {}
CONTRACT = Contract()
