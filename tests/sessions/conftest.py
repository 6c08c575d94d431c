from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sessions.house import House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """The session room on a real store and a fake substrate that behaves."""
    opened = await House.open(tmp_path)
    yield opened
    await opened.close()
