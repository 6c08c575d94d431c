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
    """The right to watch one session, and perhaps to drive it, until `expires_at` (whole milliseconds), while its
    workspace is in that sign-in `epoch`."""

    workspace_id: str
    session_id: str
    may_drive: bool
    expires_at: datetime
    epoch: int


LINK_LIFE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class SignInLink:
    """The right to sign in to the dashboard of one workspace, once, until `expires_at`, while it is in that `epoch`; no
    two have one `nonce`."""

    workspace_id: str
    expires_at: datetime
    epoch: int
    nonce: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """The right to use the dashboard of one workspace until `expires_at`, while it is in that `epoch`."""

    workspace_id: str
    expires_at: datetime
    epoch: int


class Signer:
    """Makes and reads tokens. Each kind has its own salt, so none passes for another.

    All of them name the workspace's `sign_in_epoch`; whether it is over is for whoever reads one to see to.
    """

    def __init__(self, secret: str) -> None:
        self._preview = URLSafeSerializer(secret, salt="preview")
        self._link = URLSafeSerializer(secret, salt="sign-in link")
        self._cookie = URLSafeSerializer(secret, salt="dashboard cookie")

    def sign_preview(self, grant: PreviewGrant) -> str:
        """A token for the preview stream's URL."""
        values = [grant.workspace_id, grant.session_id, grant.may_drive, _to_ms(grant.expires_at), grant.epoch]
        return str(self._preview.dumps(values))

    def read_preview(self, token: str, now: datetime) -> PreviewGrant:
        """The grant of a token. Raises `Forbidden` when it is not ours, was altered, or has expired."""
        workspace_id, session_id, may_drive, expires, epoch = _read(self._preview, token, "preview token", 5)
        grant = PreviewGrant(workspace_id, session_id, may_drive, _from_ms(expires), epoch)
        _check_time(grant.expires_at, now, "preview token")
        return grant

    def sign_link(self, workspace_id: str, expires_at: datetime, epoch: int) -> str:
        """A token for a one-time sign-in link."""
        return str(self._link.dumps([workspace_id, _to_ms(expires_at), epoch, secrets.token_urlsafe(9)]))

    def read_link(self, token: str, now: datetime) -> SignInLink:
        """What a sign-in link allows. Raises `Forbidden`. That it is used only once is for the caller to see to."""
        workspace_id, expires, epoch, nonce = _read(self._link, token, "sign-in link", 4)
        link = SignInLink(workspace_id, _from_ms(expires), epoch, nonce)
        _check_time(link.expires_at, now, "sign-in link")
        return link

    def sign_cookie(self, sign_in: SignIn) -> str:
        """The value of the dashboard's cookie."""
        # The random part makes each sign-in a value of its own.
        values = [sign_in.workspace_id, _to_ms(sign_in.expires_at), sign_in.epoch, secrets.token_urlsafe(9)]
        return str(self._cookie.dumps(values))

    def read_cookie(self, value: str, now: datetime) -> SignIn:
        """Whose cookie this is. Raises `Forbidden`."""
        workspace_id, expires, epoch, _ = _read(self._cookie, value, "dashboard cookie", 4)
        sign_in = SignIn(workspace_id, _from_ms(expires), epoch)
        _check_time(sign_in.expires_at, now, "dashboard cookie")
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
