"""Entry point: commands, and errors as one sentence with the right exit code."""

from __future__ import annotations

import os
import sys

import typer

from orchestration.cli import corpus_commands, registry_commands, run_commands
from orchestration.cli.failures import say_failure

app = typer.Typer(
    name="rarecall",
    help="Which paragraphs does a language model recite, which tokens trigger it, and where does it live?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(registry_commands.checkpoints_app, name="checkpoints")
app.add_typer(corpus_commands.app, name="corpus")
for command in (run_commands.run, run_commands.ui, run_commands.query, run_commands.report, run_commands.doctor):
    app.command()(command)


@app.callback()
def _options(debug: bool = typer.Option(False, "--debug", help="Show tracebacks.")) -> None:
    """rarecall asks what a language model has memorized and why."""
    if debug:
        os.environ["RARECALL_DEBUG"] = "1"


def main() -> None:
    """Run the command line; exit codes: 0 done, 1 the work failed, 2 the request was wrong."""
    try:
        app()
    except KeyboardInterrupt:
        print("rarecall: interrupted; run again to resume from the finished parts.", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        if os.environ.get("RARECALL_DEBUG"):
            raise
        sys.exit(say_failure(error))
