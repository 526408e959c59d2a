"""Macros of the catalog: (n, p)-discoverability is Hayes et al.'s, also where 1 - p_z rounds to 1."""

from __future__ import annotations

import math

import pytest

import sql
from warehouse.catalog.macros import Macro
from warehouse.catalog.publish import connect_workspace, open_record, publish_catalog
from warehouse.catalog.queries import connect
from warehouse.errors import WarehouseError
from warehouse.home import Home

LOGPROBS = (-1e-12, -0.01, -0.7, -5.0, -9.2, -9.22, -23.0, -60.0, -400.0)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    made = Home(tmp_path_factory.mktemp("macros")).prepare()
    publish_catalog(made)
    return made


@pytest.fixture(scope="module")
def catalog(home):
    with connect(home) as connection:
        yield connection


def ask(catalog, expression, **values):
    return catalog.execute(f"SELECT {expression}", values).fetchone()[0]


@pytest.mark.parametrize("logprob", LOGPROBS)
@pytest.mark.parametrize("n", [1, 7, 1000, 10**9])
def test_extraction_is_what_independent_samples_give(catalog, logprob, n):
    effort = -math.log1p(-math.exp(logprob))
    expected = -math.expm1(-n * effort)
    found = ask(catalog, "extraction_probability($l::DOUBLE, $n)", l=logprob, n=n)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-300)
    for p in (0.01, 0.5, 0.9, 0.999):
        needed = math.log1p(-p) / -effort
        assert ask(catalog, "samples_needed($l::DOUBLE, $p)", l=logprob, p=p) == pytest.approx(max(1, needed), rel=1e-9)
        if abs(n / needed - 1) > 1e-6:
            assert ask(catalog, "discoverable($l::DOUBLE, $n, $p)", l=logprob, n=n, p=p) is (n >= needed)


def test_certain_and_impossible_continuations(catalog):
    assert ask(catalog, "discoverable(0.0, 1, 0.999999)") is True
    assert ask(catalog, "extraction_probability(0.0, 1)") == 1
    assert ask(catalog, "discoverable('-infinity'::DOUBLE, 1000000, 0.001)") is False
    assert ask(catalog, "samples_needed('-infinity'::DOUBLE, 0.5)") == math.inf
    assert ask(catalog, "discoverable(NULL::DOUBLE, 1, 0.5)") is None


def test_greedy_recital_of_a_coin_flip_follows_the_definition(catalog):
    """p_z = 1/2: one sample finds it with probability 1/2, two with 3/4."""
    half = math.log(0.5)
    answers = [ask(catalog, "discoverable($l::DOUBLE, $n, 0.6)", l=half, n=n) for n in (1, 2)]
    assert answers == [False, True]


def test_every_macro_is_in_the_catalog_with_its_comment_and_in_private_connections(home, catalog):
    found = catalog.execute("SELECT function_name, comment FROM duckdb_functions() WHERE NOT internal")
    assert dict(found.fetchall()) == {name: text.description for name, text in sql.load("macros").items()}
    with open_record(home) as connection:
        assert connection.execute("SELECT discoverable(-0.1, 10, 0.5)").fetchone() == (True,)


def test_a_macro_that_gives_rows_stands_in_from():
    text = "-- table up_to(last): numbers up to `last`.\nSELECT i FROM range(10) AS t(i) WHERE i <= last"
    with connect_workspace() as connection:
        connection.execute(Macro.of(sql.Query("up_to", text)).definition)
        assert connection.execute("SELECT count(*) FROM up_to(3)").fetchone() == (4,)


@pytest.mark.parametrize("text", ["SELECT 1", "-- other(a): x\nSELECT a", "-- needed: x\nSELECT a"])
def test_a_file_without_its_signature_is_refused(text):
    with pytest.raises(WarehouseError, match=r"sql/macros/needed.sql does not begin with its signature"):
        Macro.of(sql.Query("needed", text))
