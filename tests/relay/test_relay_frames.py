from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay_peers import frame

from chaser_server.relay.frames import NO_BOUNDARY, FrameWalker, close_frame, ping_frame

payloads = st.one_of(
    st.binary(max_size=5),
    st.sampled_from([125, 126, 127, 128, 65535, 65536, 70000]).map(bytes),
)
frames = st.lists(
    st.builds(frame, payloads, st.sampled_from([0, 1, 2, 9, 10]), final=st.booleans()), min_size=1, max_size=8
)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % len(stream) for place in places} - {0}), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def boundaries(sent: list[bytes]) -> set[int]:
    ends, position = {0}, 0
    for one in sent:
        position += len(one)
        ends.add(position)
    return ends


@given(frames, st.lists(st.integers(min_value=0), max_size=12))
def test_the_first_boundary_of_every_chunk_is_found_wherever_the_stream_is_cut(
    sent: list[bytes], places: list[int]
) -> None:
    walker, position, ends = FrameWalker(), 0, boundaries(sent)
    for chunk in cut(b"".join(sent), places):
        inside = [end - position for end in sorted(ends) if position <= end <= position + len(chunk)]
        assert walker.feed(chunk) == (inside[0] if inside else NO_BOUNDARY)
        position += len(chunk)
        assert walker.at_boundary == (position in ends)
    assert walker.at_boundary
    assert not walker.close_seen


@given(frames)
def test_a_stream_that_comes_byte_by_byte_has_its_boundaries_where_frames_end(sent: list[bytes]) -> None:
    short = [one for one in sent if len(one) < 1000]
    walker, ends = FrameWalker(), boundaries(short)
    for position, byte in enumerate(b"".join(short), 1):
        walker.feed(bytes((byte,)))
        assert walker.at_boundary == (position in ends)


@given(frames, st.lists(st.integers(min_value=0), max_size=12))
def test_a_ping_put_at_any_boundary_leaves_every_frame_whole(sent: list[bytes], places: list[int]) -> None:
    walker, out = FrameWalker(), b""
    for chunk in cut(b"".join(sent), places):
        boundary = walker.feed(chunk)
        out += chunk if boundary == NO_BOUNDARY else chunk[:boundary] + ping_frame(b"!") + chunk[boundary:]
    again = FrameWalker()
    again.feed(out)
    assert again.at_boundary
    pings = (len(out) - sum(map(len, sent))) // 3
    rebuilt, position = [], 0
    for one in sent:
        while out.startswith(ping_frame(b"!"), position) and not out.startswith(one, position):
            position, pings = position + 3, pings - 1
        rebuilt.append(out[position : position + len(one)])
        position += len(one)
    assert rebuilt == sent


@given(frames, st.binary(max_size=20), st.lists(st.integers(min_value=0), max_size=6))
def test_behind_a_close_frame_there_is_no_boundary(sent: list[bytes], junk: bytes, places: list[int]) -> None:
    walker, last = FrameWalker(), boundaries(sent)
    stream = b"".join(sent) + close_frame(1000, "bye") + junk
    position = 0
    for chunk in cut(stream, places):
        boundary = walker.feed(chunk)
        assert boundary == NO_BOUNDARY or position + boundary in last
        position += len(chunk)
    assert walker.close_seen
    assert not walker.at_boundary


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 50 * 1024 * 1024])
def test_a_frame_is_as_long_as_its_header_says_without_its_payload_being_read(size: int) -> None:
    walker = FrameWalker()
    whole = frame(bytes(size))
    header = whole[: len(whole) - size]
    assert walker.feed(header) == 0
    assert walker.at_boundary == (size == 0)
    if size:
        assert walker.feed(memoryview(whole)[len(header) :].tobytes()) == size
    assert walker.at_boundary


def test_a_close_frame_carries_code_and_reason() -> None:
    assert close_frame(1001, "ttl_expired") == b"\x88\x0d\x03\xe9ttl_expired"
    assert close_frame(1000) == b"\x88\x02\x03\xe8"


@given(st.text(max_size=200))
def test_a_reason_is_cut_to_what_a_control_frame_holds_at_the_end_of_a_character(reason: str) -> None:
    sent = close_frame(1001, reason)
    assert sent[1] == len(sent) - 2 <= 125
    text = sent[4:].decode()
    encoded = reason.encode("utf-8", "replace").decode()
    assert encoded.startswith(text)
    assert len(text) == len(encoded) or len(encoded[: len(text) + 1].encode()) > 123


def test_a_ping_is_an_unmasked_control_frame() -> None:
    assert ping_frame() == b"\x89\x00"
    assert ping_frame(b"hi") == b"\x89\x02hi"
