"""What a browser or Playwright's driver was asked, kept from one start to the next: each question costs a process."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any


class AnswerCache:
    """Answers in a directory, a JSON file each. What cannot be kept is asked again next time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, name: str) -> Any:
        """The answer of that name, None when it is not there or is damaged."""
        try:
            return json.loads(self._path(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def put(self, name: str, answer: Any) -> None:
        """Keep an answer, in one move: several servers may share the directory."""
        with contextlib.suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=self._directory, delete=False) as file:
                try:
                    json.dump(answer, file)
                    file.flush()
                    os.replace(file.name, self._path(name))
                except OSError:
                    os.unlink(file.name)
                    raise

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"
