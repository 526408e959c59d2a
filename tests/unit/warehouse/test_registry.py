"""The registry is the one truth: names, units, keys, and what DuckDB and Parquet are told."""

import re

import duckdb
import pytest

from tests.support import REPOSITORY
from warehouse.registry import TABLES
from warehouse.registry.schema import arrow_type

# What others query; more columns are welcome, fewer are a broken promise.
PROMISED = {
    "corpora": "corpus_id source tokenizer_sha256 document_count token_count fingerprint",
    "paragraphs": "paragraph_id corpus_id document_id token_offset subset token_ids text unique_token_count "
    "occurrence_count near_duplicate_cluster straddles_document",
    "unigrams": "corpus_id token_id token token_count probability surprisal_bits rarity_rank",
    "checkpoints": "checkpoint_id source revision training_step architecture layer_count head_count parameter_count "
    "weights_sha256",
    "scores": "checkpoint_id paragraph_id exact_match em_bin is_memorized continuation_nll_nats prefix_nll_nats "
    "continuation_logprob_nats min_k20_nats min_k_plus_plus zlib_ratio top2_margin divergence_position "
    "is_rescored",
    "token_scores": "checkpoint_id paragraph_id position token_id nll_nats argmax_id entropy_nats margin",
    "generations": "checkpoint_id paragraph_id generated_ids token_accuracy levenshtein rouge_l bleu",
    "perturbations": "checkpoint_id paragraph_id position draw policy replacement_id exact_match em_drop "
    "delta_nll_nats divergence_position",
    "head_attention": "checkpoint_id paragraph_id layer head attention self_share",
    "parameter_gradients": "checkpoint_id paragraph_id layer component head max_abs mean_abs l2",
    "activation_gradients": "checkpoint_id paragraph_id layer component head position score",
    "head_rarity": "checkpoint_id layer head coefficient estimate uniform_null placebo",
}


@pytest.mark.parametrize("table", sorted(PROMISED))
def test_promised_columns_are_there(table):
    assert set(PROMISED[table].split()) <= set(TABLES[table].arrow_schema.names)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda t: t.name)
def test_every_table_has_a_key_and_says_what_it_is(table):
    assert table.key
    assert table.description.endswith((".", "?"))
    assert all(column.description.endswith(".") for column in table.columns)
    assert len({column.name for column in table.columns}) == len(table.columns)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda t: t.name)
def test_units_in_names_agree_with_the_units_column(table):
    for column in table.columns:
        for unit in ("nats", "bits"):
            if re.search(rf"_{unit}$", column.name):
                assert unit in column.unit, f"{table.name}.{column.name}"


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda t: t.name)
def test_duckdb_reads_the_arrow_schema_as_the_registered_types(table):
    connection = duckdb.connect()
    connection.register("empty", table.arrow_schema.empty_table())
    described = {row[0]: row[1] for row in connection.execute("DESCRIBE SELECT * FROM empty").fetchall()}
    assert described == {column.name: column.type for column in table.columns}


def test_unmapped_types_are_refused():
    with pytest.raises(KeyError):
        arrow_type("DECIMAL")


def test_the_table_reference_in_docs_is_current():

    from docs.build.tables import reference

    written = (REPOSITORY / "docs" / "tables.md").read_text()
    assert written == reference() + "\n", "run `make docs`"
