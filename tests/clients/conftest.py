"""One server and one site for each module here: the tests tidy up their own sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api import Api
from tests.conftest import served
from tests.site import Site


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    tables = {"cdp": {"ping_seconds": 1}, "server": {"allowed_origins": ["https://tool.example"]}}
    async with served(tmp_path_factory.mktemp("server"), tables) as running:
        yield running


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    async with Site() as running:
        yield running
