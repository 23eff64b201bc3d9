"""`headway models` as it looks, and as scripts read it."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from catalog.writing import write
from headway.catalog.limits import KnownLimits
from headway.catalog.matrix import Row
from headway.cli.modelcolumns import Shown, as_csv, as_markdown, price, share, size, table
from headway.cli.modelpage import cost_of
from headway.cli.models import _ending, models
from headway.core.call import Unit
from headway.core.limit import Limit
from headway.emulator.server import Emulator
from headway.errors import InputError, LedgerError

ADMIN = "sk-ant-admin01-very-secret"
app = typer.Typer()
app.command()(models)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of their own, without keys, offline."""
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_ADMIN_KEY", "HEADWAY_TIER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HEADWAY_LEDGER", str(tmp_path / "ledger.sqlite3"))
    monkeypatch.setenv("HEADWAY_CONFIG", "none")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with Emulator("claude-opus-4/tier-2") as running:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", running.url)
        yield running


def run(*arguments: str, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result


def as_json(*arguments: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(run(*arguments, "--json").stdout)
    return loaded


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", [40, 80, 100, 140, 200])
def test_the_table_fits_and_claude_opus_4_is_in_it(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    page = run().stdout
    assert max(cell_len(line) for line in page.splitlines()) <= width
    row = next(line for line in page.splitlines() if line.startswith("claude-opus-4-0"))
    for text in ("200k" if width >= 80 else "", "$15.00", "$75.00"):
        assert text in row
    assert "claude-3-opus" not in page
    assert (
        "claude-sonnet-4-5 retires 2026-11-30." in page
        or "deprecated 2026-11-30" in page
        or "retired" in page
    )


def test_a_wide_terminal_shows_more(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = run().stdout
    monkeypatch.setenv("COLUMNS", "140")
    wide = run().stdout
    assert "batch in" not in narrow
    assert "batch in" in wide
    assert "50/30k/8k" in wide


def test_the_limits_of_a_tier_are_shown_at_80_columns() -> None:
    page = run("--tier", "1").stdout
    row = next(line for line in page.splitlines() if line.startswith("claude-opus-4-0"))
    assert row.split()[-3:] == ["50", "30k", "8k"]
    assert "tier-1" in page
    assert "100,000 batch requests waiting" in flat(page)


def test_all_has_what_is_retired_and_everybody() -> None:
    found = as_json("--all")["models"]
    assert len(found) > 2_000
    assert {"anthropic", "openai", "google", "groq", "mistral", "deepseek"} <= {
        row["provider"] for row in found
    }
    assert "claude-3-opus" in {row["model"] for row in found}
    alone = as_json("--all", "--provider", "anthropic")["models"]
    assert {row["provider"] for row in alone} == {"anthropic"}
    assert "claude-3-opus" in {row["model"] for row in alone}


def test_machines_get_exact_integers_and_null_for_what_is_not_known() -> None:
    rows = {row["model"]: row for row in as_json()["models"]}
    opus, mythos = rows["claude-opus-4-0"], rows["claude-mythos-5-1"]
    assert opus["prices"][0] == {
        "beyond": -1,
        "input": 15_000_000_000,
        "cache_write_5m": 18_750_000_000,
        "cache_write_1h": 30_000_000_000,
        "cache_read": 1_500_000_000,
        "output": 75_000_000_000,
        "batch_input": 7_500_000_000,
        "batch_output": 37_500_000_000,
    }
    assert opus["tiers"]["tier-2"]["input_tokens"] == 450_000
    assert mythos["prices"] == []
    assert mythos["limits"] is mythos["measured"] is None


def test_machines_get_what_a_full_request_takes_and_what_tiers_say_besides() -> None:
    full = as_json("claude-opus-4")["full"]
    assert (full["prompt_tokens"], full["prompt_nanousd"]) == (200_000, 3 * 10**9)
    assert (full["reply_tokens"], full["reply_nanousd"]) == (32_000, 2_400_000_000)
    assert full["prompt_minutes"]["tier-2"] == pytest.approx(200 / 450)
    tiers = as_json()["tiers"]
    assert (tiers["tier-1"]["spend_cap_usd"], tiers["tier-1"]["batch_queue"]) == (100, 100_000)


def test_a_spreadsheet_has_every_model_and_numbers() -> None:
    rows = list(csv.DictReader(io.StringIO(run("--csv").stdout)))
    opus = next(row for row in rows if row["model"] == "claude-opus-4-0")
    assert opus["input_nanousd_per_mtok"] == "15000000000"
    assert opus["tier-4_output_tokens_per_min"] == "400000"
    assert opus["calls"] == ""


def test_markdown_is_a_table() -> None:
    lines = run("--markdown").stdout.splitlines()
    assert len({line.count(" | ") for line in lines if "---" not in line}) == 1
    assert any(
        line.startswith("| claude-opus-4-0 | retired 2026-06-15 | 200k | 32k | $15.00 |") for line in lines
    )


def test_one_model_alone_in_either_form() -> None:
    (row,) = csv.DictReader(io.StringIO(run("claude-3-opus", "--csv").stdout))
    assert row["model"] == "claude-3-opus"
    assert len(run("gpt-5", "--markdown").stdout.splitlines()) == 3


def test_only_one_form_at_a_time() -> None:
    with pytest.raises(InputError, match="only one of"):
        run("--json", "--csv")


@pytest.mark.parametrize("width", [60, 80, 140])
def test_one_model_is_explained_with_its_sources(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    page = run("claude-opus-4").stdout
    assert max(cell_len(line) for line in page.splitlines()) <= width
    said = flat(page)
    for text in (
        "also claude-opus-4-20250514",
        "retired 2026-06-15",
        "200,000 tokens",
        "32,000 tokens",
        "A prompt that fills the window (200,000 tokens): $3.00, $3.75 written to the cache",
        "The longest reply (32,000 tokens): $2.40.",
        "tier-1 50 30k 8k 6m 40s 4m",
        "tier-2 1k 450k 90k 44% 36% $500",
        "tier-2 1k 200k 2k",
        "reads from the cache are free of it",
        "No calls of this model in the last 30 days are in the ledger.",
    ):
        assert text in said or width < 80, text
    assert "https://platform.claude.com/docs/en/api/rate-limits" in page
    assert "2026-10-04" in page


def test_a_model_of_another_provider_is_explained_without_guesses() -> None:
    page = flat(run("gpt-5").stdout)
    assert "provider openai" in page
    assert "output $10.00 $5.00" in page
    assert "Tokens read from the prompt cache count in full." in page
    assert "tier-1" not in page
    assert "most output" not in page


def test_a_model_that_counts_cache_reads_says_so() -> None:
    assert "reads from the cache count, too" in flat(run("claude-3-5-haiku").stdout)


def test_both_prices_of_a_model_that_is_dearer_for_long_prompts() -> None:
    page = run("claude-haiku-5-5").stdout
    assert "class to 100k over 100k batch to 100k batch over 100k" in flat(page)
    assert "A prompt that fills the window (1,000,000 tokens): $0.500" in flat(page)


def test_a_model_that_nobody_knows_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown model") as caught:
        run("claude-sonet-4-5")
    assert "claude-sonnet-4-5" in caught.value.hint


def test_a_provider_that_nobody_knows_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown provider") as caught:
        run("--provider", "opnai")
    assert "Did you mean openai?" in caught.value.hint


def test_what_calls_measured_stands_beside_the_published_figures(tmp_path: Path) -> None:
    write(tmp_path, [400.0] * 30, at_ns=time.time_ns() - 3600 * 10**9)
    row = next(line for line in run().stdout.splitlines() if line.startswith("claude-opus-4-0"))
    assert "400ms" in row
    page = flat(run("claude-opus-4").stdout)
    assert "all 30 400ms 400ms 47.6 0% 0% 0% $22.50" in page
    (alone,) = csv.DictReader(io.StringIO(run("claude-opus-4", "--csv").stdout))
    assert (alone["calls"], alone["first_token_p50_ms"]) == ("30", "400.0")
    (day,) = as_json("claude-opus-4")["days"]
    assert day["nanousd_per_1000_calls"] == 22_500_000_000


def test_enough_days_are_drawn_too_few_are_not(tmp_path: Path) -> None:
    for day in range(1, 7):
        write(tmp_path, [400.0 + day] * 20, at_ns=time.time_ns() - day * 24 * 3600 * 10**9)
        assert ("First token, median of each day" in run("claude-opus-4").stdout) == (day >= 5)


def test_the_organisations_limits_are_learnt_with_an_admin_key_and_known_without_it(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_ADMIN_KEY", ADMIN)
    monkeypatch.setenv("HEADWAY_TIER", "tier-1")
    first = run()
    monkeypatch.delenv("ANTHROPIC_ADMIN_KEY")
    emulator.stop()
    later = run()
    for page in (first.stdout, later.stdout):
        row = next(line for line in page.splitlines() if line.startswith("claude-opus-4-0"))
        assert row.split()[-3:] == ["1k", "450k", "90k"]
        assert "your organisation's, as told on" in flat(page)
    assert "yours 1k 450k 90k" in flat(run("claude-opus-4").stdout)
    asked = next(
        line for line in run("--tier", "tier-3").stdout.splitlines() if line.startswith("claude-opus-4-0")
    )
    assert asked.split()[-3:] == ["2k", "800k", "160k"]
    assert ADMIN not in first.output + later.output


def test_an_admin_key_is_not_asked_with_again_within_the_hour(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_ADMIN_KEY", ADMIN)
    run()
    emulator.stop()
    assert "could not be had" not in run().output
    assert "could not be had" in flat(run("--refresh").output)


def test_a_key_of_a_workspace_is_a_note_and_the_published_figures_are_shown(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_ADMIN_KEY", "sk-ant-api03-workspace")
    page = run("--tier", "tier-1")
    assert "needs an Admin key" in flat(page.stdout)
    assert "claude-opus-4-0" in page.stdout
    assert "workspace does not work" in flat(page.stdout)
    assert "sk-ant" not in page.output


def test_notes_do_not_get_into_what_machines_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_ADMIN_KEY", ADMIN)
    result = run("--json")
    assert json.loads(result.stdout)["models"]
    assert "could not be had" in result.stderr
    assert ADMIN not in result.output


def test_the_api_is_asked_for_its_models_only_when_told_to(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "need a key" in flat(run("--refresh").stdout)
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(name, "any")
        opus = next(row for row in as_json("--refresh")["models"] if row["model"] == "claude-opus-4-0")
        assert opus["status"] == "active"
        assert ["status", "retired", "active"] in opus["differs"]
        page = flat(run("claude-opus-4", "--refresh").stdout)
        assert "status active, published is retired" in page
        monkeypatch.delenv(name)
    kept = next(row for row in as_json()["models"] if row["model"] == "claude-opus-4-0")
    assert kept["status"] == "retired"


@pytest.mark.parametrize(("days", "code"), [("0", 1), ("10000", 0)])
def test_stale_facts_are_listed_and_the_exit_code_says_so(days: str, code: int) -> None:
    page = run("--stale", days, exit_code=code).stdout
    assert ("https://" in page) == bool(code)
    assert "tier-1" not in page
    found = json.loads(run("--stale", days, "--json", exit_code=code).stdout)
    assert bool(found["stale"]) == bool(code)


def test_stale_takes_days() -> None:
    with pytest.raises(InputError, match="takes days"):
        run("--stale", "soon")


def test_a_ledger_that_cannot_be_read_is_a_note_unless_it_was_named(tmp_path: Path) -> None:
    broken = tmp_path / "ledger.sqlite3"
    broken.write_text("no ledger" * 1000)
    for arguments in ((), ("claude-opus-4",)):
        page = run(*arguments).stdout
        assert "claude-opus-4-0" in page
        assert "Nothing measured is shown" in flat(page)
        with pytest.raises(LedgerError):
            run(*arguments, "--ledger", str(broken))


def test_without_a_ledger_it_works_all_the_same() -> None:
    assert "claude-opus-4-0" in run("--ledger", "none").stdout


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (size(None), "-"),
        (size(50), "50"),
        (size(450_000), "450k"),
        (size(1_000_000), "1M"),
        (size(47.6), "47.6"),
        (price(None), "-"),
        (price(0), "$0.00"),
        (price(15 * 10**9), "$15.00"),
        (price(125_000_000), "$0.125"),
        (price(2_500_000), "$0.0025"),
        (share(None), "-"),
        (share(0.0), "0%"),
        (share(0.002), "0.2%"),
        (share(0.45), "45%"),
    ],
)
def test_figures_as_they_are_written(said: str, wanted: str) -> None:
    assert said == wanted


def test_costs_are_whole_nanodollars() -> None:
    assert cost_of(200_000, 15 * 10**9) == 3 * 10**9
    assert cost_of(1, 125_000_000) == 125
    assert cost_of(5, None) is None


def test_names_from_outside_neither_drive_the_terminal_nor_break_a_table() -> None:
    wild = Row("ev|il", "\x1b[31m|x\n" + "y" * 99, None, None, (), "p", "", "", {})
    limits = KnownLimits("p", (Limit(Unit.REQUESTS, 5.0),), "settings")
    for shown in ([Shown(wild)], [Shown(wild, limits)]):
        assert "\x1b" not in as_markdown(shown)
        assert len(as_markdown(shown).splitlines()) == 3
        assert len(list(csv.reader(io.StringIO(as_csv(shown))))) == 2
        assert table(shown, 80).row_count == 1


def test_a_day_that_is_past_is_not_told_as_one_to_come() -> None:
    row = Row("anthropic", "m", None, None, (), "", "active", "2026-06-15", {})
    assert _ending(row, "2026-11-24") == "m was to retire 2026-06-15; the API still lists it."
    assert _ending(row, "2026-06-01") == "m retires 2026-06-15."
    assert _ending(replace(row, status="retired"), "2026-11-24") == "m retired 2026-06-15."


def test_without_limits_it_says_how_to_see_those_of_a_tier() -> None:
    assert "--tier start, build or scale" in flat(run().stdout)
    assert "--tier start, build or scale" not in flat(run("--tier", "scale").stdout)
