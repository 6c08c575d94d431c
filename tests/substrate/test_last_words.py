"""What programs have said when they went, as they said it."""

from __future__ import annotations

import pytest

from chaser_server.substrate.last_words import display_failure

REFUSED = "no devtools from the sandbox: [Errno 111] Connection refused"
LISTENING = "\nDevTools listening on ws://127.0.0.1:38445/devtools/browser/103ae96f\n"
LOST = "[13245:13245:1125/144940.886499:ERROR:ui/gfx/x/connection.cc:64] X connection error received.\n"
BROKEN = "X connection to :100 broken (explicit kill or server shutdown).\n"
NO_VULKAN = (
    "[13278:13278:1125/144940.886499:ERROR:ui/gl/angle_platform_impl.cc:34] DisplayVkXcb.cpp:59 (initialize): "
    "xcb_connect() failed, error 1\nERR: DisplayVkXcb.cpp:59 (initialize): xcb_connect() failed, error 1\n"
)
NONE = "[9:9:1125/144940.88:ERROR:ui/ozone/platform/x11/ozone_platform_x11.cc:259] Missing X server or $DISPLAY\n"


@pytest.mark.parametrize("sign", [LOST, LISTENING + LOST, LISTENING + BROKEN, LISTENING + NO_VULKAN, NONE])
def test_a_browser_that_lost_its_display_is_not_what_failed(sign: str) -> None:
    assert display_failure(REFUSED, sign) == "the display server (Xvfb) died"


def test_the_last_that_xvfb_said_is_told() -> None:
    said = f"(EE) first\n(EE) no space left\n{LISTENING}{LOST}"
    assert display_failure(REFUSED, said) == "the display server (Xvfb) died: (EE) no space left"


def test_a_browser_that_goes_by_itself_has_another_cause() -> None:
    assert display_failure(REFUSED, LISTENING + "[1:1:1125/144940.88:FATAL:v8.cc:1] Out of memory\n") is None
