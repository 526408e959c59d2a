"""At least 2,000 bad inputs over profiles, files and SQL: no traceback, nothing of the record lost.

    python benchmarks/fuzz_campaign.py --cases 2400 --seed 8 HOME PROFILE

HOME is a finished home (a copy is made), PROFILE the profile it was made with.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fuzz_cases

RESULTS = Path(__file__).parent / "results" / "fuzz_campaign.md"


def main() -> None:
    """Run the cases and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("profile", type=Path)
    parser.add_argument("--cases", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ground = ground_of(options.home, options.profile, Path(folder))
        start = time.monotonic()
        complaints, codes = fuzz_cases.run(ground, options.cases, options.seed)
        seconds = time.monotonic() - start
    lines = [
        "# Fuzz campaign", "",
        f"`python benchmarks/fuzz_campaign.py --cases {options.cases} --seed {options.seed} HOME PROFILE` on "
        f"{platform.machine()}, Python {platform.python_version()}, {seconds:.0f} s.", "",
        f"* {options.cases} cases, a third each over profiles, files and SQL; exit codes "
        f"{', '.join(f'{code}: {count}' for code, count in sorted(codes.items()))}.",
        f"* Tracebacks, wrong exit codes, changes of the record: {len(complaints)}.",
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
