"""The cookbook and what helps to ask: every question runs as it stands, names are completed, misspelt ones answered."""

import shutil

import duckdb
import pytest

import sql
from assets.framework.errors import RequestError
from orchestration.cli.query_command import completions, require_known, text_of
from probes.scoring.teacher_forced import em_bin
from warehouse.catalog.queries import connect, query
from warehouse.errors import QueryError

COOKBOOK = sql.load(sql.COOKBOOK)


@pytest.fixture(scope="module")
def home(world):
    return world


@pytest.fixture(scope="module")
def tool(home):
    """What another program sees: DuckDB itself, read-only, none of our code. A copy: one process, one configuration."""
    copy = shutil.copy(home.database, home.root / "copy.duckdb")
    with duckdb.connect(str(copy), read_only=True) as connection:
        yield connection


def test_there_are_forty_questions_and_each_is_asked_as_one():
    assert len(COOKBOOK) >= 40
    assert all(question.title.endswith("?") for question in COOKBOOK.values())
    assert len({question.title for question in COOKBOOK.values()}) == len(COOKBOOK)
    assert not COOKBOOK.keys() & sql.load("adhoc").keys()


@pytest.mark.parametrize("name", COOKBOOK)
def test_questions_run_as_they_stand_in_any_duckdb_tool(tool, name):
    rows = tool.execute(COOKBOOK[name].text).fetchall()
    assert all(len(str(value)) <= 200 for row in rows for value in row), "long texts are previewed"


def test_questions_are_about_the_checkpoint_and_paragraph_that_are_chosen(home):
    text = "SELECT chosen_checkpoint() AS checkpoint, chosen_paragraph() AS paragraph"
    assert query(home, text)["checkpoint"][0] == "world-step-00100"
    names = query(home, "SELECT paragraph_id FROM paragraphs ORDER BY 1")["paragraph_id"].to_list()
    chosen = query(home, text, variables={"checkpoint": "world-step-00000", "paragraph": names[7][:10]})
    assert chosen.row(0) == ("world-step-00000", names[7])
    assert query(home, text)["paragraph"][0] in names


def test_the_strongest_trigger_comes_first(home):
    rows = query(home, COOKBOOK["which_tokens_trigger"].text)
    drops = rows["em_drop"].to_list()
    these = "checkpoint_id = chosen_checkpoint() AND paragraph_id = chosen_paragraph()"
    most = query(home, f"SELECT max(em_drop) AS most FROM triggers WHERE {these}")["most"][0]
    assert drops == sorted(drops, reverse=True) and drops[0] == most


def test_membership_auc_is_the_chance_that_a_trained_paragraph_scores_higher(home):
    rows = query(home, COOKBOOK["membership_scores"].text)
    auc = dict(rows.select("score", "auc").iter_rows())["NLL"]
    text = "SELECT duplication_count > 0 AS trained, -continuation_nll_nats AS v FROM scored_paragraphs"
    values = query(home, f"{text} WHERE checkpoint_id = chosen_checkpoint()")
    yes, no = (values.filter(values["trained"] == t)["v"].to_list() for t in (True, False))
    assert auc == pytest.approx(sum((a > b) + (a == b) / 2 for a in yes for b in no) / (len(yes) * len(no)))


EDITS = (
    ("left_of_targets", ("selection", "exact_match", "random_exact_match"), ("all", 1.0, None)),
    ("lost_beside_targets", ("evaluation_set", "selection", "after"), ("controls", "all", 1.0)),
    ("controls_that_suffered", ("selection", "lost", "random_lost"), ("top:0.01", 28.0, 3.0)),
    ("steps_to_relearn", ("selection", "steps_mean", "not_back_count"), ("random:0.01", 0.0, 0)),
    ("price_of_forgetting", ("selection", "step", "control_exact_match"), ("top:0.01", 2, 25.0)),
    (
        "noise_at_heads",
        ("name", "exact_match_mean", "random_exact_match", "others_exact_match"),
        ("0.0", 10.0, 45.0, 10.0),
    ),
    ("noise_strengths", ("strength", "exact_match_least", "random_exact_match"), (0.0, 50.0, 50.0)),
)


@pytest.mark.parametrize(("name", "columns", "first"), EDITS, ids=[edit[0] for edit in EDITS])
def test_questions_about_edits_stand_beside_their_null(home, name, columns, first):
    assert query(home, COOKBOOK[name].text).select(columns).row(0) == first


def test_relearning_ends_with_what_was_never_memorized(home):
    rows = query(home, COOKBOOK["steps_to_relearn"].text)
    assert rows["protocol"].to_list() == ["single"] * 3 + ["never_memorized"] and rows["not_back_count"][-1] == 1


@pytest.mark.parametrize("length", [5, 32, 50])
def test_the_macro_bins_exact_match_like_the_scores(tool, length):
    for match in range(length + 1):
        found = tool.execute("SELECT em_bin(?, continuation_length := ?)", [match, length]).fetchone()[0]
        assert found == em_bin(match, length)


def test_a_preview_is_one_short_line(tool):
    shown = tool.execute("SELECT preview('  a\n\tb  ' || repeat('x', 200)), preview('kurz'), preview(NULL)").fetchone()
    assert shown[0].startswith("a b x") and len(shown[0]) == 80 and shown[0].endswith("…")
    assert shown[1:] == ("kurz", None)


def test_rarity_percentile_is_the_share_of_more_common_text(tool):
    rows = tool.execute(
        "SELECT token_count, surprisal_bits, rarity_percentile(corpus_id, surprisal_bits) FROM unigrams"
    ).fetchall()
    total = sum(count for count, _, _ in rows)
    for _, bits, found in rows[:20]:
        assert found == pytest.approx(sum(c for c, b, _ in rows if b < bits) / total)


def test_nearly_every_column_of_views_and_marts_says_what_it_is(tool):
    names = {*sql.load("views"), *sql.load("marts")}
    rows = tool.execute("SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal").fetchall()
    silent = [f"{table}.{column}" for table, column, comment in rows if table in names and not comment]
    assert len(silent) <= 12, f"add them to warehouse/registry/derived.py: {silent}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("SELECT em_drp FROM triggers", r'Did you mean "em_drop" \(of'),
        ("SELECT em_drop FROM scores", r'"em_drop" is a column of .*triggers'),
        ("SELECT * FROM scors", 'Did you mean "scores"'),
        ("SELECT s.exactmatch FROM scores AS s", '"exact_match"'),
        ("SELECT $limit", r"--set NAME=VALUE \(limit"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(home, text, sentence):
    with pytest.raises(QueryError, match=sentence):
        query(home, text)


def test_variables_do_not_open_the_door(home):
    with connect(home) as connection, pytest.raises(duckdb.Error):
        connection.execute("SET enable_external_access = true")
    odd = {'x" = 1; SELECT 1; --': "y", "checkpoint": "'; DROP VIEW scores; --"}
    assert query(home, "SELECT chosen_checkpoint() AS c", variables=odd)["c"][0] == odd["checkpoint"]


def test_the_shell_completes_questions_and_inside_a_select_tables():
    assert "which_tokens_trigger" in completions("which") and "scores" in completions("sc")
    assert completions("select * from scored") == ["select * from scored_paragraphs"]
    assert not [name for name in completions("select * from wh") if "which" in name]


def test_a_word_is_a_question_a_table_or_an_error_that_knows_better():
    assert text_of("claims") == text_of("Claims ") == COOKBOOK["claims"].text
    assert text_of("token_scores") == "FROM token_scores"
    with pytest.raises(RequestError, match="did you mean which_tokens_trigger"):
        text_of("which_token_triggers")


@pytest.mark.parametrize(
    ("checkpoint", "paragraph", "sentence"),
    [
        ("world-step-1", "", "no checkpoint 'world-step-1'; measured are world-step-00000, world-step-00100"),
        ("", "zz", "no paragraph has an id that begins with 'zz'; .*recited_paragraphs"),
        ("", "", None),
    ],
)
def test_a_choice_that_leads_nowhere_is_refused(home, checkpoint, paragraph, sentence):
    if sentence is None:
        require_known(home, checkpoint, paragraph)
        return
    with pytest.raises(RequestError, match=sentence):
        require_known(home, checkpoint, paragraph)


def test_a_paragraph_is_chosen_by_so_much_of_its_id_as_no_other_shares(home):
    names = query(home, "SELECT paragraph_id FROM paragraphs")["paragraph_id"].to_list()
    require_known(home, "", names[0])
    shared = next(name[0] for name in names if sum(other[0] == name[0] for other in names) > 1)
    with pytest.raises(RequestError, match=f"paragraphs have ids that begin with '{shared}'"):
        require_known(home, "", shared)
