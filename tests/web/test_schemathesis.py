"""Schemathesis asks the running server whatever the document allows, and much that it does not."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events

from chaser_server.web.openapi.parts import BY_COOKIE, BY_KEY
from tests.api import Api
from tests.contract import CONTRACT
from tests.substrates import FakeSubstrate
from tests.web.conftest import ServeFake
from tests.web.cookies import Dashboard

APART = {"/v1/audit/stream", "/dashboard/logout/everywhere"}
"""The one has no end, and the other would sign Schemathesis out."""
OFF = {"enabled": False}


@dataclass
class Outcome:
    """What was asked, by operation, and what Schemathesis holds against the answers."""

    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[tuple[str, int]] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)


def settings(api: Api, cookie: str) -> SchemathesisConfig:
    """Few examples, the same in every run."""
    return SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "base-url": api.url,
            "headers": {"Origin": api.url},
            "auth": {"openapi": {"key": {"bearer": api.key}, "cookie": {"api_key": cookie}}},
            "request-timeout": 10,
            "max-redirects": 0,
            "generation": {"deterministic": True, "max-examples": 12, "no-shrink": True, "database": "none"},
            "phases": {"stateful": {"generation": {"max-examples": 8}}},
            "checks": {
                "use_after_free": OFF,  # a session that has ended can still be read: that is what its timeline is for
                "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503"]},  # fakes have no DevTools
            },
            "operations": [
                # What is configured, was given as a cursor, or is printable, is beyond what a schema can say.
                {"include-operation-id": name, "checks": {"positive_data_acceptance": OFF}}
                for name in ("createSession", "listSessions", "createKey")
            ],
        }
    )


def run(config: SchemathesisConfig) -> Outcome:
    """Ask; blocks until all is asked."""
    paths = {path: item for path, item in CONTRACT.document["paths"].items() if path not in APART}
    schema = schemathesis.openapi.from_dict({**CONTRACT.document, "paths": paths}, config=config)
    outcome = Outcome()
    for event in engine.from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            outcome.findings.append(str(event))
        if isinstance(event, events.ScenarioFinished):
            _note(event, outcome)
    return outcome


def _note(event: events.ScenarioFinished, outcome: Outcome) -> None:
    for case_id, node in event.recorder.cases.items():
        case = node.value
        name = f"{case.operation.method.upper()} {case.operation.path}"
        outcome.asked[name] += 1
        interaction = event.recorder.interactions.get(case_id)
        if interaction is not None and interaction.response is not None:
            outcome.answered[name, interaction.response.status_code] += 1
        for check in event.recorder.checks.get(case_id, ()):
            if check.failure_info is not None:
                told = f"{check.name}: {check.failure_info.failure}\n{check.failure_info.code_sample}"
                outcome.findings.append(f"{case.method} {case.formatted_path} {told}")


async def test_no_answer_surprises_schemathesis(serve_fake: ServeFake) -> None:
    api = await serve_fake(FakeSubstrate(), limits={"concurrent_sessions": 0}, dashboard={"password": "open sesame"})
    dashboard = await Dashboard.of(api, "other")  # so that it does not revoke the key that it asks with
    outcome = await asyncio.to_thread(run, settings(api, dashboard.cookie))
    assert outcome.findings == []
    told = {f"{each.method} {each.path}": each for each in CONTRACT.operations if each.path not in APART}
    assert set(told) == set(outcome.asked)
    well = {name for name, status in outcome.answered if status < 400}
    assert {name for name, each in told.items() if each.told["security"] in (BY_KEY, BY_COOKIE)} - well == set()
    assert {200, 201, 204, 303, 400, 401, 404, 405} <= {status for _, status in outcome.answered}
