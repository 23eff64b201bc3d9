"""Makes a table of the results of a job: id, answer, why it ended, tokens, or the error.

python examples/results_to_csv.py job.results.jsonl > answers.csv
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping
from typing import Any

COLUMNS = ("custom_id", "answer", "stop_reason", "input_tokens", "output_tokens", "error")


def row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One result as a row."""
    result = entry["result"]
    if result["type"] != "succeeded":
        error = result["error"]["error"]
        return {"custom_id": entry["custom_id"], "error": f"{error['type']}: {error['message']}"}
    message = result["message"]
    usage = message["usage"]
    read = (usage.get("cache_read_input_tokens") or 0) + (usage.get("cache_creation_input_tokens") or 0)
    return {
        "custom_id": entry["custom_id"],
        "answer": "".join(block["text"] for block in message["content"] if block["type"] == "text"),
        "stop_reason": message["stop_reason"],
        "input_tokens": usage["input_tokens"] + read,
        "output_tokens": usage["output_tokens"],
    }


def main() -> int:
    """Write the table to standard output."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: results_to_csv.py RESULTS.jsonl\n")
        return 2
    table = csv.DictWriter(sys.stdout, COLUMNS)
    table.writeheader()
    with open(sys.argv[1], encoding="utf-8") as file:
        table.writerows(row(json.loads(line)) for line in file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
