"""Intervals in SQL are scipy's t intervals and statsmodels' Wilson intervals, and nowhere 1.96 standard errors."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

import sql
from warehouse.catalog.publish import open_record
from warehouse.home import Home

ROOT = Path(sql.__file__).parents[1]
NORMAL_QUANTILE = re.compile(r"\b1\.9(?:6|59+\d*)\b|\b3\.84\d*\b|\b0\.9604\b")


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    with open_record(Home(tmp_path_factory.mktemp("intervals")).prepare()) as opened:
        yield opened


def ask(connection, expression, values):
    return connection.execute(
        f"SELECT {expression} FROM (SELECT unnest(?::DOUBLE[]) AS value)", [list(values)]
    ).fetchone()


def test_only_the_macros_know_a_quantile():
    folders = ("staging", "views", "marts", "checks", "adhoc", sql.COOKBOOK)
    texts = {f"{folder}/{name}.sql": query.text for folder in folders for name, query in sql.load(folder).items()}
    texts |= {file.name: file.read_text() for room in ("assets", "probes") for file in (ROOT / room).rglob("*.py")}
    assert {name for name, text in texts.items() if NORMAL_QUANTILE.search(text)} == set()


def test_no_interval_is_made_of_standard_errors_by_hand():
    queries = sql.load("marts") | sql.questions()
    for name, query in queries.items():
        for column in re.findall(r"(.*)\bAS \w*(?:lower|upper)\b", query.text):
            assert not re.search(r"stddev|var_samp|standard_error", column), f"{name}: {column}"


@pytest.mark.parametrize("degrees", [2, 2.3, 3, 3.5, 5, 9, 29, 1000, 10**8])
def test_the_quantile_is_students(connection, degrees):
    found = connection.execute("SELECT t_quantile(?)", [degrees]).fetchone()[0]
    assert found == pytest.approx(stats.t.ppf(0.975, degrees), rel=2e-8)


@pytest.mark.parametrize("count", [3, 4, 12, 200])
def test_the_interval_of_a_mean_is_scipys(connection, count):
    values = np.random.default_rng(count).gamma(2, size=count)
    expected = stats.t.interval(0.95, count - 1, values.mean(), stats.sem(values))
    assert ask(connection, "mean_lower(value), mean_upper(value)", values) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [1.0, 2.0, None]])
def test_fewer_than_three_clusters_have_no_interval(connection, values):
    found = ask(connection, "mean_lower(value, 0), mean_upper(value, 1), mean_margin(value)", values)
    assert found == (None, None, None)


def test_ends_stay_where_values_can_be(connection):
    shares = [0.0, 0.02, 0.9]
    assert ask(connection, "mean_lower(value, 0), mean_upper(value, 1)", shares) == (0, 1)
    lower, upper = ask(connection, "mean_lower(value), mean_upper(value)", shares)
    assert lower < 0 and upper > 1


@pytest.mark.parametrize("counts", [(3, 3), (3, 40), (25, 7)])
def test_the_interval_of_a_difference_is_welchs(connection, counts):
    rng = np.random.default_rng(sum(counts))
    one, other = rng.normal(2, 3, size=counts[0]), rng.normal(0, 1, size=counts[1])
    facts = [one.var(ddof=1), counts[0], other.var(ddof=1), counts[1]]
    degrees, margin = connection.execute(
        "SELECT welch_degrees($1, $2, $3, $4), difference_margin($1, $2, $3, $4)", facts
    ).fetchone()
    welch = stats.ttest_ind(one, other, equal_var=False)
    low, high = welch.confidence_interval(0.95)
    assert degrees == pytest.approx(welch.df)
    assert margin == pytest.approx((high - low) / 2, rel=1e-6)


def test_a_difference_needs_three_clusters_on_either_side(connection):
    for counts in ((2, 50), (50, 2)):
        found = connection.execute("SELECT difference_margin(1.0, ?, 1.0, ?)", list(counts)).fetchone()[0]
        assert found is None


@pytest.mark.parametrize(("hits", "trials"), [(0, 3), (3, 3), (1, 7), (50, 100), (999, 1000)])
def test_wilson_is_statsmodels(connection, hits, trials):
    found = connection.execute("SELECT wilson_lower($1, $2), wilson_upper($1, $2)", [hits / trials, trials]).fetchone()
    assert found == pytest.approx(proportion_confint(hits, trials, method="wilson"), abs=1e-12)
    assert (found[0] == 0) == (hits == 0) and (found[1] == 1) == (hits == trials)


def test_shares_of_fewer_than_three_trials_have_no_interval(connection):
    for trials in (0, 1, 2):
        found = connection.execute("SELECT wilson_lower(0.5, $1), wilson_upper(0.5, $1)", [trials]).fetchone()
        assert found == (None, None)


def test_intervals_cover_the_truth_as_often_as_they_say_with_few_clusters(connection):
    """Normal means of 3 to 5 clusters: 1.96 standard errors would cover 81 to 88 % of them."""
    rng = np.random.default_rng(5)
    for count in (3, 4, 5):
        draws = rng.normal(size=(2000, count))
        found = connection.execute(
            "SELECT avg((mean_lower(value) <= 0 AND 0 <= mean_upper(value))::INTEGER) OVER () FROM "
            "(SELECT generate_subscripts(?::DOUBLE[], 1) AS place, unnest(?::DOUBLE[]) AS value) GROUP BY place // ?",
            [draws.ravel().tolist(), draws.ravel().tolist(), count],
        ).fetchone()[0]
        assert 0.935 < found < 0.965
