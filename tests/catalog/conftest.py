"""A ledger with calls of our making."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalog.writing import write

Fill = Callable[..., Path]


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Write `count` calls into the ledger; `changes` of what is in their entries."""

    def make(count: int, *, first_token_ms: float | None = 500.0, **changes: Any) -> Path:
        return write(tmp_path, [first_token_ms] * count, **changes)

    return make
