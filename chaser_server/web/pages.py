"""The frame around every dashboard page, and the files pages are made of. Knows nothing of sessions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from aiohttp import web

from chaser_server.errors import NotFound
from chaser_server.web.outside import Outside

STATIC = Path(__file__).parent / "static"
NAVIGATION = {
    "Sessions": "/dashboard",
    "Keys": "/dashboard/keys",
    "Usage": "/dashboard/usage",
    "Audit": "/dashboard/audit",
    "Embed": "/dashboard/embed-example",
}
SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # a page's address may hold a one-time link
    "X-Content-Type-Options": "nosniff",
}
_ASSET_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_PLAIN_HOST = re.compile(r"[\w.\-:\[\]]+", re.ASCII)


class Pages:
    """Lays pages out. Reads the templates once; a change to one shows after a restart."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._names = {path.name for path in STATIC.iterdir()}
        self._templates = {path.stem: Template(path.read_text(encoding="utf-8")) for path in STATIC.glob("*.html")}

    def render(
        self,
        request: web.Request,
        name: str,
        *,
        title: str,
        status: int = 200,
        signed_in: bool = True,
        values: Mapping[str, str] | None = None,
    ) -> web.Response:
        """The page `name`.html in the frame. `values` are put in as text, whatever stands in them."""
        header = self._header(request.path) if signed_in else ""
        escaped = {key: escape(value) for key, value in (values or {}).items()}
        main = self._templates[name].substitute(escaped)
        text = self._templates["frame"].substitute(
            title=escape(title), page=name, style=self._style(name), script=self._script(name), header=header, main=main
        )
        headers = {**SAFE_HEADERS, "Content-Security-Policy": self._policy(request)}
        return web.Response(text=text, status=status, content_type="text/html", headers=headers)

    def message(self, request: web.Request, *, title: str, text: str, status: int) -> web.Response:
        """A page that only says something."""
        return self.render(request, "message", title=title, status=status, values={"title": title, "text": text})

    def _header(self, path: str) -> str:
        around = [href for href in NAVIGATION.values() if f"{path}/".startswith(f"{href}/")]
        current = max(around, key=len, default="")
        links = (
            f'<a href="{href}"{" aria-current=page" if href == current else ""}>{name}</a>'
            for name, href in NAVIGATION.items()
        )
        return self._templates["header"].substitute(links="".join(links))

    def _style(self, name: str) -> str:
        """The link to what a page looks like beyond base.css, if it needs that."""
        file = f"{name}.css"
        return f'<link rel="stylesheet" href="/dashboard/static/{file}">\n' if file in self._names else ""

    def _script(self, name: str) -> str:
        """A page's own module, or the one that only serves the header."""
        file = f"{name}.js"
        return file if file in self._names else "frame.js"

    def _policy(self, request: web.Request) -> str:
        """The Content-Security-Policy (CSP level 3). Not every browser counts a WebSocket as self, so ours is named."""
        host = self._outside.base(request, "ws")
        stream = f" {host}" if _PLAIN_HOST.fullmatch(host.partition("://")[2]) else ""
        return (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
            f"connect-src 'self'{stream}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
            "require-trusted-types-for 'script'"
        )


@dataclass(frozen=True, slots=True)
class _Asset:
    body: bytes
    content_type: str
    etag: str


class Assets:
    """Scripts, styles and pictures, held in memory. Public: nothing in them is secret, and others embed the player."""

    def __init__(self) -> None:
        files = (path for path in STATIC.rglob("*.*") if path.suffix in _ASSET_TYPES)
        self._assets = {path.relative_to(STATIC).as_posix(): _asset(path) for path in files}

    def answer(self, request: web.Request) -> web.Response:
        """The file that `name` in the path asks for, or 304 when the browser has it (RFC 9110 13.1.2)."""
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise NotFound("there is nothing at this path")
        headers = {
            "Cache-Control": "public, no-cache",  # asked for anew, so that modules of two versions never meet
            "Access-Control-Allow-Origin": "*",  # modules are always fetched with CORS
            "Cross-Origin-Resource-Policy": "cross-origin",
            "X-Content-Type-Options": "nosniff",
            "ETag": f'"{asset.etag}"',
        }
        if any(known.value in (asset.etag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8", headers=headers)


def _asset(path: Path) -> _Asset:
    body = path.read_bytes()
    return _Asset(body, _ASSET_TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:16])
