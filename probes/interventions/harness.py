"""Utility by tasks of the lm-evaluation-harness, with an intervention in place (optional extra `harness`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from probes.errors import ProbeError
from probes.forward.beginning import lead
from probes.interventions.hooks import NOTHING, Intervention, Means, intervened

if TYPE_CHECKING:
    import polars as pl
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def harness_utility(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Sequence[str],
    intervention: Intervention = NOTHING,
    means: Means | None = None,
    batch_size: int = 8,
    document_limit: int | None = None,
    include_path: str | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """Scores of harness tasks (P2 §4 uses lambada_openai) while the model carries the intervention.

    Args:
        model: causal language model of a supported architecture, left as found.
        tokenizer: of the model.
        tasks: names the harness knows; their data comes from where each task says, often the network.
        intervention: what to do; NOTHING measures the untouched model.
        means: for mean ablation.
        batch_size: requests per forward.
        document_limit: documents per task, all where absent.
        include_path: folder of further task files.
        seed: of the harness' own draws and bootstraps.

    Returns:
        task, metric, value, standard_error (null where the harness gives none), document_count.

    Raises:
        ProbeError: the harness is not installed, or a task does not exist.
    """
    import polars as pl

    try:
        import lm_eval
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager
    except ImportError as missing:
        raise ProbeError("lm-evaluation-harness is not installed; install the extra `rarecall[harness]`.") from missing
    manager = TaskManager(include_path=include_path)
    if unknown := [task for task in tasks if task not in manager.all_tasks]:
        raise ProbeError(f"the harness knows no task {unknown[0]!r}; list its tasks with `lm-eval ls tasks`.")
    with intervened(model, intervention, means):
        results = lm_eval.simple_evaluate(
            # its tokenizer puts the beginning there, so that its own padding and masks stay right
            model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size, add_bos_token=bool(lead(model))),
            tasks=list(tasks),
            task_manager=manager,
            limit=document_limit,
            random_seed=seed,
            numpy_random_seed=seed,
            torch_random_seed=seed,
            fewshot_random_seed=seed,
        )
    columns = ("task", "metric", "value", "standard_error", "document_count")
    types = (pl.String, pl.String, pl.Float64, pl.Float64, pl.Int32)
    return pl.DataFrame(_rows(results), schema=dict(zip(columns, types, strict=True)), orient="row")


def _rows(results: dict[str, Any]) -> list[tuple[str, str, float, float | None, int]]:
    """The harness' nested result as rows; its keys read `metric,filter` and `metric_stderr,filter`."""
    rows = []
    for task, scores in results["results"].items():
        count = int(results["n-samples"][task]["effective"])
        for key, value in scores.items():
            metric, comma, filter_name = key.partition(",")
            if not comma or metric.endswith("_stderr"):
                continue
            error = scores.get(f"{metric}_stderr,{filter_name}")
            rows.append((task, metric, float(value), float(error) if isinstance(error, float) else None, count))
    return rows
