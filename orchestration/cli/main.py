"""Entry point: commands, and errors as one sentence with the right exit code."""

from __future__ import annotations

import io
import os
import sys

import typer

from assets.framework.errors import RequestError
from orchestration.cli import (
    corpus_commands,
    edit_command,
    housekeeping_commands,
    query_command,
    registry_commands,
    run_commands,
    scan_command,
)
from orchestration.cli.examples import give_examples
from orchestration.run.failures import INTERRUPTED, say_failure, say_on_stderr
from orchestration.run.interruption import signals_interrupt

# Read when torch starts its threads. Waiting threads that spin take the core from the one that works, which makes
# training on two busy cores several times slower; sleeping costs little on idle ones and changes no number.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

_READER_GONE = 1
_SHELL_INTERRUPTED = 130  # what Typer turns Ctrl-C into

app = typer.Typer(
    name="rarecall",
    help="Which paragraphs does a language model recite, which tokens trigger it, and where does it live?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(registry_commands.checkpoints_app, name="checkpoints")
app.add_typer(corpus_commands.app, name="corpus")
app.add_typer(corpus_commands.import_app, name="import")
for command in (run_commands.run, run_commands.ui, run_commands.report, run_commands.doctor):
    app.command()(command)
app.command(cls=query_command.SqlCommand)(query_command.query)
app.command()(corpus_commands.trace)
app.command()(edit_command.edit)
app.command()(scan_command.scan)
app.command()(housekeeping_commands.gc)
app.command()(housekeeping_commands.relocate)
give_examples(app)


@app.callback()
def _options(debug: bool = typer.Option(False, "--debug", help="Show tracebacks.")) -> None:
    """rarecall asks what a language model has memorized and why."""
    if debug:
        os.environ["RARECALL_DEBUG"] = "1"


def _work() -> int:
    """Run the command and get rid of its output; errors of both are of one kind."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows what it can
    if sys.stdout is None:
        raise RequestError("standard output is closed; send it to a file, or to /dev/null to see nothing.")
    with signals_interrupt():
        code = app(standalone_mode=False, prog_name="rarecall") or 0
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would try once more when it ends
        raise
    return int(code)


def main() -> None:
    """Run the command line; exit codes: 0 done, 1 the work failed, 2 the request was wrong."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115  for the life of the process
    try:
        code = _work()
    except SystemExit:
        raise
    except BrokenPipeError:  # whoever read the output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = _READER_GONE
    except BaseException as error:  # Dagster's interruption is no Exception, so that assets do not swallow it
        if os.environ.get("RARECALL_DEBUG"):
            raise
        code = say_failure(error)
    if code == _SHELL_INTERRUPTED:
        code = say_on_stderr(INTERRUPTED, 1)
    sys.exit(code)
