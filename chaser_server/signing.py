"""Signed tokens: what we hand out and later believe when it comes back. Built on itsdangerous; stores nothing."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from chaser_server.errors import Forbidden


@dataclass(frozen=True, slots=True)
class PreviewGrant:
    """The right to watch one session, and perhaps to drive it, until `expires_at` (whole milliseconds)."""

    workspace_id: str
    session_id: str
    may_drive: bool
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SignIn:
    """The right to use the dashboard for one workspace until `expires_at`; `nonce` tells two of them apart."""

    workspace_id: str
    expires_at: datetime
    nonce: str


class Signer:
    """Makes and reads tokens. Each kind has its own salt, so none passes for another."""

    def __init__(self, secret: str) -> None:
        self._preview = URLSafeSerializer(secret, salt="preview")
        self._link = URLSafeSerializer(secret, salt="sign-in link")
        self._cookie = URLSafeSerializer(secret, salt="dashboard cookie")

    def sign_preview(self, grant: PreviewGrant) -> str:
        """A token for the preview stream's URL."""
        expires = _to_ms(grant.expires_at)
        return str(self._preview.dumps([grant.workspace_id, grant.session_id, grant.may_drive, expires]))

    def read_preview(self, token: str, now: datetime) -> PreviewGrant:
        """The grant of a token. Raises `Forbidden` when it is not ours, was altered, or has expired."""
        workspace_id, session_id, may_drive, expires = _read(self._preview, token, "preview token", 4)
        grant = PreviewGrant(workspace_id, session_id, may_drive, _from_ms(expires))
        _check_time(grant.expires_at, now, "preview token")
        return grant

    def sign_link(self, workspace_id: str, expires_at: datetime) -> str:
        """A token for a one-time sign-in link."""
        return str(self._link.dumps([workspace_id, _to_ms(expires_at), secrets.token_urlsafe(9)]))

    def read_link(self, token: str, now: datetime) -> SignIn:
        """What a sign-in link allows. Raises `Forbidden`. That it is used only once is for the caller to see to."""
        return self._read_sign_in(self._link, token, now, "sign-in link")

    def sign_cookie(self, workspace_id: str, expires_at: datetime) -> str:
        """The value of the dashboard's cookie."""
        return str(self._cookie.dumps([workspace_id, _to_ms(expires_at), secrets.token_urlsafe(9)]))

    def read_cookie(self, value: str, now: datetime) -> SignIn:
        """Whose cookie this is. Raises `Forbidden`."""
        return self._read_sign_in(self._cookie, value, now, "dashboard cookie")

    def _read_sign_in(self, serializer: URLSafeSerializer, token: str, now: datetime, what: str) -> SignIn:
        workspace_id, expires, nonce = _read(serializer, token, what, 3)
        sign_in = SignIn(workspace_id, _from_ms(expires), nonce)
        _check_time(sign_in.expires_at, now, what)
        return sign_in


def whole_milliseconds(moment: datetime) -> datetime:
    """`moment` as tokens can carry it."""
    return _from_ms(_to_ms(moment))


def _read(serializer: URLSafeSerializer, token: str, what: str, length: int) -> list[Any]:
    try:
        values = serializer.loads(token)
    except (BadData, UnicodeError) as error:  # a header may hold bytes that are no text
        raise Forbidden(f"this {what} is not valid") from error
    if not isinstance(values, list) or len(values) != length:
        raise Forbidden(f"this {what} is not valid")
    return values


def _check_time(expires_at: datetime, now: datetime, what: str) -> None:
    if now >= expires_at:
        raise Forbidden(f"this {what} has expired")


def _to_ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _from_ms(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
