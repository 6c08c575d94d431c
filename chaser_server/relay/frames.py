"""WebSocket frames on their way from a server to a client: where they end, and how to build the two we add ourselves.

Sans-I/O. Walks frame *headers* (RFC 6455 5.2) and never looks at a payload; knows nothing of sockets, or of the masked
frames that travel the other way.
"""

from __future__ import annotations

from struct import Struct

NO_BOUNDARY = -1
"""What `FrameWalker.feed` returns when nothing may be put into the chunk."""

MAX_REASON_BYTES = 123
"""A control frame carries at most 125 bytes (RFC 6455 5.5); two of a close frame's are its code."""

_FINAL = 0x80
_CLOSE = 0x8
_PING = 0x9
_MAX_HEADER_BYTES = 10
_IRREGULAR = -1
_read_length_16 = Struct(">H").unpack_from
_read_length_64 = Struct(">Q").unpack_from


class FrameWalker:
    """Follows a stream of unmasked frames, cut into chunks anywhere.

    A place between two frames is a *boundary*: there, and only there, another frame may be put into the stream (also
    between the fragments of one message, RFC 6455 5.4, if it is a control frame). Behind a close frame there is none.
    """

    __slots__ = ("_header", "_remaining", "close_seen")

    def __init__(self) -> None:
        self.close_seen = False
        """Whether the header of a close frame has passed."""
        self._remaining = 0  # bytes of the current frame that are still to come; negative: see _end_of_cut_header
        self._header = b""  # the first bytes of a header that a chunk's end has cut

    @property
    def at_boundary(self) -> bool:
        """Whether a frame may be put behind everything fed so far."""
        return self._remaining == 0

    def feed(self, data: bytes) -> int:
        """Walk over the next chunk, which is not empty.

        Returns the offset in `data` of the first boundary: 0 when the chunk begins at one, `len(data)` when it ends at
        its first; `NO_BOUNDARY` when it has none.
        """
        # Every answer of the browser passes here, so whole frames are walked without a call.
        first = position = self._remaining
        if position < 0:
            first = position = self._end_of_cut_header(data)
            if position < 0:
                return NO_BOUNDARY
        size = len(data)
        while position <= size - _MAX_HEADER_BYTES and data[position] & 0x0F != _CLOSE:
            length = data[position + 1]
            if length < 126:
                position += 2 + length
            elif length == 126:
                position += 4 + (data[position + 2] << 8 | data[position + 3])
            else:
                position = _frame_end(data, position)
        if position < size:
            position = self._walk_with_care(data, position)
        self._remaining = position - size if position >= 0 else _IRREGULAR
        return first if first <= size else NO_BOUNDARY

    def _walk_with_care(self, data: bytes, position: int) -> int:
        """Walk on where a header may be cut or be a close frame's; negative when one is."""
        while 0 <= position < len(data):
            if data[position] & 0x0F == _CLOSE:
                self.close_seen = True
                return _IRREGULAR
            end = _frame_end(data, position)
            if end < 0:
                self._header = data[position:]
            position = end
        return position

    def _end_of_cut_header(self, data: bytes) -> int:
        """Where in `data` the frame ends whose header began in an earlier chunk; negative when there is no telling."""
        if self.close_seen:
            return _IRREGULAR
        cut = len(self._header)
        self._header += data[: _MAX_HEADER_BYTES - cut]
        end = _frame_end(self._header, 0)
        return end - cut if end >= 0 else _IRREGULAR


def ping_frame(payload: bytes = b"") -> bytes:
    """An unmasked ping (RFC 6455 5.5.2) with at most 125 bytes of payload."""
    assert len(payload) <= 125
    return bytes((_FINAL | _PING, len(payload))) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """An unmasked close frame (RFC 6455 5.5.1); the reason is cut to what fits, at the end of a character."""
    text = reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore").encode()
    return bytes((_FINAL | _CLOSE, 2 + len(text))) + code.to_bytes(2, "big") + text


def _frame_end(data: bytes, start: int) -> int:
    """Where the frame ends whose header begins at `start`; negative when the header is not whole."""
    available = len(data) - start
    if available < 2:
        return -1
    length = data[start + 1]
    if length < 126:
        return start + 2 + length
    if length == 126:
        return start + 4 + int(_read_length_16(data, start + 2)[0]) if available >= 4 else -1
    return start + 10 + int(_read_length_64(data, start + 2)[0]) if available >= 10 else -1
