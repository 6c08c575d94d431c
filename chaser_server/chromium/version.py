"""Which Chromium this is, without starting it each time: its answer to `--version` is kept until the file changes."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path

from chaser_server.chromium.cache import AnswerCache
from chaser_server.errors import MachineError

_SECONDS = 20.0


async def chrome_major(executable: Path, cache: AnswerCache) -> int:
    """The major version of `executable`. Raises `MachineError` when it does not say one."""
    status = executable.stat()
    fingerprint = [str(executable), status.st_size, status.st_mtime_ns]
    name = f"{executable.name}-{hashlib.sha256(str(executable).encode()).hexdigest()[:8]}-version"
    match cache.get(name):
        case {"executable": known, "major": int(major)} if known == fingerprint:
            return major
    major = await _ask(executable)
    await asyncio.to_thread(cache.put, name, {"executable": fingerprint, "major": major})
    return major


async def _ask(executable: Path) -> int:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(executable, "--version", stdout=pipe, stderr=pipe)
    try:
        output, errors = await asyncio.wait_for(process.communicate(), _SECONDS)
    except TimeoutError as error:
        raise MachineError(f"{executable} --version did not answer within {_SECONDS:g} s") from error
    finally:
        if process.returncode is None:  # it has not answered in time, or nobody wants to know any more
            process.kill()
    found = re.search(rb"(\d+)\.\d+\.\d+\.\d+", output)
    if found is None:
        said = (output + errors).decode("utf-8", "replace").strip()[-300:]
        raise MachineError(f"{executable} does not say its version, so it cannot be used: {said or 'no output'}")
    return int(found[1])
