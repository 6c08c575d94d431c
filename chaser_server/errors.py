"""Every way a request or a start can fail, in our own words. Each carries the `code` a client sees; only `web` turns
one into an HTTP status."""

from __future__ import annotations


class ChaserError(Exception):
    """Base of all errors that are meant to be read by a person."""

    code = "internal_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidRequest(ChaserError):
    """The request cannot be understood; the message names the field and what is allowed."""

    code = "invalid_request"


class Unauthorized(ChaserError):
    """The key is missing, malformed, unknown, revoked or past its grace."""

    code = "unauthorized"


class PaymentRequired(ChaserError):
    """The workspace's egress budget is used up."""

    code = "payment_required"


class Forbidden(ChaserError):
    """A WebSocket or cookie request came from a foreign Origin."""

    code = "forbidden"


class NotFound(ChaserError):
    """No such thing here."""

    code = "not_found"


class SessionNotFound(NotFound):
    """No such session, or another workspace's: the two are never told apart."""

    code = "session_not_found"


class KeyRevoked(ChaserError):
    """The API key is revoked, or past its grace: nothing can be made of it any more."""

    code = "key_revoked"


class SessionNotReady(ChaserError):
    """The session is still being created."""

    code = "session_not_ready"


class SessionNotOpen(ChaserError):
    """The session has ended."""

    code = "session_not_open"


class ScreenLost(SessionNotOpen):
    """A session's screen cannot be seen or touched any more: it is ending, or what stands in its place is no screen."""


class Retryable(ChaserError):
    """An error that a client may try again after `retry_after_seconds`."""

    def __init__(self, message: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = max(1, retry_after_seconds)


class ConcurrencyLimit(Retryable):
    """The workspace, or the whole server, has as many open sessions as it may."""

    code = "concurrency_limit"


class RateLimited(Retryable):
    """Too many requests of this kind in the last minute."""

    code = "rate_limited"


class SubstrateUnavailable(Retryable):
    """Browsers cannot be launched at all now."""

    code = "substrate_unavailable"


class StorageFailed(ChaserError):
    """The database would not take a change now (the disk is full, or cannot be written); nothing of it was stored."""


class LaunchFailed(ChaserError):
    """One browser did not come up. Nothing of it is left behind when this is raised."""

    code = "launch_failed"

    def __init__(self, message: str, *, stderr_tail: str = "") -> None:
        super().__init__(message)
        self.stderr_tail = stderr_tail


class ConfigError(ChaserError):
    """A setting is unknown, of the wrong type or impossible; the message names its key."""

    code = "config_error"


class MachineError(ChaserError):
    """This machine lacks something the server needs; the message says how to mend it."""

    code = "machine_error"
