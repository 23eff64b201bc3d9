"""Checks a line against what is known of its model, before any money is spent."""

from __future__ import annotations

from headway.assemble import Parts
from headway.core.ports import Provider
from headway.errors import JobFileError
from headway.jobs.index import Check, Checked, Index
from headway.jobs.lines import PATH, read_line
from headway.jobs.record import Options
from headway.providers.catalog import oversize


def checker(parts: Parts, options: Options, provider: Provider | None = None) -> Check:
    """Reads a line and checks it against what is known of its model. Raises JobFileError. `provider`: what sizes it, if not
    that of `parts`."""
    sizes = provider or parts.provider

    def check(data: bytes, number: int) -> Checked:
        line = read_line(data, number, options.defaults, is_text=options.is_text)
        identity = sizes.identify(PATH, line.request)
        facts = parts.catalog.model(identity.model)
        if facts is None and not parts.config.any_model:
            near = parts.catalog.nearest_model(identity.model)
            raise JobFileError(
                f"unknown model {identity.model!r}" + (f"; did you mean {near}?" if near else "")
            )
        estimate = sizes.estimate(line.request)
        problem = oversize(facts, estimate) if facts else None
        if problem:
            raise JobFileError(problem.text)
        return Checked(line, identity, estimate)

    return check


def bad_report(index: Index, name: str) -> str:
    """What is wrong with a job file, by line, as far as it is worth reading."""
    more = index.bad_count - len(index.bad)
    lines = [f"  {bad}" for bad in index.bad] + ([f"  … and {more:,} more"] if more else [])
    count = f"{index.bad_count:,} line{'s' if index.bad_count != 1 else ''}"
    return f"{name}: {count} cannot be run; nothing was sent\n" + "\n".join(lines)
