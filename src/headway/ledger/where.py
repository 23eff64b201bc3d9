"""What tells groups of attempts apart, and which attempts are asked for, as SQL over the columns of `ledger.columns`."""

from __future__ import annotations

from headway.errors import InputError

_KEYS = {
    "model": "model_served",
    "tenant": "tenant",
    "session": "session",
    "job": "job",
    "class": "class",
    "day": "strftime('%Y-%m-%d', hour * 3600, 'unixepoch')",
    "hour": "strftime('%Y-%m-%d %H:00', hour * 3600, 'unixepoch')",
    "status": "CASE WHEN coalesce(status, 0) = 0 OR outcome = 'ok' THEN outcome ELSE outcome || ' ' || status END",
    "pool": "pool",
    "cause": "cause",
}
_FILTERS = ("model", "tenant", "session", "job", "class", "status", "pool")

Where = tuple[tuple[str, str], ...]


def check_where(where: Where) -> None:
    """InputError for a name that reports cannot be restricted by."""
    for name, _ in where:
        if name not in _FILTERS:
            raise InputError(
                f"cannot filter by {name!r}", hint=f"One of: {', '.join(_FILTERS)}; like tenant=search."
            )


def filter_sql(where: Where) -> tuple[str, list[str]]:
    """` AND tenant = ?` and its values. Values of one name: any of them; a * stands for anything."""
    names: dict[str, list[str]] = {}
    for name, value in where:
        names.setdefault(name, []).append(value)
    sql, bound = "", []
    for name, values in names.items():
        tests = [f"{_KEYS[name]} GLOB ?" if "*" in value else f"{_KEYS[name]} = ?" for value in values]
        sql += f" AND ({' OR '.join(tests)})"
        bound += [
            value.replace("[", "[[]").replace("?", "[?]") if "*" in value else value for value in values
        ]
    return sql, bound


def key_sql(name: str) -> str:
    """What tells groups apart, as SQL."""
    return _KEYS[name]
