"""What a browser of the pool does before anybody waits for it, so that its first page is not its first of all.

Chromium reads and sets up much of itself when it first opens a tab: that takes it a fifth of the processor time of a
session's first page. The tab is one of its own, and closed again: the page that a client finds was never used.
"""

from __future__ import annotations

import asyncio

from chaser_server.chromium.devtools import DevTools

_PAGE = "data:text/html,<!doctype html><title>warming up</title><p>warming up"
_UNTIL_LOADED = "new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))"
_POLL_SECONDS = 0.01


async def warm_up(devtools: DevTools) -> None:
    """Open a page in a tab behind the others and close it; returns when no client could see it any more.

    Raises what `DevTools.call` raises.
    """
    target_id = (await devtools.call("Target.createTarget", {"url": _PAGE, "background": True}))["targetId"]
    attached = await devtools.call("Target.attachToTarget", {"targetId": target_id, "flatten": True})
    await devtools.call("Runtime.evaluate", {"expression": _UNTIL_LOADED, "awaitPromise": True}, attached["sessionId"])
    await devtools.call("Target.closeTarget", {"targetId": target_id})
    while await _is_there(devtools, target_id):  # closing is only begun when it is answered
        await asyncio.sleep(_POLL_SECONDS)


async def _is_there(devtools: DevTools, target_id: str) -> bool:
    targets = (await devtools.call("Target.getTargets"))["targetInfos"]
    return any(target["targetId"] == target_id for target in targets)
