"""What fills the context window of a model: count it, explain it, fit it.

    from headway.context import count, explain, fit

    print(explain(request))
    fitted = fit(messages, model="claude-opus-4-8", max_tokens=4096, system=system, tools=tools)
    client.messages.create(model="claude-opus-4-8", max_tokens=4096, **fitted.arguments)

Nothing is sent and nothing is kept: estimates come from the fit that paces calls (`headway.providers.sizing`).
"""

from __future__ import annotations

from headway.context.counting import Count as Count
from headway.context.counting import count as count
from headway.context.explaining import Explanation as Explanation
from headway.context.explaining import explain as explain
from headway.context.fitted import Fitted as Fitted
from headway.context.fitting import fit as fit

__all__ = ["Count", "Explanation", "Fitted", "count", "explain", "fit"]
