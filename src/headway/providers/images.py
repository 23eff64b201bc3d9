"""How many tokens an image takes, from the first bytes of its data.

Rule: one token for each started 28 × 28 pixels, after scaling down to what the model sees.
Source: https://platform.claude.com/docs/en/build-with-claude/vision, copies of 2026.
"""

from __future__ import annotations

import math
from base64 import b64decode
from binascii import Error

_PATCH = 28
_HEAD = 512 * 1024  # base64 characters searched for the size of a JPEG; a multiple of 4
_OLD_EDGE, _OLD_TOKENS = 1568, 1568
_NEW_EDGE, _NEW_TOKENS = 2576, 4784  # from 4.7 on
UNKNOWN_TOKENS = (
    1300.0  # an image by URL or file id, or one that cannot be read: a large photograph or screenshot
)


def image_tokens(data: object, *, fine: bool) -> float:
    """Tokens of an image given as base64. `fine` is whether the model sees the higher resolution of 4.7 and later."""
    size = _size(data) if isinstance(data, str) else None
    if size is None:
        return UNKNOWN_TOKENS
    edge, most = (_NEW_EDGE, _NEW_TOKENS) if fine else (_OLD_EDGE, _OLD_TOKENS)
    width, height = size
    scale = min(1.0, edge / max(width, height), math.sqrt(most * _PATCH * _PATCH / (width * height)))
    return float(min(most, math.ceil(width * scale / _PATCH) * math.ceil(height * scale / _PATCH)))


def _size(data: str) -> tuple[int, int] | None:
    """Width and height in pixels, from the header of a PNG, GIF, WebP or JPEG."""
    head = _decode(data[:64])
    size = None
    if head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) >= 24:
        size = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    elif head[:4] == b"GIF8" and len(head) >= 10:
        size = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        size = _webp_size(head)
    elif head[:2] == b"\xff\xd8":
        size = _jpeg_size(_decode(data[:_HEAD]))
    return size if size and min(size) > 0 else None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    if head[12:16] == b"VP8X" and len(head) >= 30:
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8 " and len(head) >= 30:
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    if head[12:16] == b"VP8L" and len(head) >= 25:
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walk the segments up to the frame header (SOF0 to SOF15, but for DHT, JPG and DAC)."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 1 if kind == 0xFF else 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None


def _decode(text: str) -> bytes:
    try:
        return b64decode(text[: len(text) // 4 * 4])
    except (Error, ValueError):
        return b""
