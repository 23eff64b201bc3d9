"""Images are sized by the documented rule, from the header of their data."""

import struct
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.providers.images import UNKNOWN_TOKENS, image_tokens


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height) + bytes(40)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(40)


def jpeg(width: int, height: int) -> bytes:
    extra = b"\xff\xe0\x00\x10" + bytes(14) + b"\xff\xc4\x00\x05abc"
    return b"\xff\xd8" + extra + b"\xff\xc2\x00\x11\x08" + struct.pack(">HH", height, width) + bytes(40)


def webp(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00" + size + bytes(40)


def taken(data: bytes, *, fine: bool = False) -> float:
    return image_tokens(b64encode(data).decode(), fine=fine)


@pytest.mark.parametrize("write", [png, gif, jpeg, webp])
@pytest.mark.parametrize(
    ("size", "tokens"), [((28, 28), 1), ((29, 28), 2), ((280, 140), 50), ((1000, 1000), 36 * 36)]
)
def test_an_image_takes_a_token_for_each_started_patch(
    write: type[bytes], size: tuple[int, int], tokens: int
) -> None:
    assert taken(write(*size)) == tokens


def test_large_images_are_scaled_down_first_and_newer_models_see_more() -> None:
    assert 1_450 <= taken(png(4000, 3000)) <= 1_568
    assert 4_500 <= taken(png(4000, 3000), fine=True) <= 4_784
    assert taken(png(8000, 100)) == 56


@pytest.mark.parametrize(
    "data",
    [
        None,
        5,
        "",
        "AAAA",
        "<scrubbed>",
        b64encode(b"\x89PNG\r\n\x1a\n").decode(),
        b64encode(png(0, 5)).decode(),
    ],
)
def test_an_image_that_cannot_be_read_takes_a_constant(data: object) -> None:
    assert image_tokens(data, fine=False) == UNKNOWN_TOKENS


@given(
    st.sampled_from([b"\xff\xd8", b"RIFF1234WEBP", b"GIF8", b"\x89PNG\r\n\x1a\n", b""]),
    st.binary(max_size=200),
    st.booleans(),
)
def test_no_data_makes_it_fail(start: bytes, rest: bytes, fine: bool) -> None:
    assert 0 < taken(start + rest, fine=fine) <= 4_784
