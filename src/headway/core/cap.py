"""Reads a budget as people write it: `2usd`, `$2`, `500k tokens`, `100 requests`."""

from __future__ import annotations

import re
from decimal import Decimal

from headway.core.call import Cap, Unit
from headway.errors import InputError

_DOLLARS = re.compile(r"\$\s*(\d[\d_,]*(?:\.\d+)?)|(\d[\d_,]*(?:\.\d+)?)\s*(?:usd|dollars?|\$)", re.I)
_COUNT = re.compile(r"(\d[\d_,]*(?:\.\d+)?)\s*([kmg]?)\s*(tokens?|requests?|calls?)", re.I)
_SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def parse_cap(text: str, name: str) -> Cap:
    """A cap called `name`. Raises InputError for what is no budget, and for nothing or less."""
    if (match := _DOLLARS.fullmatch(text.strip())) is not None:
        unit, amount = Unit.USD, _number(match[1] or match[2]) * 10**9
    elif (match := _COUNT.fullmatch(text.strip())) is not None:
        unit = Unit.TOKENS if match[3].lower().startswith("token") else Unit.REQUESTS
        amount = _number(match[1]) * _SCALES[match[2].lower()]
    else:
        raise InputError(
            f"budget of {name}: cannot read {text!r}",
            hint="Write it like 2usd, 500k tokens or 100 requests.",
        )
    if amount < 1:
        raise InputError(f"budget of {name}: must be more than nothing, not {text!r}")
    return Cap(name, unit, int(amount))


def _number(digits: str) -> Decimal:
    return Decimal(digits.replace(",", "").replace("_", ""))
