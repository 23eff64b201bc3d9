"""Makes a job from a CSV file: one line a row, the prompt from a template whose {fields} are columns.

python examples/csv_to_job.py reviews.csv "Is this review friendly? {text}" --id id > job.jsonl
headway run job.jsonl --emulate
"""

from __future__ import annotations

import argparse
import csv
import json
import sys


def main() -> int:
    """Write the job to standard output."""
    parser = argparse.ArgumentParser(description="A CSV file to a job for headway run.")
    parser.add_argument("table", help="a CSV file with a header")
    parser.add_argument("template", help="the prompt, with {column} where a value goes")
    parser.add_argument("--id", help="the column that names a row; without it rows are numbered")
    parser.add_argument("--model", default="claude-opus-4-8")
    parser.add_argument("--most", type=int, default=200, help="output tokens of an answer, at most")
    given = parser.parse_args()
    with open(given.table, newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.DictReader(file), 1):
            prompt = given.template.format_map(row)
            params = {
                "model": given.model,
                "max_tokens": given.most,
                "messages": [{"role": "user", "content": prompt}],
            }
            name = row[given.id] if given.id else f"row-{number}"
            sys.stdout.write(json.dumps({"custom_id": name, "params": params}, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
