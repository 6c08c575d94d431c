"""Every path of the server and the handler behind it, and the application that holds them."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from chaser_server.config import Config
from chaser_server.egress.upstream import UpstreamPool
from chaser_server.limits import RateLimits
from chaser_server.sessions.service import SessionService
from chaser_server.signing import Signer
from chaser_server.store.audit import AuditLog
from chaser_server.store.links import UsedLinks
from chaser_server.store.usage import UsageStore
from chaser_server.store.workspaces import WorkspaceStore
from chaser_server.web import audit as audit_stream
from chaser_server.web import connect, dashboard, keys, operations, preview, reference, sessions, signin, usage
from chaser_server.web.appkeys import (
    ASSETS,
    AUDIT,
    CONFIG,
    COUNTS,
    DOORKEEPER,
    METRICS,
    OUTSIDE,
    PAGES,
    RATES,
    SERVICE,
    SIGNER,
    USAGE,
    USED_LINKS,
    WORKSPACES,
)
from chaser_server.web.auth import Doorkeeper
from chaser_server.web.counts import Counts
from chaser_server.web.metrics import Metrics, PoolCounts
from chaser_server.web.middleware import (
    BODY_LIMIT_BYTES,
    REFUSALS_PER_MINUTE,
    answer_errors,
    log_requests,
    note_refusals,
)
from chaser_server.web.outside import Outside
from chaser_server.web.pages import Assets, Pages

_SESSION = "/v1/sessions/{session_id}"
_DOOR = "/sessions/{session_id}"

ROUTES = (
    web.post("/v1/sessions", sessions.create),
    web.get("/v1/sessions", sessions.listing),
    web.get(_SESSION, sessions.show),
    web.delete(_SESSION, sessions.delete),
    web.post(f"{_SESSION}/screenshot", sessions.screenshot),
    web.get(f"{_SESSION}/events", sessions.events),
    web.get(f"{_SESSION}/egress", sessions.egress),
    web.get("/v1/usage", usage.usage),
    web.get("/v1/keys", keys.listing),
    web.post("/v1/keys", keys.create),
    web.delete("/v1/keys/{key_id}", keys.revoke),
    web.post("/v1/keys/{key_id}/rotate", keys.rotate),
    web.get("/v1/audit/stream", audit_stream.stream, allow_head=False),
    web.post(f"{_SESSION}/preview-token", preview.mint),
    web.get(f"{_DOOR}/preview", preview.stream),
    web.get("/", dashboard.root),
    web.get("/dashboard", dashboard.sessions),
    web.get("/dashboard/sessions/{session_id}", dashboard.session),
    web.get("/dashboard/keys", dashboard.keys),
    web.get("/dashboard/usage", dashboard.usage),
    web.get("/dashboard/audit", dashboard.audit),
    web.get("/dashboard/embed-example", dashboard.embed_example),
    web.get("/dashboard/data/sessions", dashboard.list_data),
    web.get("/dashboard/data/sessions/{session_id}", dashboard.session_data),
    web.get("/dashboard/data/sessions/{session_id}/thumbnail", dashboard.thumbnail),
    web.get("/dashboard/data/queue", dashboard.queue_data),
    web.get("/dashboard/data/usage/hosts", dashboard.hosts_data),
    web.get("/dashboard/static/{name:.+}", dashboard.asset),
    web.get("/dashboard/sign-in", dashboard.sign_in),
    web.get("/dashboard/login", signin.use_link, allow_head=False),
    web.post("/dashboard/login", signin.use_password),
    web.post("/dashboard/logout", signin.sign_out),
    web.post("/dashboard/logout/everywhere", signin.sign_out_everywhere),
    web.get(_DOOR, connect.browser_socket),
    web.get(f"{_DOOR}/", connect.browser_socket),
    web.get(_DOOR + "/devtools/{kind:browser|page}/{target}", connect.target_socket),
    web.get(_DOOR + "{tail:/json(?!/new/?$)(/.*)?}", connect.discover),
    web.put(_DOOR + "{tail:/json/new/?}", connect.discover),
    web.get("/json/protocol", connect.protocol),
    web.get("/json/protocol/", connect.protocol),
    web.get("/healthz", operations.healthz),
    web.get("/readyz", operations.readyz),
    web.get("/metrics", operations.metrics),
    web.get("/openapi.json", reference.document_json),
    web.get("/docs", reference.page),
)


def build_application(
    *,
    config: Config,
    service: SessionService,
    workspaces: WorkspaceStore,
    audit: AuditLog,
    usage_store: UsageStore,
    used_links: UsedLinks,
    signer: Signer,
    upstreams: UpstreamPool | None,
    refusals: Mapping[str, int],
    pool: PoolCounts,
) -> web.Application:
    """The aiohttp application. `upstreams`, `refusals` (of egress, by rule) and `pool` are for /metrics alone.

    Raises `ConfigError` for a setting that only the web room understands.
    """
    application = web.Application(
        middlewares=[log_requests, note_refusals, answer_errors], client_max_size=BODY_LIMIT_BYTES
    )
    application[CONFIG] = config
    application[SERVICE] = service
    application[WORKSPACES] = workspaces
    application[AUDIT] = audit
    application[USAGE] = usage_store
    application[RATES] = RateLimits(
        creates=config.limits.creates_per_minute,
        screenshots=config.limits.screenshots_per_minute,
        preview_tokens=config.limits.preview_tokens_per_minute,
        refusals=REFUSALS_PER_MINUTE,
        passwords=signin.PASSWORDS_PER_MINUTE,
    )
    application[SIGNER] = signer
    application[USED_LINKS] = used_links
    application[DOORKEEPER] = Doorkeeper(workspaces)
    outside = application[OUTSIDE] = Outside(config.server)
    application[PAGES] = Pages(outside)
    application[ASSETS] = Assets()
    counts = application[COUNTS] = Counts()
    application[METRICS] = Metrics(
        config=config, service=service, counts=counts, refusals=refusals, upstreams=upstreams, pool=pool
    )
    application.add_routes(ROUTES)
    return application
