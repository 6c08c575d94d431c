from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.screens import Screen, running_screen


@pytest.fixture
async def screen() -> AsyncIterator[Screen]:
    async with running_screen() as running:
        yield running
