"""`origin.py` that also keeps apart what it served to the end, for comparing with a ledger.

python benchmarks/gateway_books.py OPTIONS OF origin.py
"""

from __future__ import annotations

from typing import Any

import origin
from replies import Stream


class Server(origin.Server):
    """Counts the replies that went out whole."""

    def __init__(self, settings: origin.Settings) -> None:
        super().__init__(settings)
        self.whole = {"requests": 0, "input_tokens": 0, "output_tokens": 0}

    def _finish(self, stream: Stream, now: float, *, broken: bool = False) -> None:
        super()._finish(stream, now, broken=broken)
        if not broken:
            for name, amount in zip(self.whole, (1, stream.run.input, stream.run.output), strict=True):
                self.whole[name] += amount

    def books(self) -> dict[str, Any]:
        """Everything that was counted, and what went out whole."""
        return super().books() | {"whole": self.whole}


if __name__ == "__main__":
    origin.Server = Server  # type: ignore[misc] # the one that `origin.serve` makes
    origin.main()
