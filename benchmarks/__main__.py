"""``python -m benchmarks --data DIR``: runs what is missing and writes the tables again."""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path

from benchmarks.cases import ablation_cases, method_cases
from benchmarks.sweep import read_results, run_cases
from benchmarks.tables import write_tables

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "digits.jsonl"
TABLES = HERE / "results" / "digits.md"
README = HERE.parent / "README.md"


def main() -> None:
    """Parses the command line and does it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare all methods on suite digits.")
    parser.add_argument("--data", type=Path, help="folder with the data packs; without it only the tables are written again")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one core each (default 2)")
    parser.add_argument("--part", choices=("methods", "ablations", "all"), default="all", help="which runs (default all)")
    arguments = parser.parse_args()
    if arguments.data:
        cases = {"methods": method_cases(), "ablations": ablation_cases(), "all": chain(method_cases(), ablation_cases())}
        run_cases(cases[arguments.part], arguments.data.resolve(), RESULTS, arguments.jobs)
    write_tables(read_results(RESULTS), TABLES, README)


if __name__ == "__main__":
    main()
