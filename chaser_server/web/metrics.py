"""The server's numbers in the formats of Prometheus.

Nothing is counted here. The rooms keep plain numbers where things happen; a collector reads them when it is asked. No
label holds a session, an address or anything else that a stranger could make more of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from chaser_server import __version__
from chaser_server.config import Config
from chaser_server.egress.upstream import UpstreamPool
from chaser_server.lifecycle import OPEN
from chaser_server.model import EndedReason, utc_now
from chaser_server.relay.tunnel import Relay
from chaser_server.sessions.service import SessionService
from chaser_server.web.counts import Counts
from chaser_server.web.outside import is_local

_EVICTIONS = (EndedReason.IDLE_EXPIRED, EndedReason.TTL_EXPIRED)
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host")

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
Samples = Mapping[Any, float]
"""Numbers by the tuple of their labels' values."""


class PoolCounts(Protocol):
    """The warm pool, as far as it is measured: what stands ready, and how launches have been served."""

    @property
    def ready(self) -> int:
        """Browsers that nobody has taken yet."""

    @property
    def starting(self) -> int:
        """Browsers on their way there."""

    @property
    def taken(self) -> int:
        """Launches that took one of these."""

    @property
    def hastened(self) -> int:
        """Launches that took one on its way there."""

    @property
    def cold(self) -> int:
        """Launches of their own."""


class Metrics(Collector):
    """The server's numbers, and who may read them. The registry is its own: two servers in one process never mix."""

    def __init__(
        self,
        *,
        config: Config,
        service: SessionService,
        counts: Counts,
        refusals: Mapping[str, int],
        upstreams: UpstreamPool | None,
        pool: PoolCounts,
    ) -> None:
        self._require_key = config.metrics.require_key
        self._is_private = config.server.is_private
        self._service = service
        self._counts = counts
        self._refusals = refusals
        self._upstreams = upstreams
        self._pool = pool
        self._workspaces: Mapping[str, str] = {}
        self._registry = CollectorRegistry()
        for collector in (self, ProcessCollector(registry=None), PlatformCollector(registry=None)):
            self._registry.register(collector)

    def needs_key(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers must come with a key."""
        if self._require_key != "auto":
            return self._require_key == "always"
        is_from_here = self._is_private and is_local(headers.get("Host", "localhost"))
        return not is_from_here or any(header in headers for header in _FORWARDED)

    def render(self, accept: str, workspaces: Mapping[str, str]) -> tuple[bytes, str]:
        """All numbers as they are now, and their content type; `workspaces` are the names behind the ids."""
        self._workspaces = workspaces
        try:
            encode, content_type = choose_encoder(accept)
        except (ValueError, TypeError):  # it does not expect versions that are none
            encode, content_type = choose_encoder("")
        return encode(self._registry), content_type

    def describe(self) -> Iterable[Family]:
        """Nothing beforehand: names are the same at every call, and no other collector is ours."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Every family of ours."""
        yield _gauge("chaser_build_info", "Always 1; the version is the label.", ["version"], {(__version__,): 1})
        yield from self._sessions()
        yield from self._bytes()
        yield from self._doors()
        yield from self._queue()
        yield from self._ways_out()
        yield from _pool(self._pool)
        yield from self._requests()

    def _sessions(self) -> Iterator[Family]:
        chronicle = self._service.chronicle
        now: dict[tuple[str, ...], float] = {(status,): 0 for status in sorted(OPEN)}
        for running in self._service.running:
            now[running.record.status,] += 1
        ended = {(str(status), reason): number for (status, reason), number in chronicle.ended.items()}
        evicted = {(reason.value,): sum(n for key, n in ended.items() if key[1] == reason) for reason in _EVICTIONS}
        yield _gauge("chaser_sessions", "Open sessions.", ["status"], now)
        yield _count("chaser_sessions_created", "Sessions created.", [], {(): chronicle.created_total})
        yield _count("chaser_sessions_ended", "Ended sessions; error has no reason.", ["status", "ended_reason"], ended)
        yield _count("chaser_sessions_evicted", "Sessions that the server ended for their time.", ["reason"], evicted)
        took = chronicle.ready_seconds
        bounds = [*(str(bound) for bound in took.bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(took.counts), strict=True))
        what = "From the create to ready, in seconds; without sessions of test keys."
        yield HistogramMetricFamily("chaser_session_ready_seconds", what, buckets=buckets, sum_value=took.sum)

    def _bytes(self) -> Iterator[Family]:
        samples: dict[tuple[str, ...], float] = {}
        for channel, count in self._service.chronicle.bytes().items():
            samples[channel, "up"], samples[channel, "down"] = count.up, count.down
        what = "Bytes by channel: egress of browsers, cdp of clients, preview of viewers; up is away from the client."
        yield _count("chaser_bytes", what, ["channel", "direction"], samples)

    def _doors(self) -> Iterator[Family]:
        counts, clients = self._counts, [client for each in self._service.running for client in each.clients]
        relays = sum(isinstance(client, Relay) for client in clients)
        accepted = {(): counts.cdp_accepted}
        yield _gauge("chaser_cdp_clients", "Connected CDP clients.", [], {(): relays})
        yield _count("chaser_cdp_connects", "CDP clients that were connected to a browser.", [], accepted)
        yield _count("chaser_cdp_refused", "CDP clients that were refused.", ["code"], _by_one(counts.cdp_refused))
        yield _gauge("chaser_viewers", "Connected viewers.", [], {(): len(clients) - relays})
        yield _count("chaser_viewer_connects", "Viewers that were connected.", [], {(): counts.viewers_accepted})
        yield _count("chaser_frames_sent", "Pictures sent to viewers.", [], {(): counts.frames_sent})

    def _queue(self) -> Iterator[Family]:
        """Waiting is by turns: workspaces in the order in which they are served next."""
        now = utc_now()
        lengths: dict[tuple[str, ...], float] = {(name,): 0 for name in self._workspaces.values()}
        ages, turns = dict(lengths), dict[tuple[str, ...], float]()
        for turn, (workspace_id, line) in enumerate(self._service.waiting.items(), start=1):
            name = self._workspaces.get(workspace_id, workspace_id)
            lengths[name,], turns[name,] = len(line), turn
            ages[name,] = (now - line[0].since).total_seconds()
        ends = _by_one(self._service.waits)
        yield _gauge("chaser_queue_length", "Creates that wait for a place.", ["workspace"], lengths)
        yield _gauge("chaser_queue_position", "Whose turn is next (1), of those that wait.", ["workspace"], turns)
        what = "How long the first in line has waited; 0 when nobody does."
        yield _gauge("chaser_queue_oldest_seconds", what, ["workspace"], ages)
        yield _count("chaser_queue_waits", "Creates that have waited, by what came of it.", ["outcome"], ends)

    def _ways_out(self) -> Iterator[Family]:
        what = "Connections of browsers that the egress policy did not allow, by its rule."
        yield _count("chaser_egress_refused", what, ["rule"], _by_one(self._refusals))
        if self._upstreams is not None:
            aside = {(name,): float(is_aside) for name, is_aside in self._upstreams.standing_aside().items()}
            failures = _by_one(self._upstreams.failures)
            yield _gauge("chaser_upstream_aside", "1 while an upstream proxy is set aside.", ["upstream"], aside)
            yield _count("chaser_upstream_failures", "Failures of upstream proxies.", ["upstream"], failures)

    def _requests(self) -> Iterator[Family]:
        requests = {
            (route, method, str(status)): number for (route, method, status), number in self._counts.requests.items()
        }
        what = "Answered HTTP requests; WebSockets and streams when they are over."
        yield _count("chaser_http_requests", what, ["route", "method", "status"], requests)
        yield _count("chaser_errors", "Errors answered, by their code.", ["code"], _by_one(self._counts.errors))


def _pool(pool: PoolCounts) -> Iterator[Family]:
    launches = {("taken",): pool.taken, ("hastened",): pool.hastened, ("cold",): pool.cold}
    yield _gauge("chaser_pool_ready", "Browsers that stand ready.", [], {(): pool.ready})
    yield _gauge("chaser_pool_starting", "Browsers on their way to the pool.", [], {(): pool.starting})
    yield _count("chaser_pool_launches", "Launches, by where their browser came from.", ["source"], launches)


def _by_one(numbers: Mapping[str, int]) -> Samples:
    return {(label,): number for label, number in numbers.items()}


def _gauge(name: str, what: str, labels: list[str], samples: Samples) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=labels)
    for values, number in samples.items():
        family.add_metric(values, number)
    return family


def _count(name: str, what: str, labels: list[str], samples: Samples) -> CounterMetricFamily:
    family = CounterMetricFamily(name, what, labels=labels)
    for values, number in samples.items():
        family.add_metric(values, number)
    return family
