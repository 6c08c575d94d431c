"""Make JPEG pictures in threads. Knows no viewer."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

_PIXEL_BYTES = 4


def encode_jpeg(pixels: bytes, size: tuple[int, int], quality: int, scale: float) -> tuple[bytes, tuple[int, int]]:
    """Turn BGRX `pixels` of `size` into JPEG, its sides scaled; returns it with its own size.

    Pillow lets other threads run only while it saves to a real file, so it gets a memfd. 2 ms at 1280x720.
    """
    image = Image.frombuffer("RGB", size, pixels, "raw", "BGRX", size[0] * _PIXEL_BYTES, 1)
    if scale != 1:
        image = _scaled(image, scale)
    with os.fdopen(os.memfd_create("frame"), "w+b") as file:
        image.save(file, "JPEG", quality=quality, subsampling="4:2:0")
        file.seek(0)
        return file.read(), image.size


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    factor = round(1 / scale)
    if factor * scale == 1:
        return image.reduce(factor)  # whole factors are several times faster
    sides = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(sides, Image.Resampling.BILINEAR)


class Encoder:
    """A few threads that encode for every screen of the server, apart from the loop's own, which may be busy."""

    def __init__(self, threads: int = 2) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="encoder")

    async def jpeg(
        self, pixels: bytes, size: tuple[int, int], quality: int, scale: float
    ) -> tuple[bytes, tuple[int, int]]:
        """As `encode_jpeg`, without holding up the loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, encode_jpeg, pixels, size, quality, scale)

    def close(self) -> None:
        """End the threads after what they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)
