"""The words of the live view, version 1: read a viewer's messages, write ours. Sans-I/O.

Down go binary frames and JSON; up comes JSON. A viewer's message is one of

    {"t":"ack","seq":n}                                  the frame is on its screen; the next may come
    {"t":"mouse","a":"move|down|up","x","y","b"}         pixels of the screen; b as MouseEvent.button
    {"t":"wheel","x","y","dx","dy"}                      CSS pixels, as WheelEvent
    {"t":"key","a":"down|up","code","key"}               as KeyboardEvent, without repeats
    {"t":"text","s"}                                     paste, a commit of an input method, a mobile keyboard
    {"t":"touch","a":"start|move|end|cancel","pts":[{"id","x","y"}]}
    {"t":"config","fps","q","scale"}                     each may be missing
    {"t":"control","a":"ask|release|give","to"}          `to` is the viewer that `give` is for

Ours are `hello`, frames, `{"t":"error","message"}` and `{"t":"control","you","driver","driving","asking"}`: the
viewer's own number (0 for who may only watch), the number of who drives (or null), whether that is you, and who has
asked.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

VERSION = 1
FRAME_HEADER = struct.Struct("<BBHHIQ")
_WHOLE_PICTURE, _JPEG = 1, 0
_MAX_MESSAGE_CHARACTERS = 1_000_000  # a long paste
_MAX_NAME_CHARACTERS = 32  # of a key; the longest code is 18
_MAX_FINGERS = 10
_MAX_SCROLL = 100_000.0
_SEQ_LIMIT = 1 << 32


class BadMessage(Exception):
    """A viewer's message makes no sense; the text says why and goes back to it."""


@dataclass(frozen=True, slots=True)
class Ack:
    seq: int


@dataclass(frozen=True, slots=True)
class Mouse:
    action: str
    x: int
    y: int
    button: int


@dataclass(frozen=True, slots=True)
class Wheel:
    x: int
    y: int
    dx: float
    dy: float


@dataclass(frozen=True, slots=True)
class Key:
    action: str
    code: str
    key: str


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Touch:
    action: str
    points: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Config:
    """What a viewer wishes; None leaves it as it is. `scale` is a share of the screen's size."""

    fps: float | None = None
    quality: int | None = None
    scale: float | None = None


@dataclass(frozen=True, slots=True)
class ControlRequest:
    action: str
    to: int


Message = Ack | Mouse | Wheel | Key | Text | Touch | Config | ControlRequest


@dataclass(frozen=True, slots=True)
class Hello:
    """What a viewer is told first. `touch` is `emulated`, `cdp` or `none`; `backend` is `xvfb` or `screencast`."""

    w: int
    h: int
    fps: float
    backend: str
    native_input: bool
    touch: str
    control: bool


def hello(facts: Hello) -> str:
    """The first message of a stream."""
    return json.dumps({"t": "hello", "v": VERSION, **asdict(facts)})


def error(message: str) -> str:
    """The answer to a message that was ignored."""
    return json.dumps({"t": "error", "message": message})


def control(viewer: int, driver: int | None, asking: tuple[int, ...]) -> str:
    """Who drives, as told to one viewer."""
    return json.dumps(
        {"t": "control", "you": viewer, "driver": driver, "driving": driver == viewer, "asking": list(asking)}
    )


def frame(picture: bytes, size: tuple[int, int], seq: int, unix_ms: int) -> bytes:
    """A whole JPEG picture of `size` pixels, grabbed at `unix_ms`, as one binary message."""
    return FRAME_HEADER.pack(_WHOLE_PICTURE, _JPEG, *size, seq % _SEQ_LIMIT, unix_ms) + picture


def parse(raw: str, screen: tuple[int, int]) -> Message:
    """Read one message of a viewer of a screen of that size; coordinates come back clamped to it.

    Raises `BadMessage`.
    """
    if len(raw) > _MAX_MESSAGE_CHARACTERS:
        raise BadMessage("the message is too long")
    try:
        message = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadMessage("the message is not JSON") from None
    if not isinstance(message, dict):
        raise BadMessage("the message is not a JSON object")
    kind = message.get("t")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise BadMessage(f"t must be one of {', '.join(_READERS)}")
    return reader(_Fields(message, screen))


class _Fields:
    """The fields of one message, each fetched with what is allowed there."""

    def __init__(self, message: dict[str, Any], screen: tuple[int, int]) -> None:
        self._message = message
        self._screen = screen

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        """A finite number, clamped. Raises `BadMessage` when it is none, or is missing without a default."""
        value = self._message.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadMessage(f"{name} must be a number")
        try:
            number = float(value)
        except OverflowError:  # Python's integers are longer than its floats
            raise BadMessage(f"{name} is too large") from None
        if not math.isfinite(number):
            raise BadMessage(f"{name} must be finite")
        return min(max(number, low), high)

    def optional(self, name: str, low: float, high: float) -> float | None:
        return None if self._message.get(name) is None else self.number(name, low, high)

    def word(self, name: str, *allowed: str) -> str:
        value = self._message.get(name)
        if value not in allowed:
            raise BadMessage(f"{name} must be one of {', '.join(allowed)}")
        return str(value)

    def string(self, name: str, longest: int, default: str | None = None) -> str:
        value = self._message.get(name, default)
        if not isinstance(value, str) or len(value) > longest:
            raise BadMessage(f"{name} must be a string of at most {longest} characters")
        return value

    def point(self) -> tuple[int, int]:
        width, height = self._screen
        return int(self.number("x", 0, width - 1)), int(self.number("y", 0, height - 1))

    def fingers(self) -> tuple[tuple[int, int, int], ...]:
        points = self._message.get("pts")
        if not isinstance(points, list) or len(points) > _MAX_FINGERS or not all(isinstance(p, dict) for p in points):
            raise BadMessage(f"pts must be a list of at most {_MAX_FINGERS} points")
        fields = [_Fields(point, self._screen) for point in points]
        return tuple((int(each.number("id", 0, 1 << 31)), *each.point()) for each in fields)


_READERS: dict[str, Callable[[_Fields], Message]] = {
    "ack": lambda f: Ack(int(f.number("seq", 0, _SEQ_LIMIT - 1))),
    "mouse": lambda f: Mouse(f.word("a", "move", "down", "up"), *f.point(), int(f.number("b", 0, 4, 0))),
    "wheel": lambda f: Wheel(
        *f.point(), f.number("dx", -_MAX_SCROLL, _MAX_SCROLL, 0), f.number("dy", -_MAX_SCROLL, _MAX_SCROLL, 0)
    ),
    "key": lambda f: Key(
        f.word("a", "down", "up"), f.string("code", _MAX_NAME_CHARACTERS, ""), f.string("key", _MAX_NAME_CHARACTERS, "")
    ),
    "text": lambda f: Text(f.string("s", _MAX_MESSAGE_CHARACTERS)),
    "touch": lambda f: Touch(f.word("a", "start", "move", "end", "cancel"), f.fingers()),
    "config": lambda f: Config(
        f.optional("fps", 0.1, 60), _whole(f.optional("q", 1, 100)), f.optional("scale", 0.1, 1)
    ),
    "control": lambda f: ControlRequest(f.word("a", "ask", "release", "give"), int(f.number("to", 0, 1 << 31, 0))),
}


def _whole(number: float | None) -> int | None:
    return None if number is None else round(number)
