"""The whole flow on a small profile: the tables agree with references nobody here wrote, and with themselves."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.framework.profile import load_profile
from assets.framework.stage import Scope
from tests.support.finished_home import Finished
from warehouse.catalog.queries import query
from warehouse.home import Home


@pytest.fixture(scope="module")
def scope(finished: Finished) -> Scope:
    """The finished home that the tests share; read only."""
    return Scope(Home(finished.home), load_profile(str(finished.profile)))


def ask(scope, text):
    return query(scope.home, text)


def model_of(scope, checkpoint_id):
    from transformers import AutoModelForCausalLM

    source = ask(scope, f"SELECT source FROM checkpoints WHERE checkpoint_id = '{checkpoint_id}'")["source"][0]
    return AutoModelForCausalLM.from_pretrained(source, attn_implementation="eager").eval()


def test_unigram_counts_equal_a_plain_count_of_the_encoded_documents(scope):
    from collections import Counter

    from transformers import AutoTokenizer

    facts = ask(scope, "SELECT source, tokenizer, token_count FROM corpora").row(0, named=True)
    tokenizer = AutoTokenizer.from_pretrained(facts["tokenizer"])
    plain: Counter[int] = Counter()
    for path in sorted(Path(facts["source"]).rglob("*.txt")):
        plain.update(tokenizer(path.read_text(), verbose=False)["input_ids"])
    counted = ask(scope, "SELECT token_id, token_count FROM unigrams WHERE token_count > 0")
    assert dict(counted.iter_rows()) == dict(plain)
    assert facts["token_count"] == sum(plain.values())


def test_rarity_is_what_its_formula_says(scope):
    frame = ask(scope, "SELECT * FROM unigrams ORDER BY token_id")
    counts, total = frame["token_count"].to_numpy(), frame["token_count"].sum()
    smoothed = (counts + 1) / (total + len(counts))
    assert np.allclose(frame["probability"], smoothed) and np.allclose(frame["surprisal_bits"], -np.log2(smoothed))
    assert (frame["rarity_rank"] == frame["token_count"].rank("dense") - 1).all()


@pytest.mark.parametrize("checkpoint", ["small-step-00000", "last"])
def test_exact_match_equals_greedy_generation(scope, checkpoint):
    import torch

    if checkpoint == "last":
        checkpoint = ask(scope, "SELECT max(checkpoint_id) AS c FROM checkpoints")["c"][0]
    model = model_of(scope, checkpoint)
    rows = ask(
        scope,
        f"SELECT token_ids, exact_match FROM scores JOIN paragraphs USING (paragraph_id) WHERE checkpoint_id = '{checkpoint}'",
    )
    ids = torch.tensor(rows["token_ids"].to_list())
    with torch.no_grad():
        written = model.generate(
            ids[:, :50],
            attention_mask=torch.ones_like(ids[:, :50]),
            max_new_tokens=50,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
    expected = (written[:, 50:] == ids[:, 50:]).long().cumprod(1).sum(1)
    assert rows["exact_match"].to_list() == expected.tolist()


def test_attention_equals_output_attentions(scope):
    import torch

    checkpoint = ask(scope, "SELECT max(checkpoint_id) AS c FROM checkpoints")["c"][0]
    rows = ask(
        scope,
        f"SELECT paragraph_id, token_ids, layer, head, attention, self_share FROM head_attention JOIN paragraphs USING (paragraph_id) WHERE checkpoint_id = '{checkpoint}' ORDER BY paragraph_id, layer, head",
    )
    ids = torch.tensor(rows.unique("paragraph_id", maintain_order=True)["token_ids"].to_list())
    with torch.no_grad():
        full = model_of(scope, checkpoint)(ids, output_attentions=True).attentions
    expected = torch.stack([layer[:, :, 50] for layer in full], 1).flatten(0, 2)
    assert np.allclose(np.array(rows["attention"].to_list()), expected[:, :50], atol=1e-5)
    assert np.allclose(rows["self_share"], expected[:, 50], atol=1e-5)


def test_recital_follows_the_number_of_copies(scope):
    rows = ask(
        scope,
        "SELECT duplication_count, memorized_share FROM memorization_by_duplication WHERE training_step > 0 ORDER BY 1",
    )
    shares = dict(rows.iter_rows())
    assert shares[0] == shares[1] == 0
    assert shares[256] > 0.5
    assert rows["memorized_share"].is_sorted()


def test_the_untrained_model_recites_nothing(scope):
    assert ask(scope, "SELECT max(exact_match) AS m FROM scores WHERE checkpoint_id = 'small-step-00000'")["m"][0] < 5


def test_triggers_hold_every_prefix_token_once_with_everything_measured(scope):
    frame = ask(scope, "SELECT * FROM triggers WHERE checkpoint_id <> 'small-step-00000'")
    per_paragraph = frame.group_by("paragraph_id").len()
    assert per_paragraph["len"].unique().to_list() == [50]
    later = frame.filter(pl.col("position") > 0)
    for column in ("em_drop", "delta_nll_nats", "activation_gradient", "token_nll_nats", "attention", "surprisal_bits"):
        assert later[column].null_count() == 0, column


def test_every_policy_of_the_profile_is_swept_and_the_first_one_counts(scope):
    swept = ask(scope, "SELECT * FROM perturbations")
    per_position = swept.group_by("checkpoint_id", "paragraph_id", "position").len()
    assert per_position["len"].unique().to_list() == [5]
    assert (swept["is_main_policy"] == (swept["policy"] == "second_choice")).all()
    assert ask(scope, "SELECT DISTINCT draw_count FROM triggers WHERE position > 0")["draw_count"].to_list() == [1]
    assert ask(scope, "SELECT DISTINCT policy FROM minimal_perturbations")["policy"].to_list() == ["second_choice"]
    mart = ask(scope, "SELECT * FROM em_drop_by_policy")
    assert mart.filter("is_main_policy")["difference"].to_list() == [0.0] * mart.filter("is_main_policy").height
    expected = dict(swept.group_by("policy").agg(pl.col("draw").n_unique()).iter_rows())
    assert dict(mart.select("policy", "draw_count").unique().iter_rows()) == expected


def test_the_minimal_perturbation_is_the_earliest_of_the_strongest(scope):
    minimal = ask(scope, "SELECT checkpoint_id, paragraph_id, position, exact_match FROM minimal_perturbations")
    rows = ask(scope, "SELECT * FROM perturbations WHERE is_main_policy ORDER BY exact_match, position, draw")
    expected = rows.unique(["checkpoint_id", "paragraph_id"], keep="first", maintain_order=True)
    by = ["checkpoint_id", "paragraph_id"]
    assert minimal.sort(by).equals(expected.select(minimal.columns).sort(by))


def test_heads_at_triggers_counts_what_the_view_of_triggers_shows(scope):
    hits = """
        WITH weights AS (
            SELECT checkpoint_id, paragraph_id, em_drop, unnest(map_entries(attention)) AS head
            FROM triggers WHERE em_drop IS NOT NULL
        ),
        hit AS (
            SELECT checkpoint_id, paragraph_id, head.key AS head_ref, arg_max(em_drop, head.value) = max(em_drop) AS is_hit
            FROM weights GROUP BY ALL HAVING max(em_drop) > 0
        )
        SELECT checkpoint_id, head_ref, avg(is_hit::INTEGER) AS expected, top_hit, cluster_count, count(*) AS n
        FROM hit JOIN heads_at_triggers USING (checkpoint_id, head_ref) GROUP BY ALL"""
    frame = ask(scope, hits)
    assert frame.height >= 4
    assert np.allclose(frame["expected"], frame["top_hit"])
    assert (frame["n"] == frame["cluster_count"]).all()


def test_continuation_attention_equals_output_attentions(scope):
    import torch

    checkpoint = ask(scope, "SELECT max(checkpoint_id) AS c FROM checkpoints")["c"][0]
    rows = ask(
        scope,
        f"SELECT paragraph_id, token_ids, attention FROM continuation_attention JOIN paragraphs USING (paragraph_id) WHERE checkpoint_id = '{checkpoint}' ORDER BY paragraph_id, layer, head, query_position",
    )
    ids = torch.tensor(rows.unique("paragraph_id", maintain_order=True)["token_ids"].to_list())
    with torch.no_grad():
        full = model_of(scope, checkpoint)(ids, output_attentions=True).attentions
    expected = torch.stack([layer[:, :, 50:, :50] for layer in full], 1).reshape(-1, 50)
    assert np.allclose(np.array(rows["attention"].to_list()), expected, atol=1e-5)


def test_every_localization_of_the_last_checkpoint_is_on_the_axis(scope):
    frame = ask(scope, "SELECT * FROM localization_axis WHERE checkpoint_id <> 'small-step-00000' ORDER BY layer")
    measures = {"gradient_share", "patching_effect", "recall_drop", "utility_drop", "selectivity"}
    identity = frame.filter(pl.col("kind").is_null() | (pl.col("kind") == "identity"))
    assert dict(identity.group_by("measure").len().iter_rows()) == dict.fromkeys(measures, 2)
    assert set(frame.filter(measure="selectivity")["kind"]) == {"identity", "mean", "zero", "uniform"}
    shares = frame.filter(measure="gradient_share")
    assert shares["estimate"].sum() == pytest.approx(1) and shares["null_value"].to_list() == [0.5, 0.5]
    drops = [
        frame.filter(measure=name).sort("kind", "layer")["estimate"]
        for name in ("recall_drop", "utility_drop", "selectivity")
    ]
    assert np.allclose(drops[0] - drops[1], drops[2])
    assert ask(scope, "SELECT count(*) AS n FROM patching WHERE checkpoint_id = 'small-step-00000'")["n"][0] == 0


def test_the_score_card_compares_choices_of_one_size_with_random_heads(scope):
    card = ask(scope, "SELECT * FROM localization_score_card")
    assert set(card["choice"]) == {"gradient", "patching", "short_circuit", "rare_token_attention", "block"}
    assert {"self", "unrelated"} <= set(card["evaluation"])
    assert card["head_count"].unique().to_list() == [2]
    assert card["random_drop_mean"].null_count() == 0
    assert card["drop_p_value"].is_between(1 / 41, 1).all()


def test_claims_of_both_papers_have_a_verdict_for_every_checkpoint(scope):
    claims = ask(scope, "SELECT * FROM claims")
    ours = claims.filter(pl.col("paper").str.contains("Menta") | pl.col("paper").str.contains("section 5.1"))
    assert ours.group_by("checkpoint_id").len()["len"].to_list() == [23, 23]
    untrained = ours.filter(pl.col("paper").str.contains("Menta"), checkpoint_id="small-step-00000")
    assert untrained["verdict"].unique().to_list() == ["not testable here"]


def test_a_second_run_has_nothing_to_do(scope):
    from orchestration.run.flow import checkpoint_steps, corpus_steps, tail_steps

    assert [*corpus_steps(scope), *checkpoint_steps(scope), *tail_steps(scope)] == []


def test_a_run_killed_after_its_work_is_closed_by_a_run_with_nothing_to_do(finished, scope, tmp_path, monkeypatch):
    import dagster as dg

    from orchestration.run.instance import has_unfinished_runs, open_instance, process_tags
    from orchestration.run.runner import run_flow

    copy = Scope(Home(finished.copy(tmp_path / "home")), scope.profile)
    monkeypatch.setattr("orchestration.run.runner.tail_steps", lambda _: [])  # only a copy's report is out of date
    gone = process_tags() | {"rarecall/process": "999999999"}  # beyond any process id
    with open_instance(copy.home) as instance:
        for status in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.NOT_STARTED):
            instance.add_run(dg.DagsterRun(job_name="tail", status=status, tags=gone))
    assert has_unfinished_runs(copy.home)
    assert run_flow(copy).done == []
    assert not has_unfinished_runs(copy.home)


def test_the_report_is_self_contained_and_escapes_the_corpus(scope):
    html = scope.home.report.read_text()
    assert "What the papers claim" in html and html.count("<figure id=") >= 9
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert html.lower().count("<script") == 2  # data and code of the paragraph browser; nothing from the corpus


def test_checks_and_plots_are_recorded_in_the_instance(scope):
    import dagster as dg

    from orchestration.run.instance import open_instance

    with open_instance(scope.home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("scores"))
        assert event is not None and event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        assert metadata["dagster/row_count"].value == 28
        assert "data:image/png" in metadata["plot"].value
        for name in ("perturbations", "head_rarity", "trigger_effects"):
            event = instance.get_latest_materialization_event(dg.AssetKey(name))
            assert "data:image/png" in event.asset_materialization.metadata["plot"].value
