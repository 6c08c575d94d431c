"""How the log looks: lines for a person, or JSON lines for machines. Neither ever shows a key or a token."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

from chaser_server.config import LogConfig
from chaser_server.tokens import KEY_PATTERN, KEY_PREFIX_LENGTH

_FIELDS = (
    "event",
    "method",
    "path",
    "status",
    "code",
    "reason",
    "milliseconds",
    "request_id",
    "session_id",
    "workspace_id",
    "remote",
)
_SECRET_PARAMETERS = re.compile(r"\b(key|token|password)=[^\s&\"'<>]+", re.IGNORECASE)
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[^\s\"',]+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def set_up(config: LogConfig) -> None:
    """Send the log to standard error in the configured format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if config.format == "json" else Lines())
    logging.basicConfig(level=config.level.upper(), handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)


def redacted(text: str) -> str:
    """`text` without secrets: keys keep the prefix that may be shown, and what a query or header carries goes.

    Nothing of ours logs a secret; but lines also quote what strangers sent, and what other libraries say.
    """
    text = KEY_PATTERN.sub(lambda key: f"{key[0][:KEY_PREFIX_LENGTH]}…", text)
    text = _SECRET_PARAMETERS.sub(r"\1=…", text)
    return _BEARER.sub(lambda found: found[0] if found[0].endswith("…") else f"{found[1]} …", text)


class Lines(logging.Formatter):
    """`12:34:56 info    POST /v1/sessions 201  2.1 ms  sess_…  req_…`

    A line of ours is one line: only a traceback has more. No control character comes through, so that nobody's
    request moves the cursor of whoever reads.
    """

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")  # noqa: DTZ006 - a person's own clock
        message = record.getMessage()
        parts = [f"{clock} {record.levelname.lower():<7} {message}", *_beside(record, message)]
        line = _CONTROL.sub("�", redacted("  ".join(parts)).replace("\n", "\n    "))
        if record.exc_info:
            line += "\n" + redacted(self.formatException(record.exc_info))
        return line


def _beside(record: logging.LogRecord, message: str) -> list[str]:
    """What a person wants to know beyond the message: the error's code, how long it took, which session and request."""
    fields = vars(record)
    milliseconds = fields.get("milliseconds")
    told = [fields.get("code"), None if milliseconds is None or " ms" in message else f"{milliseconds} ms"]
    told += [fields.get("session_id"), fields.get("request_id")]
    return [str(each) for each in told if each and str(each) not in message]


class JsonLines(logging.Formatter):
    """One JSON object a line, with the fields of its request or session where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        for name in _FIELDS:
            if (value := getattr(record, name, None)) is not None:
                line[name] = redacted(value) if isinstance(value, str) else value
        if record.exc_info:
            line["exception"] = redacted(self.formatException(record.exc_info))
        return json.dumps(line)
