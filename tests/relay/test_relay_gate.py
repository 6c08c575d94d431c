"""The gate passes messages as they are, whole, and never one that is forbidden."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaser_server.relay.gate import ForbiddenMessage, MessageGate

PING = 0x9
TEXT = 0x1
MORE = 0x0


def frame(payload: bytes, *, opcode: int = TEXT, final: bool = True, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    length = len(payload)
    if length < 126:
        head = bytes([length | 0x80])
    elif length < 65536:
        head = bytes([126 | 0x80]) + length.to_bytes(2, "big")
    else:
        head = bytes([127 | 0x80]) + length.to_bytes(8, "big")
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([opcode | (0x80 if final else 0)]) + head + mask + masked


def in_pieces(data: bytes, seed: int) -> list[bytes]:
    source = random.Random(seed)
    cuts = sorted(source.randrange(len(data) + 1) for _ in range(8))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@given(messages=st.lists(st.binary(max_size=70_000), min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_what_is_allowed_passes_unchanged_however_it_is_cut(messages: list[bytes], seed: int) -> None:
    seen: list[bytes] = []
    gate = MessageGate(lambda message: seen.append(message) is not None)
    stream = b"".join(frame(message) for message in messages)
    assert b"".join(gate.feed(piece) for piece in in_pieces(stream, seed)) == stream
    assert seen == messages


def test_a_message_in_fragments_is_seen_whole_and_pings_pass_between_them() -> None:
    gate = MessageGate(lambda message: message == b"forbidden")
    first, ping = frame(b"forb", final=False), frame(b"", opcode=PING)
    assert gate.feed(first + ping) == ping
    with pytest.raises(ForbiddenMessage):
        gate.feed(frame(b"idden", opcode=MORE))


def test_nothing_of_a_forbidden_message_passes() -> None:
    gate = MessageGate(lambda message: b"bad" in message)
    assert gate.feed(frame(b"good")[:-1]) == b""
    with pytest.raises(ForbiddenMessage):
        gate.feed(frame(b"good")[-1:] + frame(b"bad"))


def test_behind_a_forbidden_message_nothing_passes_any_more() -> None:
    gate = MessageGate(lambda message: message == b"bad")
    for message in (b"bad", b"good", b"good"):
        with pytest.raises(ForbiddenMessage):
            gate.feed(frame(message))
