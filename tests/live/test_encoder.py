from __future__ import annotations

import io

import pytest
from PIL import Image

from chaser_server.live.encoder import Encoder, encode_jpeg

RED = bytes([0, 0, 255, 0])


def read(picture: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(picture))
    assert image.format == "JPEG"
    return image


def test_the_picture_has_the_colours_of_the_screen():
    picture, size = encode_jpeg(RED * 64 * 32, (64, 32), 90, 1)
    red, green, blue = read(picture).getpixel((10, 10))
    assert red > 250
    assert max(green, blue) < 6
    assert size == read(picture).size == (64, 32)


@pytest.mark.parametrize(("scale", "size"), [(0.5, (640, 360)), (0.25, (320, 180)), (0.75, (960, 540))])
def test_a_scaled_picture_is_smaller_by_its_sides(scale: float, size: tuple[int, int]):
    picture, told = encode_jpeg(RED * 1280 * 720, (1280, 720), 70, scale)
    assert read(picture).size == told == size


async def test_threads_do_the_same_and_end():
    encoder = Encoder()
    assert await encoder.jpeg(RED * 4, (2, 2), 70, 1) == encode_jpeg(RED * 4, (2, 2), 70, 1)
    encoder.close()
    with pytest.raises(RuntimeError):
        await encoder.jpeg(RED * 4, (2, 2), 70, 1)
