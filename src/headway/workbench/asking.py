"""Rules about the parameters of a request, HW401 to HW408: what the API refuses, or does not do as it looks.

Sources: the catalog (`providers/data`) for sizes and retirement; https://platform.claude.com/docs/en/about-claude/models/migration-guide
for prefills (no model from 4.6 on takes them); docs of the API version 2026-10-21 for sampling. Read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from headway.providers.catalog import ModelFacts, oversize
from headway.workbench.finding import Finding, Place, Severity
from headway.workbench.measuring import Measure
from headway.workbench.prompts import Prompt

_NO_PREFILL_FROM = (4, 6)
_SAMPLING = ("temperature", "top_p", "top_k")
_ROLES = ("user", "assistant", "system")
_NAMED_ELSEWHERE = "arn:"  # inference profiles of Bedrock, whose names say nothing of the model
_LONGEST_SHOWN = 40


def ceiling(prompt: Prompt, measure: Measure) -> Iterator[Finding]:
    """HW401: no max_tokens, or no number. HW402: more than the model can put out. HW403: the prompt is too long for it."""
    request = prompt.request
    if not prompt.is_messages:
        return
    most, facts = request.get("max_tokens"), measure.facts(prompt.model)
    if most is None:
        reason = "No max_tokens: the API refuses the request."
        yield Finding(
            "HW401",
            Severity.ERROR,
            prompt.own,
            reason,
            '"max_tokens": as much as the longest good answer takes.',
        )
        return
    if not isinstance(most, int) or isinstance(most, bool) or most < 0:
        reason = f"max_tokens is {_shown(most)}, not a whole number of tokens: the API refuses it."
        yield Finding("HW401", Severity.ERROR, prompt.own, reason, '"max_tokens": 1024, without quotes')
        return
    if facts is None:
        return
    found = oversize(facts, measure.estimate(request))
    if found is None:
        return
    if found.what == "max_tokens":
        better = f'"max_tokens": {found.most}'
        yield Finding("HW402", Severity.ERROR, prompt.own, f"{found.text}: the API refuses it.", better)
    else:
        yield Finding("HW403", Severity.ERROR, prompt.own, found.text, f"{found.excess:,} tokens have to go.")


def model(prompt: Prompt, measure: Measure) -> Iterator[Finding]:
    """HW404: a model that the catalog does not know, or that is gone or going."""
    name, given = prompt.model, prompt.request.get("model")
    if not prompt.is_messages:
        return
    if given is not None and (not isinstance(given, str) or not given.strip()):
        reason = f"The model is {_shown(given)}, not the name of one: the API refuses it."
        yield Finding("HW404", Severity.ERROR, prompt.own, reason, '"model": "claude-…": see headway models.')
        return
    if not name or name.startswith(_NAMED_ELSEWHERE):
        return
    facts = measure.facts(name)
    if facts is None:
        near = measure.catalog.nearest_model(name)
        better = f'"model": "{near}"' if near else "See headway models."
        yield Finding("HW404", Severity.WARNING, prompt.own, f"The catalog knows no model {name!r}.", better)
    elif facts.status == "retired":
        reason = f"{facts.id} is retired: the Claude API no longer serves it."
        yield Finding(
            "HW404", Severity.WARNING, prompt.own, reason, "Choose an active model: headway models."
        )
    elif facts.status == "deprecated":
        when = f" and ends on {facts.retires}" if facts.retires else ""
        yield Finding(
            "HW404",
            Severity.INFO,
            prompt.own,
            f"{facts.id} is deprecated{when}.",
            "Move to an active model in time.",
        )


def prefill(prompt: Prompt, measure: Measure) -> Iterator[Finding]:
    """HW405: the answer's beginning is given, where the model does not take that, or with a blank at its end."""
    messages = prompt.request.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict) or last.get("role") != "assistant" or not prompt.is_messages:
        return
    place = Place(prompt.own.file, prompt.own.line, f"messages[{len(messages or []) - 1}]")
    facts = measure.facts(prompt.model)
    better = "End with a user message; for a form, use output_config.format or say it in the prompt."
    if facts is not None and _generation(facts) >= _NO_PREFILL_FROM:
        reason = f"The last message is the assistant's: {facts.id} takes no prefill, and the API refuses it."
        yield Finding("HW405", Severity.ERROR, place, reason, better)
    elif (text := _last_text(last.get("content"))) and text != text.rstrip():
        reason = "The prefill ends with a blank: the API refuses it."
        yield Finding("HW405", Severity.ERROR, place, reason, "Strip its end.")


def sampling(prompt: Prompt, _measure: Measure) -> Iterator[Finding]:
    """HW406: temperature, top_p or top_k, which the API version 2026-10-21 refuses."""
    given = [name for name in _SAMPLING if name in prompt.request]
    if given and prompt.is_messages:
        reason = (
            f"{', '.join(given)}: not taken by API version 2026-10-21, which SDKs send from version 2 on."
        )
        yield Finding("HW406", Severity.INFO, prompt.own, reason, "Leave it out.")


def shape(prompt: Prompt, _measure: Measure) -> Iterator[Finding]:
    """HW407: messages that the API refuses. HW408: thinking that has no room."""
    request = prompt.request
    messages = request.get("messages")
    if not prompt.is_messages:
        return
    if not isinstance(messages, list):
        reason = f"`messages` is {_shown(messages)}, not a list: the API refuses it."
        better = '"messages": [{"role": "user", "content": "…"}]'
        yield Finding("HW407", Severity.ERROR, prompt.own, reason, better)
        return
    if not messages:
        yield Finding("HW407", Severity.ERROR, prompt.own, "`messages` is empty: the API refuses it.")
    for number, message in enumerate(messages):
        place = Place(prompt.own.file, prompt.own.line, f"messages[{number}]")
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            better = f"One of {', '.join(_ROLES[:2])}; instructions go into `system`."
            yield Finding("HW407", Severity.ERROR, place, f"The role is {_shown(role)}.", better)
        elif not isinstance(message.get("content"), str | list | None):
            reason = f"The content is {_shown(message.get('content'))}, neither text nor a list of blocks."
            yield Finding("HW407", Severity.ERROR, place, reason, '"content": "…"')
        elif _is_empty(message.get("content")) and not (role == "assistant" and number == len(messages) - 1):
            yield Finding(
                "HW407",
                Severity.ERROR,
                place,
                "The content is empty: the API refuses it.",
                "Leave the message out.",
            )
    thinking, most = request.get("thinking"), request.get("max_tokens")
    budget = (
        thinking.get("budget_tokens")
        if isinstance(thinking, dict) and thinking.get("type") == "enabled"
        else None
    )
    if isinstance(budget, int) and isinstance(most, int) and budget >= most:
        reason = f"budget_tokens {budget:,} leaves nothing of max_tokens {most:,} for an answer: the API refuses it."
        yield Finding("HW408", Severity.ERROR, prompt.own, reason, f'"max_tokens": {budget + 1_024} or more')


def _shown(value: object) -> str:
    """A value as it stands in JSON, cut short."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _generation(facts: ModelFacts) -> tuple[int, ...]:
    return tuple(int(part) for part in facts.generation.split(".") if part.isdigit())


def _last_text(content: object) -> str:
    if isinstance(content, str):
        return content
    last = content[-1] if isinstance(content, list) and content else None
    text = last.get("text") if isinstance(last, dict) else None
    return text if isinstance(text, str) else ""


def _is_empty(content: object) -> bool:
    return content is None or content == [] or (isinstance(content, str) and not content.strip())
