"""Rows as tests want them."""

from __future__ import annotations

from typing import Any

from headway.workbench.rows import Row


def row(variant: str, line: int, score: float | None = None, cost: int | None = 1000, **more: Any) -> Row:
    """One call of a variant on one input."""
    fields: dict[str, Any] = {
        "id": f"{variant}-{line}",
        "variant": variant,
        "input": str(line),
        "line": line,
        "repeat": 1,
        "model": "m",
        "succeeded": True,
        "output": "text",
        "error": "",
        "failed_there": False,
        "stop_reason": "end_turn",
        "input_tokens": 100,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 10,
        "cost_nanousd": cost,
        "first_token_ms": 5.0,
        "total_ms": 10.0,
        "queued_ms": 0.0,
        "attempts": 1,
        "passed": None if score is None else score == 1.0,
        "score": score,
    }
    return Row(**(fields | more))


def rows_of(variant: str, scores: list[float], cost: int = 1000) -> list[Row]:
    """One row an input."""
    return [row(variant, line, score, cost) for line, score in enumerate(scores, 1)]
