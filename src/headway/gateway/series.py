"""All metrics there are, by name. docs/operations.md lists the same."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: `kind` "counter", "gauge" or "histogram" (of seconds)."""

    name: str
    kind: str
    labels: tuple[str, ...]
    says: str


METRICS = (
    Metric(
        "headway_calls_total", "counter", ("pool", "model", "class", "tenant"), "Calls that left the line."
    ),
    Metric(
        "headway_attempts_total", "counter", ("pool", "model", "class", "outcome"), "Attempts that are over."
    ),
    Metric(
        "headway_retries_total", "counter", ("pool", "model", "class"), "Attempts after the first of a call."
    ),
    Metric(
        "headway_tokens_total",
        "counter",
        ("pool", "model", "class", "tenant", "kind"),
        "Tokens, in disjoint kinds.",
    ),
    Metric(
        "headway_cost_usd_total",
        "counter",
        ("pool", "model", "class", "tenant"),
        "What attempts cost, in US dollars.",
    ),
    Metric(
        "headway_unpriced_attempts_total", "counter", ("pool", "model"), "Attempts whose price is not known."
    ),
    Metric(
        "headway_refusals_total",
        "counter",
        ("pool", "class", "by", "limit"),
        "Calls refused: by whom, by which limit.",
    ),
    Metric("headway_wait_seconds", "histogram", ("pool", "class"), "How long attempts stood in line."),
    Metric(
        "headway_first_token_seconds",
        "histogram",
        ("pool", "model"),
        "From sending to the first of a streamed reply.",
    ),
    Metric(
        "headway_duration_seconds", "histogram", ("pool", "model"), "From sending to the end of an attempt."
    ),
    Metric("headway_limit", "gauge", ("pool", "limit"), "A limit, per minute."),
    Metric("headway_limit_level", "gauge", ("pool", "limit"), "What may be sent now; below 0: debt."),
    Metric(
        "headway_limit_capacity", "gauge", ("pool", "limit"), "What a full bucket holds, once that is known."
    ),
    Metric(
        "headway_limit_in_flight", "gauge", ("pool", "limit"), "What the calls that run are expected to take."
    ),
    Metric(
        "headway_bound_seconds_total",
        "counter",
        ("pool", "limit"),
        "For how long the head of the line waited for it.",
    ),
    Metric("headway_line_calls", "gauge", ("pool", "class"), "Calls in line."),
    Metric("headway_in_flight_calls", "gauge", ("pool",), "Calls under way."),
    Metric("headway_pool_closed_seconds", "gauge", ("pool",), "Closed for overload, for so much longer."),
    Metric(
        "headway_budget_used",
        "gauge",
        ("budget", "unit"),
        "What is spent of a budget; dollars, tokens or requests.",
    ),
    Metric("headway_budget_held", "gauge", ("budget", "unit"), "What calls under way hold of it."),
    Metric("headway_budget_cap", "gauge", ("budget", "unit"), "The most it allows."),
    Metric(
        "headway_requests_total",
        "counter",
        ("answer",),
        "Requests: served, or refused by the gateway.",
    ),
    Metric("headway_ledger_problem", "gauge", (), "1: the ledger cannot be written, or something was lost."),
    Metric("headway_ledger_dropped_total", "counter", (), "Entries that will never be in the ledger."),
    Metric("headway_start_time_seconds", "gauge", (), "When the gateway started, in seconds since 1970 UTC."),
    Metric("headway_build_info", "gauge", ("version",), "1, with the version that runs."),
)
