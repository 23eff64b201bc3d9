"""The record of a call that draws on no limit: it stands in no line, but who did what is on file."""

from __future__ import annotations

import time

from headway.core.call import Class, Usage
from headway.core.ports import Entry, OpenEntry
from headway.exchange.scope import Scope
from headway.runtime import Engine

_LONGEST = 200  # characters of method and path, which come from outside


class Passing:
    """Noted when it leaves, and when the head of its reply is there."""

    __slots__ = ("_began", "_engine", "id")

    def __init__(self, engine: Engine, method: str, path: str, scope: Scope, model: str = "") -> None:
        self._engine, self.id, self._began = engine, engine.new_id(), time.monotonic()
        place = f"{method} {path}"[:_LONGEST]
        engine.ledger.open(
            OpenEntry(
                attempt_id=f"{self.id}-1",
                call_id=self.id,
                number=1,
                at_ns=time.time_ns(),
                provider=engine.provider.name,
                pool="",
                model=model,
                tenant=scope.tenant or "default",
                class_=scope.class_ or Class.STANDARD,
                session=scope.session,
                job=scope.job,
                label=f"{place},{scope.label}" if scope.label else place,
                estimated_input_tokens=0,
                estimated_output_tokens=0,
                queued_ms=0.0,
                stream=False,
            )
        )

    def ended(self, status: int | None, request_id: str | None = None) -> None:
        """The head of the reply is there; None: it never came."""
        self._engine.ledger.close(
            Entry(
                attempt_id=f"{self.id}-1",
                outcome="ok" if status is not None and status < 400 else "failed",
                status=status,
                error_type="",
                request_id=request_id,
                usage=Usage(),
                estimated=False,
                first_token_ms=None,
                total_ms=(time.monotonic() - self._began) * 1000.0,
            )
        )
