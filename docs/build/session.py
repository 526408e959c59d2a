"""The sample session of the README: what `rarecall run` says at its end, taken from a home.

`python -m docs.build.session` rewrites what lies between its marks from the home of the environment, `make session`.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path

from assets.report.headline import headline
from warehouse.catalog.queries import latest_checkpoint
from warehouse.home import Home

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN, END = "<!-- session: written by `make session` -->", "<!-- end of session -->"


def session(home: Home) -> str:
    """The session as Markdown, with what in it depends on the machine.

    Raises:
        ValueError: nothing has been scored in the home.
    """
    checkpoint_id = latest_checkpoint(home)
    said = headline(home, checkpoint_id) if checkpoint_id else None
    if said is None:
        raise ValueError(f"{home.root} has no scored checkpoint; run `rarecall run` first.")
    lines = "\n".join(said.lines()).replace("\u00a0", " ")
    version = ".".join(platform.python_version_tuple()[:2])
    varies = (
        f"Counts and shares vary with the text that a Python installation carries (here that of {version}), and\n"
        "with them the steps in the names of checkpoints; the form of the lines does not. A second `make run` says\n"
        "that nothing changed."
    )
    paths = "report    warehouse/data/report/index.html\nwarehouse warehouse/data/rarecall.duckdb"
    return f"{BEGIN}\n```text\n{lines}\n\n{paths}\n```\n\n{varies}\n{END}"


def with_session(readme: str, text: str) -> str:
    """The README with another session."""
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: text, readme, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(with_session(README.read_text(encoding="utf-8"), session(Home.locate())), encoding="utf-8")
