"""From an exception to one sentence and an exit code."""

from __future__ import annotations

import sys

from assets.errors import RequestError
from corpus_stats.errors import CorpusError
from orchestration.runner import reasons
from probes.errors import ProbeError
from warehouse.errors import QueryError, WarehouseError

_OURS = (RequestError, CorpusError, ProbeError, WarehouseError)
_REQUEST = (RequestError, QueryError)
_INTERRUPTED = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")


def sentence_of(error: BaseException) -> str:
    """Our own sentence where one is in the chain of causes, else the innermost exception in a line."""
    chain = list(reasons(error))
    if any(type(e).__name__ in _INTERRUPTED for e in chain):
        return "interrupted; run again to resume from the finished parts."
    ours = [e for e in chain if isinstance(e, _OURS)]
    if ours:
        return str(ours[0])
    last = chain[-1]
    text = " ".join(str(last).split())
    return f"{type(last).__name__}: {text[:300]} (use `rarecall --debug …` for the traceback)."


def exit_code(error: BaseException) -> int:
    """2 for a wrong request, else 1."""
    ours = [e for e in reasons(error) if isinstance(e, _OURS)]
    return 2 if ours and isinstance(ours[0], _REQUEST) else 1


def say_failure(error: BaseException) -> int:
    """Print the sentence to stderr; returns the exit code."""
    print(f"rarecall: {sentence_of(error)}", file=sys.stderr)
    return exit_code(error)
