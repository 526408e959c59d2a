"""Does the record survive? Seeded ends of runs and of the UI, full disks, damage, two users, readers beside a writer.

    python benchmarks/crash_campaign.py                      # everything, about an hour on two cores
    python benchmarks/crash_campaign.py --only kills --skip 2

Each trial is noted in <work>/campaign.json as soon as it ends, so that the campaign can be run in pieces; --report
writes benchmarks/results/crash_campaign.md from all that is noted.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import crash_trials as trials
from crash_fork import import_heavy
from crash_ground import EMPTY, Contents, Ground
from crash_page import write_page
from crash_ui import ROUNDS as UI_ROUNDS
from crash_ui import ui_round
from crash_users import trials_of_users

ENDS_PER_ROUND = 6
SOFT_EVERY = 5
"""Of so many stages one is also ended by SIGTERM or SIGHUP."""
DISKS = ((EMPTY, 1000), (EMPTY, 2000), (EMPTY, 4000), *(("trained", 250 * 2**n) for n in range(6)), ("measured", 1500))
"""State of the home, and room beside it in KB."""
PIECES = ("ui", "kills", "users", "readers", "disk", "damage", "twice")


def main() -> None:
    """Run the chosen pieces and write the results."""
    options = _options()
    import_heavy()
    ground = Ground(options.work)
    noted = options.work / "campaign.json"
    facts: list[dict[str, Any]] = json.loads(noted.read_text()) if noted.exists() else []
    reference = _reference(ground, options.work / "reference.json")
    for piece in [options.only] if options.only else PIECES:
        for trial in _trials(piece, options, ground, reference):
            start = time.monotonic()
            found = trial()
            for one in found if isinstance(found, list) else [found]:
                facts.append({"piece": piece, "seconds": time.monotonic() - start, **one})
                print(f"{one['trial']}: {'ok' if one['ok'] else one}", flush=True)
            noted.write_text(json.dumps(facts, indent=1))
    if not options.only:
        write_page(facts, options.seed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("crash-campaign"), help="folder for homes and notes")
    parser.add_argument("--only", choices=PIECES)
    parser.add_argument("--skip", type=int, default=0, help="rounds of kills that are noted already")
    parser.add_argument("--seed", type=int, default=22)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--report", action="store_true", help="only write the results file from what is noted")
    options = parser.parse_args()
    options.work = options.work.resolve()
    if options.report:
        write_page(json.loads((options.work / "campaign.json").read_text()), options.seed)
        raise SystemExit
    return options


def _reference(ground: Ground, file: Path) -> Contents:
    """Contents of an undisturbed run, made once."""
    if not file.exists():
        ground.clear()
        end = ground.run()
        assert end.returncode == 0, end.stderr
        ground.keep("finished")
        file.write_text(json.dumps(ground.contents()))
    return {name: [(rows, sha) for rows, sha in parts] for name, parts in json.loads(file.read_text()).items()}


def _trials(piece: str, options: argparse.Namespace, ground: Ground, reference: Contents) -> list[Callable[[], Any]]:
    chance = random.Random(options.seed)
    if piece == "ui":
        trials.make_places(ground)
        seeded = [(place, launches, random.Random(chance.random())) for place, launches in UI_ROUNDS]
        return [partial(ui_round, ground, reference, *one) for one in seeded]
    if piece == "kills":
        return _kill_rounds(options, ground, reference)
    if piece == "users":
        return [lambda: trials_of_users(ground)]
    if piece == "damage":
        return [
            lambda: _finished(ground, reference),
            *(lambda name=name: trials.damage(ground, reference, name) for name in trials.DAMAGES),
        ]
    if piece == "twice":
        return [lambda apart=a: trials.two_at_once(ground, reference, apart) for a in (0.0, 0.5, 2.0, 6.0, 12.0)]
    if piece == "disk":
        return [lambda p=place, room=room: trials.full_disk(ground, reference, p, room) for place, room in DISKS]
    return [lambda: trials.readers(options.work, options.readers, options.seconds)]


def _finished(ground: Ground, reference: Contents) -> dict[str, Any]:
    end = ground.run()
    return {"trial": "undisturbed run", "ok": end.returncode == 0 and ground.contents() == reference}


def _kill_rounds(options: argparse.Namespace, ground: Ground, reference: Contents) -> list[Callable[[], Any]]:
    """Every stage once by SIGKILL, some by another signal, in random company, each round in the order of the flow."""
    trials.make_places(ground)
    chance = random.Random(options.seed)
    rounds: list[Callable[[], Any]] = []
    for place, stages in trials.PLACES.items():
        ends = [(stage, signal.SIGKILL) for stage in stages]
        gentle = [stage for stage in stages if stage != "start"]  # a signal before Python has begun has no sentence
        soft = chance.sample(gentle, max(1, len(gentle) // SOFT_EVERY))
        ends += [(stage, trials.SOFT[n % 2]) for n, stage in enumerate(soft, start=len(rounds))]
        chance.shuffle(ends)
        count = -(-len(ends) // ENDS_PER_ROUND)
        for n in range(count):
            chosen = sorted(ends[n::count], key=lambda end: stages.index(end[0]))
            seeded = random.Random(chance.random())
            rounds.append(partial(trials.kill_round, ground, reference, place, chosen, seeded))
    return rounds[options.skip :]


if __name__ == "__main__":
    main()
