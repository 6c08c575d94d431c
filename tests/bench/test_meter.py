"""The meter counts what processes compute, also those that come later, and what their ended threads did."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from time import process_time

import pytest

from chaser_server.bench.meter import Meter, computed_milliseconds, kind_of

_COMPUTE = """
import sys, threading, time
def compute():
    while time.process_time() < 0.1: pass
thread = threading.Thread(target=compute)
thread.start()
thread.join()
print(flush=True)
sys.stdin.read()
"""


async def test_what_a_child_that_comes_later_computes_in_a_thread_is_counted() -> None:
    meter, alone = Meter(os.getpid()), Meter(alone=[os.getpid()])
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", _COMPUTE, stdin=PIPE, stdout=PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    await child.stdout.readline()
    for each in (meter, alone):
        each.search()
    child.stdin.close()
    await child.wait()
    meter.search()
    own, both = alone.milliseconds, meter.milliseconds
    assert both - own >= 100, "its thread's time is in it, although both have ended"
    assert computed_milliseconds(child.pid) is None


def test_what_was_used_before_is_not_counted() -> None:
    before = process_time()
    meter = Meter(os.getpid())
    meter.look()
    assert 0 < meter.milliseconds <= (process_time() - before) * 1000


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ("/venv/bin/python -m chaser_server --listen 127.0.0.1:0", "server"),
        ("bwrap --unshare-all --file 9 /run/doorman.py -- /usr/bin/python3 /run/doorman.py 21", "bwrap"),
        ("/usr/bin/python3 -I -S /run/doorman.py 21 chaser-1", "doorman"),
        ("Xvfb -screen 0 1280x720x24 :100", "Xvfb"),
        ("/usr/lib/chromium/chromium --user-data-dir=/home --remote-debugging-port=9222 about:blank", "browser"),
        ("/usr/lib/chromium/chromium --type=renderer --crashpad-handler-pid=0", "renderer"),
        ("/usr/lib/chromium/chromium --type=gpu-process --disable-gpu", "GPU process"),
        (
            "chromium --type=utility --utility-sub-type=network.mojom.NetworkService",
            "network service",
        ),
        ("/usr/lib/chromium/chrome_crashpad_handler --monitor-self", "crash handler"),
    ],
)
def test_processes_are_told_apart_by_their_command_lines(arguments: str, kind: str) -> None:
    assert kind_of(arguments) == kind
