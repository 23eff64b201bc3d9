"""Jobs to plan, and the scenes that they make."""

from __future__ import annotations

import json
import random
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headway.assemble import build
from headway.config import Config
from headway.jobs.check import checker
from headway.jobs.index import Index, scan
from headway.jobs.lines import Defaults
from headway.jobs.record import Options
from headway.planner.reading import Glance
from headway.planner.replies import Replies, stated
from headway.planner.scene import Scene
from headway.planner.shape import Check, shape_of
from headway.planner.sizes import Sizes
from headway.planner.stage import stage
from headway.planner.world import Tempo

MODEL = "claude-sonnet-4-20250514"
AT_NS = 1_795_000_000 * 10**9
_TEXT = "the of and to in is for with report order item value river engine signal cargo bridge window line"
WORDS = _TEXT.split()


def params(text: str = "Say hello.", **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 1024, "messages": [{"role": "user", "content": text}]} | more


def line(custom_id: str, request: Mapping[str, Any]) -> bytes:
    return json.dumps({"custom_id": custom_id, "params": request}).encode() + b"\n"


def mixed(count: int, seed: int = 1, **more: Any) -> Iterable[bytes]:
    """Prompts of all lengths, in three classes of `max_tokens`."""
    draw = random.Random(seed)
    for number in range(count):
        words = max(3, round(120 * draw.lognormvariate(-0.3, 0.8)))
        text = f"Note {number}: " + " ".join(draw.choices(WORDS, k=words))
        yield line(f"n{number}", params(text, **{"max_tokens": draw.choice((512, 1024, 2048))} | more))


@dataclass(frozen=True)
class Read:
    """A job file, read for a plan."""

    index: Index
    check: Check
    glance: Glance


def read(path: Path, lines: Iterable[bytes], defaults: Defaults | None = None, *, text: bool = False) -> Read:
    path.write_bytes(b"".join(lines))
    parts = build(Config(), lambda: AT_NS)
    file = path.open("rb")
    options = Options(file, path.name, None, defaults or Defaults(), text)
    check = checker(parts, options)
    glance = Glance(parts.provider, check, options.defaults, is_text=text)
    index = scan(file, glance)
    weakref.finalize(index, file.close)
    return Read(index, check, glance)


def scene(
    path: Path,
    lines: Iterable[bytes],
    config: Config,
    *,
    replies: Replies | None = None,
    ledger: Path | None = None,
    tempo: Tempo | None = None,
) -> Scene:
    found = read(path, lines)
    staged = stage(
        shape_of(found.index, found.check),
        Sizes(found.index, found.check),
        config,
        path.stem,
        replies=replies or stated("200"),
        tempo=tempo,
        ledger=ledger,
        since_ns=0,
        at_ns=AT_NS,
    )
    return staged.scene
