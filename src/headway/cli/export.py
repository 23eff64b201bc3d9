"""Writes reports and attempts for machines: JSON, CSV, Parquet; to standard output, or to a file, whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from headway.cli.display import visible
from headway.errors import InputError, OutputError
from headway.ledger.ranking import Running
from headway.ledger.report import Report

Columns = Sequence[tuple[str, str]]  # name, and what it holds: "text", "int" or "float"
_FLOATS = ("estimate_error", "queued_p50_ms", "queued_max_ms")


def shown_json(ledger: str, report: Report, sofar: Sequence[Running] | None) -> str:
    """One JSON object: exact integers."""
    shown = {"ledger": ledger, **asdict(report), "where": [f"{name}={value}" for name, value in report.where]}
    two = "," in report.by
    for line in (*shown["lines"], shown["total"]):
        if not two:
            del line["second"]
    for line, each in zip(shown["lines"], sofar or (), strict=False):
        line.update({f"running_{name}": value for name, value in asdict(each).items()})
    return json.dumps(shown)


def lines_of(report: Report, sofar: Sequence[Running] | None) -> tuple[Columns, list[tuple[Any, ...]]]:
    """The lines of a report as a table, its columns named after what it is by."""
    keys = report.by.split(",")
    lines = [asdict(line) for line in report.lines]
    for line, each in zip(lines, sofar or (), strict=False):
        line.update({f"running_{name}": value for name, value in asdict(each).items()})
    numbers = [name for name in (lines or [asdict(report.total)])[0] if name not in ("key", "second")]
    columns = [(key, "text") for key in keys]
    columns += [(name, "float" if name in _FLOATS else "int") for name in numbers]
    names = ["key", "second"][: len(keys)] + numbers
    return columns, [tuple(line[name] for name in names) for line in lines]


def write_text(text: str, output: Path | None) -> None:
    """Text as it is. OutputError if the file cannot be written."""
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    with _replaced(output, "w") as file:
        file.write(text)


def write_table(
    columns: Columns, batches: Iterable[Sequence[tuple[Any, ...]]], format_: str, output: Path | None
) -> None:
    """Rows as they come, in CSV, Parquet, or JSON, one object a line. OutputError if the file cannot be written.

    InputError if Parquet is wanted without a file, or without pyarrow.
    """
    if format_ == "parquet":
        return _write_parquet(columns, batches, output)
    if output is None:
        _write_lines(columns, batches, format_, sys.stdout)
        sys.stdout.flush()
        return None
    with _replaced(output, "w") as file:
        _write_lines(columns, batches, format_, file)
    return None


def _write_lines(
    columns: Columns, batches: Iterable[Sequence[tuple[Any, ...]]], format_: str, file: IO[str]
) -> None:
    names = [name for name, _ in columns]
    if format_ == "json":
        for batch in batches:
            file.write("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in batch))
        return
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    for batch in batches:
        writer.writerows(map(_seen, batch) if file.isatty() else batch)


def _seen(row: Sequence[Any]) -> list[Any]:
    return [visible(value) if isinstance(value, str) else value for value in row]


def _write_parquet(
    columns: Columns, batches: Iterable[Sequence[tuple[Any, ...]]], output: Path | None
) -> None:
    try:
        import pyarrow as arrow  # type: ignore[import-untyped]  # it has no stubs
        import pyarrow.parquet as parquet  # type: ignore[import-untyped]  # it has no stubs
    except ImportError:
        raise InputError(
            "Parquet needs pyarrow", hint='pip install "headway[parquet]", or write CSV.'
        ) from None
    if output is None:
        raise InputError("Parquet is no text", hint="Say where it goes: --output report.parquet.")
    kinds = {"text": arrow.string(), "int": arrow.int64(), "float": arrow.float64()}
    schema = arrow.schema([(name, kinds[kind]) for name, kind in columns])
    with _replaced(output, "wb") as file, parquet.ParquetWriter(file, schema) as writer:
        for batch in batches:
            arrays = [
                arrow.array([row[place] for row in batch], kinds[kind])
                for place, (_, kind) in enumerate(columns)
            ]
            writer.write_table(arrow.table(arrays, schema=schema))


@contextmanager
def _replaced(output: Path, mode: str) -> Iterator[IO[Any]]:
    """A file beside it, for its owner alone, which takes its place when all is written; gone if anything fails.

    What is no file (a device, a pipe) is written as it is, and what a link points to is replaced, not the link.
    """
    text = None if "b" in mode else "utf-8"
    newline = None if text is None else ""
    try:
        target = output.resolve()
        if target.exists() and not target.is_file():
            with open(target, mode, encoding=text, newline=newline) as file:
                yield file
            return
        beside = target.with_name(f"{target.name}.{os.getpid()}.new")
        try:
            made = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(made, mode, encoding=text, newline=newline) as file:
                yield file
            os.replace(beside, target)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror or error}") from error
