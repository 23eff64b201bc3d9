"""Writes a job of 1,200 small tasks to standard output, in the form of Message Batches lines.

Half of them read much and answer briefly, half ask briefly and get long answers, one kind after the other: the order in
which such files often come, and the worst one for a runner that keeps it.

    python examples/make_job.py > job.jsonl
    headway run job.jsonl --emulate
"""

from __future__ import annotations

import json
import random
import sys

MODEL = "claude-opus-4-20250514"
SUBJECTS = ("invoices", "sensors", "tickets", "recipes", "timetables", "contracts", "maps", "letters")
TEXT = (
    "the of and a to in is on with for as by an at from or that this it are was be which its after before during "
    "first next last value item line report station order parcel engine river harbour signal cargo bridge window"
)
WORDS = TEXT.split()


def text(random_: random.Random, words: int) -> str:
    """Some words in a row."""
    return " ".join(random_.choice(WORDS) for _ in range(words))


def main() -> None:
    """Write the job."""
    random_ = random.Random(7)
    for number in range(1200):
        subject = random_.choice(SUBJECTS)
        if number < 600:
            prompt = f"Classify this note on {subject} as urgent or not.\n\n{text(random_, random_.randint(150, 700))}"
            most = 64
        else:
            prompt = f"Write a guide to {subject}: {text(random_, random_.randint(5, 30))}."
            most = 1024
        params = {"model": MODEL, "max_tokens": most, "messages": [{"role": "user", "content": prompt}]}
        sys.stdout.write(json.dumps({"custom_id": f"{subject}-{number:04}", "params": params}) + "\n")


if __name__ == "__main__":
    main()
