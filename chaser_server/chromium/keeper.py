"""Keeps every page of one browser as its profile wants it: full screen, and emulating its phone.

Emulation in Chromium is one state per page: the last writer wins, and it is wiped when the connection of its writer
closes. So the keeper's connection stays open, dresses each new page of the default context, and does it again when
another client has left. Pages of other contexts are their maker's own affair. It never pauses a page
(`waitForDebuggerOnStart`): a client would wait for us.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from chaser_server.chromium.cdp import CdpError, Event
from chaser_server.chromium.devtools import DevTools
from chaser_server.chromium.identity import NAVIGATOR_PLATFORM, user_agent_override
from chaser_server.chromium.profiles import Profile

_ONLY_PAGES = [{"type": "page", "exclude": False}]
# A client's disconnect reaches Chromium at some moment behind ours; dressing is idempotent, so do it more than once.
_AGAIN_SECONDS = (0.05, 0.3, 1.0)
_REPEAT_SECONDS = (0.0, 0.3)  # the other session may unsay it a moment after we have heard of the change
PAGE_SECONDS = 0.5  # a page with an open alert does not answer until that is closed
GONE = (CdpError, ConnectionError, TimeoutError)


class PageKeeper:
    """Our standing client of one browser."""

    def __init__(self, devtools: DevTools, profile: Profile) -> None:
        self._devtools = devtools
        self._profile = profile
        self._version = ""
        self._user_agent: str | None = None
        self._context = ""
        self._emulates = profile.mobile or profile.touch
        self.mouse_is_finger = profile.touch and not profile.headless
        """Whether pages are told to take the mouse for a finger; to be False while there are fingers by CDP."""
        self._attaches = False
        self._pages: list[str] = []  # our CDP session ids, of every page, the newest last
        self._sessions: dict[str, str] = {}  # our CDP session id -> target id, of pages to be dressed
        self._listeners: list[Callable[[Event], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._repeating: asyncio.Task[None] | None = None
        self._repeats: dict[str, bool] = {}  # our CDP session id -> whether its page has changed meanwhile

    async def open(self, path: str) -> str:
        """Connect and dress what is there; returns the user agent that pages see."""
        await self._devtools.open(path, self._on_event)
        about = await self._devtools.call("Browser.getVersion")
        self._version = about["product"].partition("/")[2]
        self._user_agent = self._profile.user_agent(int(self._version.partition(".")[0]))
        targets = (await self._devtools.call("Target.getTargets"))["targetInfos"]
        self._context = next((target["browserContextId"] for target in targets if target["type"] == "page"), "")
        if self._emulates:
            await self._attach()
        await self._devtools.call("Target.setDiscoverTargets", {"discover": True, "filter": _ONLY_PAGES})
        await self._settle()
        return self._user_agent or about["userAgent"]

    def listen(self, hear: Callable[[Event], None]) -> None:
        """Have `hear` told of every event, after the keeper has heard it."""
        self._listeners.append(hear)

    def client_left(self) -> None:
        """Another client has disconnected and may have taken our emulation with it: put it back."""
        if self._sessions:
            self._stop_repeating()
            self._repeating = self._spawn(self._dress_all_again())

    def client_came(self) -> None:
        """Another client has connected: what is still to be put back is put back now, not over what it will do."""
        if self._repeating is not None and not self._repeating.done():
            self._stop_repeating()
            self._spawn(self._dress_all())

    async def capture(self) -> bytes:
        """A PNG of the page in front, as Chromium draws it. For browsers without a screen."""
        session_id = await self.front_page()
        picture = await self._devtools.call("Page.captureScreenshot", {"format": "png"}, session_id)
        return base64.b64decode(picture["data"])

    async def tell_page(self, method: str, params: dict[str, Any], *, focused: bool = False) -> None:
        """Call a method of the page in front, see `front_page`; one that does not take it soon does not get it."""
        with contextlib.suppress(*GONE):
            session_id = await self.front_page(focused=focused)
            async with asyncio.timeout(PAGE_SECONDS):
                await self._devtools.call(method, params, session_id)

    async def insert_text(self, text: str) -> None:
        """Put text into whatever has the focus, as an input method would. A page that cannot take it does not."""
        await self.tell_page("Input.insertText", {"text": text}, focused=True)

    async def front_page(self, *, focused: bool = False) -> str:
        """Our CDP session with the page that has the focus, or else with the newest that is visible.

        Without a screen, focus says nothing. Raises `CdpError` when there is no such page; with `focused` also while
        something else has the focus, as a dialog.
        """
        await self._attach()
        pages = list(reversed(self._pages))
        asked = [asyncio.create_task(self._standing(session_id), name="front") for session_id in pages]
        visible: list[str] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PAGE_SECONDS):
                for session_id, answer in zip(pages, asked, strict=True):
                    standing = await answer
                    if standing == "focused" and not self._profile.headless:
                        return session_id
                    visible += [session_id] if standing in ("focused", "visible") else []
        for question in asked:
            question.cancel()
        if focused or not visible:
            raise CdpError("no page is in front")
        return visible[0]

    async def close(self) -> None:
        """Stop keeping, and close the connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._devtools.close()

    def _on_event(self, event: Event) -> None:
        self._heed(event)
        for hear in self._listeners:
            hear(event)

    def _heed(self, event: Event) -> None:
        if event.method == "Target.targetCreated":
            self._spawn(self._enlarge(event.params["targetInfo"]["targetId"]))
        elif event.method == "Target.attachedToTarget":
            target = event.params["targetInfo"]
            self._pages.append(event.params["sessionId"])
            if self._emulates and target.get("browserContextId") == self._context:
                self._sessions[event.params["sessionId"]] = target["targetId"]
                self._spawn(self._dress(event.params["sessionId"]))
            self._spawn(self._let_run(event.params["sessionId"]))
        elif event.method == "Target.detachedFromTarget":
            self._sessions.pop(event.params["sessionId"], None)
            self._pages = [each for each in self._pages if each != event.params["sessionId"]]
        elif event.method == "Target.targetInfoChanged" and self._emulates:
            target_id = event.params["targetInfo"]["targetId"]
            for session_id in [each for each, dressed in self._sessions.items() if dressed == target_id]:
                self._repeat_soon(session_id)

    def _repeat_soon(self, session_id: str) -> None:
        """At most one repetition is under way for a page, and one is due: a page may change its title in a loop."""
        if session_id in self._repeats:
            self._repeats[session_id] = True
            return
        self._repeats[session_id] = False
        self._spawn(self._repeat_while_changing(session_id))

    async def _repeat_while_changing(self, session_id: str) -> None:
        try:
            changed = True
            while changed:
                self._repeats[session_id] = False
                await self._repeat(session_id)
                changed = self._repeats[session_id]
        finally:
            del self._repeats[session_id]

    async def _attach(self) -> None:
        """Have a CDP session with every page from now on."""
        if not self._attaches:
            self._attaches = True
            await self._devtools.call(
                "Target.setAutoAttach",
                {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True, "filter": _ONLY_PAGES},
            )

    async def _standing(self, session_id: str) -> str:
        """What a page says of itself: `focused`, `visible`, `hidden`, or nothing."""
        asks = "document.hasFocus() ? 'focused' : document.visibilityState"
        question = {"expression": asks, "returnByValue": True}
        with contextlib.suppress(*GONE):
            answer = await self._devtools.call("Runtime.evaluate", question, session_id)
            return str(answer["result"].get("value"))
        return ""

    async def _enlarge(self, target_id: str) -> None:
        """Make a page's window full screen, so that page (x, y) is screen (x, y)."""
        with contextlib.suppress(*GONE):
            window = await self._devtools.call("Browser.getWindowForTarget", {"targetId": target_id})
            if window["bounds"].get("windowState") != "fullscreen":
                bounds = {"windowId": window["windowId"], "bounds": {"windowState": "fullscreen"}}
                await self._devtools.call("Browser.setWindowBounds", bounds)

    async def _dress(self, session_id: str) -> None:
        """Send all of the emulation at once, then wait for the answers."""
        calls = [self._devtools.call(method, params, session_id) for method, params in self._emulation()]
        with contextlib.suppress(*GONE):
            await asyncio.gather(*calls)

    async def _let_run(self, session_id: str) -> None:
        """Chromium holds a page of `window.open`, and its opener, for whoever attaches by itself, asked or not."""
        with contextlib.suppress(*GONE):
            await self._devtools.call("Runtime.runIfWaitingForDebugger", None, session_id)

    async def _repeat(self, session_id: str) -> None:
        """Say again what any other client's session unsays when a page changes its process."""
        calls = [("Emulation.setNavigatorOverrides", {"platform": NAVIGATOR_PLATFORM})] if self._profile.mobile else []
        calls += [touch_from_mouse(True)] if self.mouse_is_finger else []
        for wait in _REPEAT_SECONDS:
            await asyncio.sleep(wait)
            with contextlib.suppress(*GONE):
                await asyncio.gather(*(self._devtools.call(method, params, session_id) for method, params in calls))

    async def _dress_all(self) -> None:
        await asyncio.gather(*(self._dress(session_id) for session_id in tuple(self._sessions)))

    async def _dress_all_again(self) -> None:
        waited = 0.0
        for moment in _AGAIN_SECONDS:
            await asyncio.sleep(moment - waited)
            waited = moment
            await self._dress_all()

    def _stop_repeating(self) -> None:
        if self._repeating is not None:
            self._repeating.cancel()

    def _emulation(self) -> list[tuple[str, dict[str, Any]]]:
        profile = self._profile
        screen_width, screen_height = profile.screen or (profile.width, profile.height)
        metrics = {
            "width": profile.width,
            "height": profile.height,
            "deviceScaleFactor": profile.scale,
            "mobile": profile.mobile,
            "screenWidth": screen_width,
            "screenHeight": screen_height,
        }
        portrait = profile.width < profile.height
        orientation = {"type": "portraitPrimary" if portrait else "landscapePrimary", "angle": 0 if portrait else 90}
        # Chromium passes over metrics that it was told before, even if another client has undone them: say them in two
        # ways that mean the same.
        calls: list[tuple[str, dict[str, Any]]] = [
            ("Emulation.setDeviceMetricsOverride", metrics),
            ("Emulation.setDeviceMetricsOverride", {**metrics, "screenOrientation": orientation}),
        ]
        if self._user_agent is not None and profile.mobile:
            override = user_agent_override(profile, self._user_agent, self._version)
            calls.append(("Emulation.setUserAgentOverride", override))
        if profile.touch:
            calls.append(("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5}))
        if self.mouse_is_finger:
            calls.append(touch_from_mouse(True))
        return calls

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="page-keeper")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _settle(self) -> None:
        """Wait until the pages found at the start are dressed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


def touch_from_mouse(enabled: bool) -> tuple[str, dict[str, Any]]:
    """The call that makes Chromium turn the mouse into a finger, or leave it."""
    return "Emulation.setEmitTouchEventsForMouse", {"enabled": enabled, "configuration": "mobile"}
