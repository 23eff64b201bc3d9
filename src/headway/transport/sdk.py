"""What the SDKs need to hear so that they let an error through, once.

The anthropic SDK wraps what a transport raises into `APIConnectionError` and tries again, except its own errors: so an error
of ours is raised as one of theirs too. A connection that failed for good raises what the transport below raised; when
the SDK then asks again (it counts in `x-stainless-retry-count`), it gets the same error at once and nothing is sent.
Read in anthropic 2.12.0, `_base_client.py`: `_attempt_request`, `_should_retry_exception`, `_should_retry`.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from hashlib import blake2b
from threading import Lock
from typing import Any

import httpx2

from headway.errors import HeadwayError

_KEPT = 1000


def for_sdk(error: HeadwayError) -> HeadwayError:
    """The error, in a form that the anthropic SDK raises as it is, if that SDK is in use. It stays what it was."""
    theirs = getattr(sys.modules.get("anthropic"), "AnthropicError", None)
    if theirs is None or isinstance(error, theirs):
        return error
    kind = type(error)
    if kind not in _mixed:
        _mixed[kind] = _both(kind, theirs)
    return _copied(error, _mixed[kind])


_mixed: dict[type[HeadwayError], type[HeadwayError]] = {}


def _both(ours: type[HeadwayError], theirs: type[Exception]) -> type[HeadwayError]:
    """One class that is both. Pickled, it is ours alone."""

    def reduce(self: HeadwayError) -> Any:
        return _copied(self, ours).__reduce__()

    body = {"__module__": ours.__module__, "__doc__": ours.__doc__, "__reduce__": reduce}
    both: type[HeadwayError] = type(ours.__name__, (ours, theirs), body)
    return both


def _copied(error: HeadwayError, kind: type[HeadwayError]) -> HeadwayError:
    copy = kind.__new__(kind, *error.args)
    copy.args = error.args
    copy.__dict__.update(error.__dict__)
    return copy


class GivenUp:
    """Requests whose connection failed for good a moment ago."""

    def __init__(self) -> None:
        self._errors: OrderedDict[bytes, httpx2.RequestError] = OrderedDict()
        self._lock = Lock()

    @property
    def is_empty(self) -> bool:
        """Whether there are none."""
        return not self._errors

    def note(self, address: str, body: bytes, error: httpx2.RequestError) -> None:
        """All tries of this request failed with `error`."""
        with self._lock:
            self._errors[_mark(address, body)] = error
            if len(self._errors) > _KEPT:
                self._errors.popitem(last=False)

    def again(self, address: str, body: bytes) -> httpx2.RequestError | None:
        """The error to raise at once, when the SDK asks again for what was given up."""
        error = self._errors.get(_mark(address, body))
        return None if error is None else type(error)(*error.args)

    def forget(self, address: str, body: bytes) -> None:
        """It is asked for as a new call: what became of an equal one before says nothing about it."""
        with self._lock:
            self._errors.pop(_mark(address, body), None)


def _mark(address: str, body: bytes) -> bytes:
    """What is kept of a request: prompts may be large, and are nobody's business."""
    return blake2b(body, digest_size=16, key=blake2b(address.encode(), digest_size=16).digest()).digest()
