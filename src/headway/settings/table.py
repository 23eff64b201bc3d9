"""What settings there are: what each is called in headway.toml and in the environment, and what it says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `key` is its name in the file (a dot: in a table), `variable` in the environment. `kind`: see `kinds`.
    `example` is a value in TOML."""

    key: str
    variable: str
    kind: str
    example: str
    says: str

    @property
    def field(self) -> str:
        """What it is called in `Config`, in whose names are units."""
        return _FIELDS.get(self.key.rpartition(".")[2], self.key.rpartition(".")[2])


_FIELDS = {
    "max_cost": "max_cost_usd",
    "max_wait": "max_wait_s",
    "ledger_keep": "ledger_keep_s",
    "class": "class_",
}

SETTINGS = (
    Setting("base_url", "ANTHROPIC_BASE_URL", "text", '"https://api.anthropic.com"', "where the API is"),
    Setting(
        "api_key_file",
        "HEADWAY_API_KEY_FILE",
        "path",
        '"/etc/headway/api.key"',
        "where the key is, if it is not in the environment; mode 600",
    ),
    Setting("api_version", "HEADWAY_API_VERSION", "version", '"2023-06-01"', "the version of the API"),
    Setting("tier", "HEADWAY_TIER", "tier", '"tier-2"', "published limits to start from; unset: learnt"),
    Setting("limits", "HEADWAY_LIMITS", "limits", '"requests=50/min"', "limits to keep, as one text"),
    Setting("burst", "HEADWAY_BURST", "burst", '"5s"', "what full buckets hold; unset: learnt"),
    Setting("max_cost", "HEADWAY_MAX_COST", "dollars", '"20usd"', "never spend more"),
    Setting("max_wait", "HEADWAY_MAX_WAIT", "seconds", '"10m"', "let no call wait longer"),
    Setting(
        "retries",
        "HEADWAY_RETRIES",
        "number",
        "8",
        "tries after the first, for failed calls; unset: 8 in a job, 4 elsewhere",
    ),
    Setting("concurrency", "HEADWAY_CONCURRENCY", "count", "20", "at most so many calls in flight"),
    Setting("stream", "HEADWAY_STREAM", "switch", "true", "whether jobs stream replies"),
    Setting("any_model", "HEADWAY_ANY_MODEL", "switch", "false", "send models the catalog does not know"),
    Setting("ledger", "HEADWAY_LEDGER", "path", '"usage.sqlite3"', "the ledger's file; none keeps none"),
    Setting(
        "ledger_keep",
        "HEADWAY_LEDGER_KEEP",
        "days",
        '"90d"',
        "how long the ledger keeps attempts; what they add up to stays",
    ),
    Setting(
        "fingerprints",
        "HEADWAY_FINGERPRINTS",
        "switch",
        "true",
        "whether the ledger keeps which beginnings of prompts are equal",
    ),
    Setting("session.tenant", "HEADWAY_SESSION_TENANT", "name", '"nightly"', "who calls belong to"),
    Setting("session.class", "HEADWAY_SESSION_CLASS", "class", '"bulk"', "how urgent calls are"),
    Setting("session.budget", "HEADWAY_SESSION_BUDGET", "budget", '"2usd"', "the most a session may use"),
    Setting("session.max_wait", "HEADWAY_SESSION_MAX_WAIT", "seconds", '"30s"', "let no call wait longer"),
)
