"""One comparison, from calls to a verdict: ask, check, judge, sum up.

`Comparison` holds what the steps share. The command line shows it; anything else can run one, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headway.assemble import Parts
from headway.errors import InputError
from headway.jobs.ending import Stop
from headway.jobs.view import View
from headway.workbench.bench import Bench
from headway.workbench.check import Check, read_check
from headway.workbench.judge import Case, Judge, cases, read_judge
from headway.workbench.judge import verdict as judged_as
from headway.workbench.record import Reply
from headway.workbench.rows import Row, is_ours, rows, write_rows
from headway.workbench.summary import Summary, summary
from headway.workbench.trials import Trial, trials
from headway.workbench.variants import Input, Sheet, check_fields
from headway.workbench.verdict import CONFIDENCE, MARGIN, Verdict, judge_variants, with_caveats


@dataclass(frozen=True, slots=True)
class Options:
    """What to compare, and how. `inputs_name` is for messages. `emulated` is the profile of an emulator ("": the API)."""

    sheet: Sheet
    inputs: Sequence[Input]
    inputs_name: str
    output: Path
    repeats: int = 1
    baseline: str | None = None
    judge_model: str | None = None
    margin: float = MARGIN
    confidence: float = CONFIDENCE
    retry_errored: bool = False
    emulated: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All that a comparison comes to. Money in nanodollars. `missing` calls have no reply yet. `judge_first` is how often,
    of pairs that were not tied, the judge took the answer that it read first: near a half if it is fair."""

    calls: int
    missing: int
    summaries: tuple[Summary, ...]
    verdict: Verdict
    check: str
    judge_model: str
    judge_calls: int
    judge_cost_nanousd: int
    judge_first: float | None
    emulated: str


class Comparison:
    """Raises InputError at once for anything that cannot work. Call `run`, then `report`; `close` in any case."""

    def __init__(self, options: Options, parts: Parts) -> None:
        sheet = options.sheet
        check_fields(sheet, options.inputs, options.inputs_name)
        names = [variant.name for variant in sheet.variants]
        self.options = options
        self.baseline = options.baseline or names[0]
        if self.baseline not in names:
            raise InputError(f"no variant is called {self.baseline!r}", hint=f"There are {', '.join(names)}.")
        self.check = _known_fields(read_check(sheet.check, sheet.folder), options)
        self.judge = read_judge(sheet.judge, options.judge_model)
        if self.judge is not None and self.judge.pairwise and (self.check is not None or len(names) < 2):
            raise InputError("a pairwise judge needs two variants, and no [check] beside it")
        if not is_ours(options.output):
            raise InputError(f"{options.output} holds something else", hint="Choose another -o.")
        self.trials = trials(sheet.variants, options.inputs, options.repeats, options.emulated)
        self.bench = Bench(
            parts, replies_path(options.output), f"compare-{sheet.name}", retry_errored=options.retry_errored
        )

    @property
    def left(self) -> int:
        """Calls that have no reply yet, without those of the judge."""
        return len(self.bench.left(_asked(self.trials)))

    @property
    def expected_nanousd(self) -> int | None:
        """What those calls will cost, by estimate; None: a price is not known."""
        return self.bench.expected_nanousd(_asked(self.trials))

    def run(self, show: Callable[[View], None], every_s: float) -> Stop | None:
        """Ask what was not asked yet, then the judge. Returns why it stopped before its end, or None."""
        stop = self.bench.run(_asked(self.trials), show, every_s)
        if stop is None and self.judge is not None:
            found = self._cases(self.judge, self.bench.replies()[0])
            stop = self.bench.run([(case.id, case.request) for case in found], show, every_s)
        return stop

    def _cases(self, judge: Judge, replies: Mapping[str, Reply]) -> list[Case]:
        """What there is to judge: what failed its check needs no judge."""
        worth = {
            row.id: row.output for row in rows(self.trials, replies, self.check) if _is_worth_judging(row)
        }
        return list(cases(judge, self.trials, worth, self.baseline, self.options.emulated))

    def report(self) -> Report:
        """Figures and verdict out of what is on file, which is written as rows. Raises OutputError, InputError."""
        options, replies = self.options, self.bench.replies()[0]
        found = list(rows(self.trials, replies, self.check))
        judged: list[tuple[Case, Reply]] = []
        if self.judge is not None:
            known = [(case, replies.get(case.id)) for case in self._cases(self.judge, replies)]
            judged = [(case, reply) for case, reply in known if reply is not None]
            found = _with_verdicts(found, judged, self.judge, self.baseline)
        if found or options.output.exists():
            write_rows(options.output, found)
        by_variant = {
            variant.name: [row for row in found if row.variant == variant.name]
            for variant in options.sheet.variants
        }
        scored = self.check is not None or self.judge is not None
        summaries = tuple(
            summary(name, some, options.confidence, scored=scored) for name, some in by_variant.items()
        )
        verdict = judge_variants(
            by_variant,
            self.baseline,
            margin=options.margin,
            confidence=options.confidence,
            scored=scored,
            pairwise=self.judge is not None and self.judge.pairwise,
        )
        return Report(
            calls=len(self.trials),
            missing=len(self.trials) - len(found),
            summaries=summaries,
            verdict=with_caveats(verdict, summaries, emulated=bool(options.emulated)),
            check=self.check.what if self.check else "",
            judge_model=self.judge.model if self.judge else "",
            judge_calls=len(judged),
            judge_cost_nanousd=sum(reply.course.cost_nanousd for _, reply in judged),
            judge_first=_first_share(judged) if self.judge is not None and self.judge.pairwise else None,
            emulated=options.emulated,
        )

    def close(self) -> None:
        """Let go of the file of replies."""
        self.bench.close()


def replies_path(output: Path) -> Path:
    """Where the replies are kept that belong to a file of results."""
    return output.with_name(f"{output.name.removesuffix('.jsonl')}.replies.jsonl")


def _asked(found: Sequence[Trial]) -> list[tuple[str, Mapping[str, object]]]:
    return [(trial.id, trial.request) for trial in found]


def _known_fields(check: Check | None, options: Options) -> Check | None:
    for each in options.inputs if check is not None else ():
        if check is not None and (
            missing := next((name for name in check.wants if name not in each.fields), None)
        ):
            raise InputError(
                f"{options.inputs_name}, line {each.number:,}: no field {missing!r}, which [check] wants"
            )
    return check


def _is_worth_judging(row: Row) -> bool:
    return row.succeeded and row.passed is not False


def _with_verdicts(
    found: Sequence[Row], judged: Sequence[tuple[Case, Reply]], judge: Judge, baseline: str
) -> list[Row]:
    """Rows with what the judge said. What failed, or failed its check, is worth nothing; without a verdict: unknown."""
    said = {case.trial.id: (judged_as(case, reply.text), reply) for case, reply in judged}
    with_verdicts = []
    for row in found:
        value, reply = said.get(row.id, (None, None))
        score = value if _is_worth_judging(row) else 0.0
        if row.failed_there or (judge.pairwise and row.variant == baseline):
            score = None
        words, cost = ("", 0) if reply is None else (reply.text, reply.course.cost_nanousd)
        with_verdicts.append(replace(row, judged=value, score=score, judge=words, judge_cost_nanousd=cost))
    return with_verdicts


def _first_share(judged: Sequence[tuple[Case, Reply]]) -> float | None:
    """How often the answer that came first was taken, of the pairs that one of both won."""
    told = [(case.first_is_ours, judged_as(case, reply.text)) for case, reply in judged]
    firsts = [(value == 1.0) == first for first, value in told if value in (0.0, 1.0)]
    return sum(firsts) / len(firsts) if firsts else None
