"""The parser follows the specification of server-sent events, whatever the chunks are."""

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from headway.providers.sse import Event, Parser, parse_stream

STREAM = b'event: ping\ndata: {"a": 1}\n\n: a comment\n\nevent: two\ndata: x\ndata: y\n\ndata:z\n\n'
EVENTS = [Event("ping", b'{"a": 1}'), Event("two", b"x\ny"), Event("message", b"z")]


def test_events_have_their_name_and_their_data_lines_joined() -> None:
    assert Parser().feed(STREAM) == EVENTS


def test_line_ends_of_any_kind_give_the_same_events() -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        assert parse_stream(STREAM.replace(b"\n", end)) == EVENTS


def test_byte_by_byte_gives_the_same_events_as_at_once() -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        parser = Parser()
        pieces = [event for byte in STREAM.replace(b"\n", end) for event in parser.feed(bytes([byte]))]
        assert pieces + parser.finish() == EVENTS


@given(st.lists(st.integers(0, 200), max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_where_the_chunks_are_cut_changes_nothing(cuts: list[int], end: bytes) -> None:
    stream = b"\xef\xbb\xbf" + STREAM.replace(b"\n", end)
    at = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    parser = Parser()
    events = [event for start, stop in itertools.pairwise(at) for event in parser.feed(stream[start:stop])]
    assert events + parser.finish() == EVENTS


_LINE = st.sampled_from(
    ["event: a", "data: 1", "data:  2", "data", "data:", ": c", "id: 7", "retry: 3", "x", "", "data: \u00e9"]
)


@given(st.lists(_LINE, max_size=20), st.lists(st.integers(0, 300), max_size=6))
@example(["data: 1", "", "", "", "data: 1", ""], [5, 9])
def test_any_lines_at_all_are_read_as_the_specification_says(lines: list[str], cuts: list[int]) -> None:
    stream = "".join(f"{line}\n" for line in lines).encode()
    at = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    parser = Parser()
    events = [event for start, stop in itertools.pairwise(at) for event in parser.feed(stream[start:stop])]
    assert events == _plainly(lines)


def _plainly(lines: list[str]) -> list[Event]:
    """The specification, line by line."""
    events, name, data = [], "", None
    for line in lines:
        if line == "":
            if data is not None:
                events.append(Event(name or "message", "\n".join(data).encode()))
            name, data = "", None
            continue
        field, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if field == "event":
            name = value
        elif field == "data":
            data = [*(data or []), value]
    return events


def test_an_event_without_its_blank_line_comes_only_when_the_stream_is_finished() -> None:
    parser = Parser()
    assert parser.feed(b"event: end\ndata: 1\n") == []
    assert parser.finish() == [Event("end", b"1")]


def test_an_event_without_data_is_none() -> None:
    assert parse_stream(b"event: lonely\n\nid: 5\n\n") == []


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert parse_stream(b"event: \xff\ndata: \xfe\xff\n\n") == [Event("\ufffd", b"\xfe\xff")]
