"""The record of a call that draws on no limit: models, files and whatever else the API has."""

from __future__ import annotations

import time

from headway.core.call import Usage
from headway.core.ports import Entry, OpenEntry
from headway.exchange.scope import Scope
from headway.gateway.head import Head
from headway.gateway.keys import Key
from headway.runtime import Engine


class Passing:
    """Noted when it leaves, and when the head of its reply is there."""

    __slots__ = ("_began", "_engine", "id")

    def __init__(self, engine: Engine, head: Head, key: Key, scope: Scope) -> None:
        self._engine, self.id, self._began = engine, engine.new_id(), time.monotonic()
        place = f"{head.method} {head.path}"[:200]
        engine.ledger.open(
            OpenEntry(
                attempt_id=f"{self.id}-1",
                call_id=self.id,
                number=1,
                at_ns=time.time_ns(),
                provider=engine.provider.name,
                pool="",
                model="",
                tenant=key.tenant,
                class_=scope.class_ or key.class_,
                session=scope.session,
                job="",
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
