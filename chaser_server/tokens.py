"""Identifiers and secrets: UUIDv7 session ids and API keys. Pure but for the random source."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
import uuid

KEY_PATTERN = re.compile(r"cha_(live|test)_[A-Za-z0-9_-]{43}")
KEY_PREFIX_LENGTH = 16


def new_uuid7(unix_ms: int | None = None) -> str:
    """A UUID of version 7 (RFC 9562 5.7): 48 bits of Unix milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000 if unix_ms is None else unix_ms
    value = (milliseconds << 80) | secrets.randbits(80)
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return str(uuid.UUID(int=value))


def new_key(mode: str = "live") -> str:
    """A fresh API key: `cha_live_` or `cha_test_` and 32 random bytes in URL-safe base64."""
    return f"cha_{mode}_{base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b'=').decode()}"


def is_key(text: str) -> bool:
    """Whether `text` has the form of an API key."""
    return KEY_PATTERN.fullmatch(text) is not None


def is_test_key(text: str) -> bool:
    """Whether a key, or its prefix, is for rehearsals only."""
    return text.startswith("cha_test_")


def key_mode(key: str) -> str:
    """`live` or `test`, of a key or its prefix."""
    return "test" if is_test_key(key) else "live"


def key_hash(key: str) -> str:
    """What is stored of a key. A plain SHA-256 is enough: the key has 256 random bits, so it cannot be guessed."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_prefix(key: str) -> str:
    """The first characters of a key, which may be shown."""
    return key[:KEY_PREFIX_LENGTH]
