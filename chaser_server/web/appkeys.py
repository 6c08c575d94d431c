"""How a handler finds its rooms on the aiohttp application."""

from __future__ import annotations

from aiohttp import web

from chaser_server.config import Config
from chaser_server.limits import RateLimits
from chaser_server.model import ApiKey, Workspace
from chaser_server.sessions.service import SessionService
from chaser_server.signing import Signer
from chaser_server.store.audit import AuditLog
from chaser_server.store.links import UsedLinks
from chaser_server.store.usage import UsageStore
from chaser_server.store.workspaces import WorkspaceStore
from chaser_server.web.auth import Doorkeeper
from chaser_server.web.counts import Counts
from chaser_server.web.metrics import Metrics
from chaser_server.web.outside import Outside
from chaser_server.web.pages import Assets, Pages

ASSETS = web.AppKey("assets", Assets)
CONFIG = web.AppKey("config", Config)
COUNTS = web.AppKey("counts", Counts)
DOORKEEPER = web.AppKey("doorkeeper", Doorkeeper)
METRICS = web.AppKey("metrics", Metrics)
OUTSIDE = web.AppKey("outside", Outside)
AUDIT = web.AppKey("audit", AuditLog)
RATES = web.AppKey("rates", RateLimits)
USAGE = web.AppKey("usage", UsageStore)
WORKSPACES = web.AppKey("workspaces", WorkspaceStore)
PAGES = web.AppKey("pages", Pages)
SIGNER = web.AppKey("signer", Signer)
USED_LINKS = web.AppKey("used_links", UsedLinks)
SERVICE = web.AppKey("service", SessionService)

KEY = web.RequestKey("key", ApiKey)
WORKSPACE = web.RequestKey("workspace", Workspace)
ERROR_CODE = web.RequestKey("error_code", str)
REQUEST_ID = web.RequestKey("request_id", str)
SESSION_ID = web.RequestKey("session_id", str)
