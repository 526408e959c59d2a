"""Thousands of bad inputs over profiles, files and SQL: no traceback, nothing lost, nothing written.

    python benchmarks/fuzz_campaign.py --cases 1200 --statements 5000 --seed 22 HOME PROFILE

HOME is a finished home (a copy is made), PROFILE the profile it was made with.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fuzz_cases
import fuzz_sql

RESULTS = Path(__file__).parent / "results" / "fuzz_campaign.md"


def main() -> None:
    """Run the cases and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("profile", type=Path)
    parser.add_argument("--cases", type=int, default=1200, help="over profiles, files and SQL, a third each")
    parser.add_argument("--statements", type=int, default=5000, help="over DuckDB's grammar, see fuzz_sql.py")
    parser.add_argument("--seed", type=int, default=22)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ground = ground_of(options.home, options.profile, Path(folder))
        start = time.monotonic()
        complaints, codes = fuzz_cases.run(ground, options.cases, options.seed, options.statements)
        seconds = time.monotonic() - start
    lines = [
        "# Fuzz campaign", "",
        f"`python benchmarks/fuzz_campaign.py --cases {options.cases} --statements {options.statements} --seed "
        f"{options.seed} HOME PROFILE` on {platform.machine()}, Python {platform.python_version()}, DuckDB "
        f"{version('duckdb')}, {seconds:.0f} s at the lowest priority beside other work.", "",
        f"* {options.cases:,} cases, a third each over profiles, files and SQL at random.",
        f"* {options.statements:,} statements over DuckDB's grammar: {len(fuzz_sql.WRITERS)} kinds in "
        f"{len(set(fuzz_sql.PLACES))} places, {len(fuzz_sql.functions())} functions, "
        f"{len(fuzz_sql.settings())} settings on a part, a manifest, the catalog and its neighbours, a registration, "
        "a file outside and files that do not "
        "exist; a quarter through the library, without the system's confinement. After each, every file of the home's "
        "tables, registrations and top folder and of a folder beside it is compared.",
        f"* Exit codes {', '.join(f'{code}: {count:,}' for code, count in sorted(codes.items()))}.",
        "* Tracebacks, wrong exit codes, writing statements that were not refused, texts of a file outside, changes: "
        f"{len(complaints)}.",
        *(f"  * `{complaint[:300]}`" for complaint in complaints[:20]),
    ]  # fmt: skip
    RESULTS.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def ground_of(home: Path, profile: Path, work: Path) -> fuzz_cases.Ground:
    """A copy of a finished home that may be spoilt."""
    from warehouse.catalog.publish import publish_catalog
    from warehouse.home import Home

    copied = work / "home"
    shutil.copytree(home, copied, symlinks=True)
    publish_catalog(Home(copied).prepare())
    return fuzz_cases.Ground(copied, profile, sorted((copied / "checkpoints").iterdir())[-1], work)


if __name__ == "__main__":
    main()
