"""What a server learns of the machine's browsers at its first start, learnt once for all that tests start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from chaser_server.chromium.find import find_chromium, find_headless_shell
from chaser_server.chromium.profiles import load_devices
from chaser_server.chromium.version import chrome_major


def bring(data_dir: Path) -> None:
    """Make a new server's data directory, with what an earlier one would have written down of the browsers."""
    data_dir.mkdir(mode=0o700, exist_ok=True)
    for name, content in _files().items():
        (data_dir / name).write_bytes(content)


@cache
def _files() -> Mapping[str, bytes]:
    with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as aside:  # the test's own loop runs already
        aside.submit(asyncio.run, _learn(Path(folder))).result()
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


async def _learn(folder: Path) -> None:
    await load_devices(folder)
    for executable in (find_chromium(), find_headless_shell()):
        await chrome_major(executable.path, folder)
