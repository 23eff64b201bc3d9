"""An attempt as reports see it, in SQL: what it is added up by, and what is added up."""

from __future__ import annotations

HOUR_NS = 3600 * 10**9
DIMENSIONS = (
    *("session", "tenant", "job", "model_served", "model_asked"),
    *("pool", "class", "outcome", "status"),
)
SUMS = (
    *("attempts", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
    *("output_tokens", "thinking_tokens", "web_searches", "cost_nanousd", "unpriced"),
    *("estimated", "estimated_nanousd", "judged", "off_ppm", "taken"),
)


def _step_sql(us: str) -> str:
    """Steps of 5 to 10 % of the value, so that none is off by more than 5 %; below a millisecond: 0."""
    branches, ten = [f"WHEN {us} < 1000 THEN 0"], 1000
    while ten < 10**13:
        for most, step in ((2 * ten, ten // 10), (5 * ten, ten // 5), (10 * ten, ten // 2)):
            branches.append(f"WHEN {us} < {most} THEN ({us} + {step // 2}) / {step} * {step}")
        ten *= 10
    return f"CASE {' '.join(branches)} ELSE {ten} END"


INPUT = "(input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens)"
JUDGED = f"(outcome = 'ok' AND estimated = 0 AND estimated_input_tokens > 0 AND {INPUT} > 0)"
_OFF = f"CAST(min(abs(estimated_input_tokens - {INPUT}) * 1e6 / {INPUT}, 1e9) AS INTEGER)"
_US = "CAST(coalesce(queued_ms, 0) * 1000 AS INTEGER)"
ATTEMPT = f"""
    id, number, at_ns / {HOUR_NS} AS hour, CASE call_id WHEN '' THEN attempt_id ELSE call_id END AS call,
    session, tenant, job, model_served, model_asked, pool, class, outcome, coalesce(status, 0) AS status,
    1 AS attempts, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens,
    thinking_tokens, web_searches, coalesce(cost_nanousd, 0) AS cost_nanousd, cost_nanousd IS NULL AS unpriced, estimated,
    CASE WHEN estimated THEN coalesce(cost_nanousd, 0) ELSE 0 END AS estimated_nanousd,
    {JUDGED} AS judged, CASE WHEN {JUDGED} THEN {_OFF} ELSE 0 END AS off_ppm,
    (estimated = 1 OR coalesce(status < 400, 0)) AS taken,
    waited_for AS cause, {_step_sql(_US)} AS step_us, {_US} AS waited_us, coalesce(queued_ms, 0.0) AS longest_ms"""
