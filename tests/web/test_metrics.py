"""/metrics: the numbers are right, never go down, and name nobody."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chaser_server.config_file import parse
from chaser_server.egress.upstream import Upstream, UpstreamPool
from chaser_server.model import SessionSpec, Workspace
from chaser_server.sessions.service import SessionService
from chaser_server.store.database import Database
from chaser_server.store.workspaces import WorkspaceStore
from chaser_server.tokens import new_key
from chaser_server.web.counts import Counts
from chaser_server.web.metrics import Metrics
from tests.api import Api
from tests.sessions.house import House
from tests.substrates import FailingSubstrate, FakeSubstrate, SlowSubstrate
from tests.web.conftest import ServeFake

Numbers = dict[tuple[str, tuple[str, ...]], float]


def numbers_of(text: str) -> Numbers:
    """Every sample by its name and the values of its labels, in the order of their names."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scrape(api: Api) -> Numbers:
    answer = await api.ask("GET", "/metrics", key="")
    assert answer.status == 200, answer.body
    return numbers_of(answer.body.decode())


def metrics_of(service: SessionService, **others: Any) -> Metrics:
    defaults: dict[str, Any] = {"config": parse({}), "refusals": {}, "upstreams": None, "pool": FakeSubstrate()}
    return Metrics(service=service, counts=Counts(), **{**defaults, **others})


def read(metrics: Metrics, workspaces: dict[str, str] | None = None) -> Numbers:
    return numbers_of(metrics.render("", workspaces or {})[0].decode())


async def test_a_session_is_counted_through_its_life(fake_api: Api, substrate: FakeSubstrate) -> None:
    before = await scrape(fake_api)
    assert before["chaser_sessions", ("ready",)] == 0
    session = await fake_api.ready()
    living = await scrape(fake_api)
    assert living["chaser_sessions", ("ready",)] == 1
    assert living["chaser_sessions_created_total", ()] == 1
    assert living["chaser_session_ready_seconds_count", ()] == 1
    assert living["chaser_session_ready_seconds_bucket", ("+Inf",)] == 1
    await fake_api.delete(session["id"])
    ended = await scrape(fake_api)
    assert ended["chaser_sessions", ("ready",)] == 0
    assert ended["chaser_sessions_ended_total", ("client_delete", "closed")] == 1


async def test_a_failed_start_is_counted_without_a_reason(serve_fake: ServeFake) -> None:
    api = await serve_fake(FailingSubstrate())
    created = await api.create()
    await api.ask("GET", f"/v1/sessions/{created['id']}?wait=ready")
    numbers = await scrape(api)
    assert numbers["chaser_sessions_ended_total", ("", "error")] == 1
    assert numbers["chaser_session_ready_seconds_count", ()] == 0


async def test_bytes_stay_counted_when_their_session_has_ended(house: House) -> None:
    metrics, first, second = metrics_of(house.service), await house.ready(), await house.ready()
    first.egress.up, first.egress.down = 10, 200
    part = second.cdp.open_part()
    part.up = 7
    seen = [read(metrics)]
    await house.delete(first)
    seen.append(read(metrics))
    await house.lives.settle()
    second.cdp.close_part(part)
    second.egress.down = 50
    seen.append(read(metrics))
    await house.delete(second)
    await house.lives.settle()
    seen.append(read(metrics))
    down = [numbers["chaser_bytes_total", ("egress", "down")] for numbers in seen]
    assert down == [200, 200, 250, 250]
    assert [numbers["chaser_bytes_total", ("egress", "up")] for numbers in seen] == [10] * 4
    assert [numbers["chaser_bytes_total", ("cdp", "up")] for numbers in seen] == [7] * 4


async def test_evictions_are_told_by_what_was_over(house: House) -> None:
    house.furnish(FakeSubstrate(), idle_seconds=0)
    metrics = metrics_of(house.service)
    await house.ready()
    await house.reaper.reap()
    numbers = read(metrics)
    assert numbers["chaser_sessions_evicted_total", ("idle_expired",)] == 1
    assert numbers["chaser_sessions_evicted_total", ("ttl_expired",)] == 0


async def create_in_line(house: House, spec: SessionSpec, workspace: Workspace) -> None:
    await house.service.begin(await house.service.claim(spec, workspace, wait_seconds=60))


async def test_who_waits_is_told_by_workspace_with_whose_turn_is_next(house: House) -> None:
    house.furnish(FakeSubstrate(), max_sessions=1)
    other = await WorkspaceStore(house.database).create("other")
    metrics, names = metrics_of(house.service), {house.workspace.id: "default", other.id: "other"}
    running = await house.ready()
    waiting = []
    for number, workspace in enumerate((other, other, house.workspace), start=1):
        spec = SessionSpec(workspace.id, None, "default", 60)
        waiting.append(asyncio.create_task(create_in_line(house, spec, workspace)))
        while sum(map(len, house.service.waiting.values())) < number:
            await asyncio.sleep(0)
    numbers = read(metrics, names)
    assert (numbers["chaser_queue_length", ("other",)], numbers["chaser_queue_position", ("other",)]) == (2, 1)
    assert (numbers["chaser_queue_length", ("default",)], numbers["chaser_queue_position", ("default",)]) == (1, 2)
    assert (
        numbers["chaser_queue_oldest_seconds", ("other",)] >= numbers["chaser_queue_oldest_seconds", ("default",)] > 0
    )
    await house.delete(running)
    await waiting[0]
    numbers = read(metrics, names)
    assert (numbers["chaser_queue_length", ("other",)], numbers["chaser_queue_position", ("other",)]) == (1, 2)
    for task in waiting[1:]:
        task.cancel()
    await asyncio.wait(waiting[1:])
    numbers = read(metrics, names)
    assert numbers["chaser_queue_length", ("other",)] == 0
    assert ("chaser_queue_position", ("other",)) not in numbers
    assert numbers["chaser_queue_oldest_seconds", ("other",)] == 0
    ends = {outcome: numbers["chaser_queue_waits_total", (outcome,)] for outcome in ("served", "left", "timed_out")}
    assert ends == {"served": 1, "left": 2, "timed_out": 0}


async def test_requests_are_counted_by_pattern_and_errors_by_code(fake_api: Api) -> None:
    for path in ("/v1/sessions/a", "/v1/sessions/b", "/v1/sessions/sess_c"):
        await fake_api.ask("GET", path)
    await fake_api.ask("GET", "/nowhere")
    await fake_api.ask("PROPFIND", "/healthz")
    numbers = await scrape(fake_api)
    assert numbers["chaser_http_requests_total", ("GET", "/v1/sessions/{session_id}", "404")] == 3
    assert numbers["chaser_http_requests_total", ("GET", "unmatched", "404")] == 1
    assert numbers["chaser_http_requests_total", ("other", "unmatched", "405")] == 1
    assert numbers["chaser_errors_total", ("session_not_found",)] == 3
    assert numbers["chaser_errors_total", ("method_not_allowed",)] == 1


async def test_refused_cdp_clients_are_counted_by_the_code_they_were_told(fake_api: Api) -> None:
    await fake_api.ask("GET", "/sessions/sess_none")
    session = await fake_api.ready()
    await fake_api.ask("GET", f"/sessions/{session['id']}/devtools/page/x")
    numbers = await scrape(fake_api)
    assert numbers["chaser_cdp_refused_total", ("session_not_found",)] == 1
    assert numbers["chaser_cdp_refused_total", ("substrate_unavailable",)] == 1
    assert numbers["chaser_cdp_connects_total", ()] == 0


async def test_no_label_names_a_session_a_key_or_an_address(fake_api: Api) -> None:
    session = await fake_api.ready()
    await fake_api.ask("GET", f"/sessions/{session['id']}/json/version")
    await fake_api.ask("GET", "/v1/sessions/sess_of-a-stranger/x/y?key=cha_live_guess")
    text = (await fake_api.ask("GET", "/metrics", key="")).body.decode()
    for secret in (session["id"], "stranger", "cha_", fake_api.key, "127.0.0.1", "ws_"):
        assert secret not in text


async def test_sessions_of_test_keys_do_not_make_the_server_look_slow(house: House) -> None:
    metrics = metrics_of(house.service)
    running = await house.service.claim(SessionSpec(house.workspace.id, None, "default", 60), house.workspace)
    running.rehearsal = True
    await house.service.begin(running)
    await running.settled.wait()
    numbers = read(metrics)
    assert numbers["chaser_sessions_created_total", ()] == 1
    assert numbers["chaser_session_ready_seconds_count", ()] == 0


async def test_ways_out_and_the_pool_are_told_where_there_are_any(house: House) -> None:
    pool = FakeSubstrate()
    pool.ready, pool.starting, pool.taken, pool.hastened, pool.cold = 2, 1, 5, 1, 3
    upstreams = UpstreamPool([Upstream.parse("berlin-1", "http://user:secret@127.0.0.1:1")])
    metrics = metrics_of(house.service, refusals={"inward": 4}, upstreams=upstreams, pool=pool)
    berlin = upstreams.pick()
    assert berlin is not None
    assert read(metrics)["chaser_upstream_aside", ("berlin-1",)] == 0
    for _ in range(2):
        upstreams.failed(berlin)
    numbers = read(metrics)
    assert numbers["chaser_upstream_aside", ("berlin-1",)] == 1
    assert numbers["chaser_upstream_failures_total", ("berlin-1",)] == 2
    assert numbers["chaser_egress_refused_total", ("inward",)] == 4
    assert numbers["chaser_pool_ready", ()] == 2
    assert numbers["chaser_pool_starting", ()] == 1
    assert numbers["chaser_pool_launches_total", ("cold",)] == 3
    bare = read(metrics_of(house.service))
    assert not [name for name, _ in bare if name.startswith("chaser_upstream")]


async def test_the_process_itself_is_measured(fake_api: Api) -> None:
    numbers = await scrape(fake_api)
    assert numbers["process_resident_memory_bytes", ()] > 10_000_000
    assert numbers["process_open_fds", ()] > 3


async def test_every_name_has_its_unit_or_total_and_is_ours_or_the_process_own(fake_api: Api) -> None:
    text = (await fake_api.ask("GET", "/metrics", key="")).body.decode()
    for kind in re.findall(r"# TYPE (\S+) counter", text):
        assert kind.endswith("_total")
    names = re.findall(r"# TYPE (\S+)", text)
    assert {name.split("_")[0] for name in names} == {"chaser", "process", "python"}
    assert len(names) == len(set(names))


async def test_every_number_of_ours_is_in_the_manual(house: House) -> None:
    upstreams = UpstreamPool([Upstream.parse("berlin-1", "http://127.0.0.1:1")])
    text = metrics_of(house.service, upstreams=upstreams).render("", {})[0].decode()
    told = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    names = set(re.findall(r"# TYPE (chaser_\S+)", text))
    assert names == set(re.findall(r"`(chaser_[a-z_]+)`", told))


async def test_open_metrics_are_given_to_who_asks_for_them(fake_api: Api) -> None:
    headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = await fake_api.ask("GET", "/metrics", key="", headers=headers)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    ("server", "require_key", "headers", "needs"),
    [
        ({}, "auto", {}, False),
        ({"listen": "localhost:0"}, "auto", {}, False),
        ({"listen": "[::1]:0"}, "auto", {}, False),
        ({}, "auto", {"X-Forwarded-For": "203.0.113.5"}, True),
        ({}, "auto", {"Host": "127.0.0.1:7070"}, False),
        ({}, "auto", {"Host": "evil.example:7070"}, True),
        ({}, "never", {"Host": "evil.example:7070"}, False),
        ({}, "always", {}, True),
        ({"listen": "0.0.0.0:0"}, "auto", {}, True),
        ({"listen": "host.example:0"}, "auto", {}, True),
        ({"public_url": "https://browsers.example.com"}, "auto", {}, True),
        ({"trusted_proxies": ["127.0.0.1"]}, "auto", {}, True),
        ({"listen": "0.0.0.0:0"}, "never", {"X-Forwarded-For": "203.0.113.5"}, False),
    ],
)
async def test_a_key_is_asked_for_where_strangers_can_come_by(
    house: House, server: dict[str, Any], require_key: str, headers: dict[str, str], needs: bool
) -> None:
    metrics = metrics_of(house.service, config=parse({"server": server, "metrics": {"require_key": require_key}}))
    assert metrics.needs_key(headers) is needs


async def test_only_keys_of_the_default_workspace_open_the_metrics(serve_fake: ServeFake) -> None:
    api = await serve_fake(FakeSubstrate(), metrics={"require_key": "always"})
    assert (await api.ask("GET", "/metrics", key="")).status == 401
    assert (await api.ask("GET", "/metrics")).status == 200
    secret = await _key_of_another(api)
    refused = await api.ask("GET", "/metrics", key=secret)
    assert (refused.status, refused.json["error"]["code"]) == (403, "forbidden")


async def _key_of_another(api: Api) -> str:
    database, secret = await Database.open(api.data_dir / "chaser.db"), new_key()
    store = WorkspaceStore(database)
    other = await store.create("other")
    await store.add_key(other.id, name="k", secret=secret)
    await database.close()
    return secret


async def test_what_is_being_created_is_a_status_of_its_own(serve_fake: ServeFake) -> None:
    substrate = SlowSubstrate()
    api = await serve_fake(substrate)
    await api.create()
    assert (await scrape(api))["chaser_sessions", ("creating",)] == 1
    substrate.go.set()
