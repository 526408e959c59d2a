"""Harness tasks see the intervention; the tasks here are files of the test, nothing is downloaded."""

from __future__ import annotations

import json
import math

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from probes.errors import ProbeError
from probes.interventions.harness import harness_utility
from probes.interventions.sweep import NOTHING, Intervention, intervened
from tests.support.models.localize_models import VOCABULARY, paragraphs, small_model

TASK = """
task: last_word
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: loglikelihood
doc_to_text: "{{text}}"
doc_to_target: " {{target}}"
metric_list: [{metric: perplexity, aggregation: perplexity, higher_is_better: false}]
"""


def word(token):
    """Words of one width: a special token must not be found within another word."""
    return f"t{token:02d}"


@pytest.fixture
def task(tmp_path):
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    data = tmp_path / "documents.jsonl"
    rows = [{"text": " ".join(map(word, row[:-1])), "target": word(row[-1])} for row in paragraphs(6).tolist()]
    data.write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "last_word.yaml").write_text(TASK.replace("DATA", str(data)))
    words = Tokenizer(models.WordLevel({word(token): token for token in range(VOCABULARY)}, unk_token=word(0)))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return str(tmp_path), PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token=word(0), eos_token=word(1), pad_token=word(2)
    )


@pytest.mark.parametrize("intervention", [NOTHING, Intervention("identity", (1,)), Intervention("zero", (0,), 1)])
def test_a_task_scores_what_a_plain_forward_with_hooks_scores(task, intervention):
    folder, tokenizer = task
    model, token_ids = small_model("gpt2"), paragraphs(6)
    with torch.no_grad(), intervened(model, intervention):
        likely = model(token_ids[:, :-1]).logits[:, -1].log_softmax(-1)
    expected = math.exp(-float(likely.gather(1, token_ids[:, -1:]).mean()))
    frame = harness_utility(model, tokenizer, ["last_word"], intervention, include_path=folder, batch_size=1)
    assert frame.select("task", "metric", "document_count").row(0) == ("last_word", "perplexity", 6)
    assert frame["value"].item() == pytest.approx(expected, rel=1e-4)


def test_an_unknown_task_is_named(task):
    folder, tokenizer = task
    with pytest.raises(ProbeError, match="no task 'nonsense'"):
        harness_utility(small_model("gpt2"), tokenizer, ["nonsense"], include_path=folder)
