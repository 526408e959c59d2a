"""An example for the help of every command."""

from __future__ import annotations

import typer

EXAMPLES: dict[str, str] = {
    "run": "rarecall run --profile my.toml --checkpoint step-4000",
    "ui": "rarecall ui --port 3001",
    "report": "rarecall report --open",
    "doctor": "rarecall doctor --repair",
    "query": 'rarecall query "select * from scores limit 5" -o scores.parquet',
    "edit": "rarecall edit step-4000 --memorized 3 --selection top:0.01 --save forgot",
    "gc": "rarecall gc --delete",
    "relocate": "RARECALL_HOME=/new/place rarecall relocate",
    "checkpoints add": "rarecall checkpoints add /models/my-neo/step-4000 --profile my.toml",
    "checkpoints convert": "rarecall checkpoints convert /models/pickled /models/converted",
    "checkpoints list": "rarecall checkpoints list",
    "checkpoints remove": "rarecall checkpoints remove step-4000",
    "corpus add": "rarecall corpus add pile /data/pile/train --tokenizer EleutherAI/gpt-neo-125m --on-bad skip",
    "corpus inspect": "rarecall corpus inspect /data/pile/train",
    "corpus list": "rarecall corpus list",
    "corpus remove": "rarecall corpus remove pile",
    "import pythia-memorized-evals": "rarecall import pythia-memorized-evals /data/memorized-evals",
    "import texts-with-copies": "rarecall import texts-with-copies /data/gutenberg",
    "scan": "rarecall scan novel.txt --checkpoint step-4000 -o novel.html",
    "trace": 'rarecall trace "It is a truth universally acknowledged" --profile my.toml',
    "import lm-extraction-benchmark": "rarecall import lm-extraction-benchmark /data/lm-extraction-benchmark/datasets",
    "import localizing-paragraph-memorization": "rarecall import localizing-paragraph-memorization /data/paragraphs",
}
"""By the words of the command."""


def give_examples(app: typer.Typer, prefix: str = "") -> None:
    """Put the example under the help of each command of an application and of its groups."""
    for info in app.registered_commands:
        callback = getattr(info.callback, "__name__", "")
        words = f"{prefix}{info.name or callback.replace('_', '-')}"
        if words in EXAMPLES:
            info.epilog = f"Example: {EXAMPLES[words]}"
    for group in app.registered_groups:
        if group.typer_instance is not None:
            give_examples(group.typer_instance, f"{prefix}{group.name} ")
