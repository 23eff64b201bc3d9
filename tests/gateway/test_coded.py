"""Packed bodies are read in pieces or whole, and never unpack to more than may be."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import ConnectionFailed
from headway.gateway.coded import Decoder, decoder_of


@given(st.binary(max_size=3000), st.integers(1, 50), st.sampled_from(["gzip", "deflate"]))
def test_whole_and_in_pieces_is_the_same(body: bytes, size: int, coding: str) -> None:
    packed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    assert Decoder(coding).whole(packed) == body
    decoder = Decoder(coding)
    assert b"".join(decoder.feed(packed[i : i + size]) for i in range(0, len(packed), size)) == body


@pytest.mark.parametrize("most", [999, 1000])
def test_the_bound_is_exact(most: int) -> None:
    packed = gzip.compress(b" " * 1000)
    if most < 1000:
        with pytest.raises(ConnectionFailed):
            Decoder("gzip", most).whole(packed)
    else:
        assert Decoder("gzip", most).whole(packed) == b" " * 1000


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", ""])
def test_a_packing_that_is_not_known_is_no_reply(coding: str) -> None:
    with pytest.raises(ConnectionFailed):
        decoder_of({"content-encoding": coding})


@pytest.mark.parametrize("body", [b"", b"not gzip", gzip.compress(b"hello", mtime=0)[:-9]])
def test_a_body_that_cannot_be_unpacked_is_no_reply(body: bytes) -> None:
    with pytest.raises(ConnectionFailed):
        Decoder("gzip").whole(body)
