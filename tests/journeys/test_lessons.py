"""What a refusal teaches about a bucket is needed once: the next run knows it."""

from __future__ import annotations

from headway.testing.emulated import Emulator

from .conftest import Headway, request, write_job

# Headers that overstate: 600 a minute less what is not refilled yet, of a bucket that holds 30.
PROFILE = "claude-opus-4/unlimited?requests=600&burst=3s&remaining=minute&ttft=20ms&speed=5000&output_mean=20"


def test_headers_that_overstate_are_seen_through_once_and_for_all(headway: Headway) -> None:
    write_job(headway.folder / "job.jsonl", [request(f"{number}") for number in range(90)])
    refused = []
    with Emulator(PROFILE) as emulator:
        for name in ("first", "second"):
            emulator.reset()
            _, summary = headway.job("-o", name, "--ledger", "ledger.sqlite3", url=emulator.url)
            refused.append(summary["rate_limited"])
    assert refused[0] >= 1
    assert refused[1] == 0
