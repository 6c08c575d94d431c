"""A browser without a screen as something to look at: introduces Chromium's screencast to the live view."""

from __future__ import annotations

import asyncio
import base64
import io

from PIL import Image

from chaser_server.chromium.screencast import Screencast


class PageSource:
    """The pixels of a screencast. The picture before the first one is `first`, a PNG."""

    def __init__(self, cast: Screencast, *, size: tuple[int, int], first: bytes) -> None:
        self._cast = cast
        self.size = size
        self._pixels = _decode(first, size)

    async def wait_changed(self) -> None:
        """Return when there is another picture; a rest ends."""
        shot = await self._cast.next_shot()
        self._pixels = await asyncio.to_thread(_decode, base64.b64decode(shot.data), self.size)

    def grab(self) -> bytes:
        """The newest picture: BGRX, without padding."""
        return self._pixels

    def rest(self) -> None:
        """Nobody looks any more."""
        self._cast.stop()


def _decode(picture: bytes, size: tuple[int, int]) -> bytes:
    """The pixels of a picture, brought to `size` if a client has made the page larger or smaller."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return image.tobytes("raw", "BGRX")
