"""How the log looks: lines for a person, or JSON lines for machines."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from chaser_server.config import LogConfig

_FIELDS = ("method", "path", "status", "milliseconds", "request_id", "session_id", "remote")


def set_up(config: LogConfig) -> None:
    """Send the log to standard error in the configured format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if config.format == "json" else Lines())
    logging.basicConfig(level=config.level.upper(), handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)


class Lines(logging.Formatter):
    """`12:34:56 info  POST /v1/sessions 201  2.1 ms  sess_…`"""

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")  # noqa: DTZ006 - a person's own clock
        line = f"{clock} {record.levelname.lower():<7} {record.getMessage()}"
        if (milliseconds := getattr(record, "milliseconds", None)) is not None:
            line += f"  {milliseconds} ms"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonLines(logging.Formatter):
    """One JSON object a line, with the request's fields where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name in _FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
