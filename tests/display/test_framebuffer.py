from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import pytest
import xcffib
from PIL import Image
from xcffib import xproto

from chaser_server.display.framebuffer import Framebuffer, Layout, encode_png, parse_header
from chaser_server.errors import ScreenLost
from tests.screens import Screen

GOOD = (160, 7, 2, 24, 640, 360, 0, 0, 32, 0, 32, 32, 2560, 4, 0xFF0000, 0xFF00, 0xFF, 8, 256, 256, 640, 360, 0, 0, 0)


def header(**changed: int) -> bytes:
    fields = list(GOOD)
    for name, value in changed.items():
        fields[int(name.removeprefix("at"))] = value
    return struct.pack(">25I", *fields)


def paint(screen: Screen, colour: int, area: tuple[int, int, int, int]) -> None:
    """Fill a rectangle of the root window, and return when the X server has done it."""
    connection = xcffib.Connection(fd=os.dup((sock := screen.connect()).fileno()))
    sock.close()
    root, gc = connection.setup.roots[0].root, connection.generate_id()
    connection.core.CreateGC(gc, root, xproto.GC.Foreground, [colour])
    connection.core.PolyFillRectangle(root, gc, 1, [xproto.RECTANGLE.synthetic(*area)])
    connection.core.GetInputFocus().reply()
    connection.disconnect()


async def test_what_an_x_client_paints_is_in_the_picture(screen: Screen):
    framebuffer = Framebuffer(screen.framebuffer_fd())
    assert (framebuffer.width, framebuffer.height) == (1280, 720)
    paint(screen, 0x204060, (100, 50, 30, 20))
    pixels = framebuffer.grab()
    assert len(pixels) == 1280 * 720 * 4
    first = (50 * 1280 + 100) * 4
    assert pixels[first : first + 3] == bytes([0x60, 0x40, 0x20])
    framebuffer.close()


async def test_a_png_shows_the_same_pixels_to_anyone(screen: Screen):
    framebuffer = Framebuffer(screen.framebuffer_fd())
    paint(screen, 0xFF8000, (1279, 719, 1, 1))
    image = Image.open(io.BytesIO(encode_png(framebuffer.grab(), framebuffer.width, framebuffer.height)))
    assert (image.format, image.size, image.mode) == ("PNG", (1280, 720), "RGB")
    assert image.getpixel((1279, 719)) == (0xFF, 0x80, 0x00)
    assert image.getpixel((1278, 719)) == (0, 0, 0)
    framebuffer.close()


async def test_a_picture_is_kept_while_the_screen_goes_on_changing(screen: Screen):
    framebuffer = Framebuffer(screen.framebuffer_fd())
    before = framebuffer.grab()
    paint(screen, 0xFFFFFF, (0, 0, 1280, 720))
    assert before == bytes(len(before))
    assert framebuffer.grab() != before
    framebuffer.close()


def test_the_header_of_an_xvfb_says_where_the_pixels_are():
    assert parse_header(header()) == Layout(640, 360, 160 + 256 * 12)


@pytest.mark.parametrize(
    "lie",
    [
        {"at1": 6}, {"at2": 1}, {"at7": 1}, {"at11": 24}, {"at14": 0xFF},
        {"at4": 0}, {"at4": 0xFFFFFFFF}, {"at5": 0}, {"at5": 100_000}, {"at12": 2561}, {"at12": 0xFFFFFFFF},
        {"at0": 99}, {"at0": 0xFFFFFFFF}, {"at19": 0xFFFFFFFF},
    ],
)  # fmt: skip
def test_a_header_that_no_xvfb_writes_is_refused(lie: dict[str, int]):
    with pytest.raises(ScreenLost):
        parse_header(header(**lie))


def test_a_file_without_a_whole_header_is_refused_and_closed(tmp_path: Path):
    (tmp_path / "fb").write_bytes(b"short")
    fd = os.open(tmp_path / "fb", os.O_RDONLY)
    with pytest.raises(ScreenLost, match="cut short"):
        Framebuffer(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_pipe_in_the_place_of_the_file_is_refused_without_waiting_for_it():
    reader, writer = os.pipe()
    with pytest.raises(ScreenLost, match="not a regular file"):
        Framebuffer(reader)
    os.close(writer)


def test_a_file_truncated_under_our_hands_is_an_error_and_no_crash(tmp_path: Path):
    path = tmp_path / "fb"
    path.write_bytes(header() + bytes(60 + 256 * 12 + 640 * 360 * 4))
    framebuffer = Framebuffer(os.open(path, os.O_RDONLY))
    assert len(framebuffer.grab()) == 640 * 360 * 4
    os.truncate(path, 5000)
    with pytest.raises(ScreenLost, match="cut short"):
        framebuffer.grab()
    framebuffer.close()


def test_a_closed_framebuffer_says_so_and_may_be_closed_again(tmp_path: Path):
    path = tmp_path / "fb"
    path.write_bytes(header() + bytes(60 + 256 * 12 + 640 * 360 * 4))
    framebuffer = Framebuffer(os.open(path, os.O_RDONLY))
    framebuffer.close()
    framebuffer.close()
    with pytest.raises(ScreenLost, match="closed"):
        framebuffer.grab()


def test_pixels_that_are_not_the_size_they_claim_make_no_png():
    with pytest.raises(ValueError):
        encode_png(bytes(100), 640, 360)
