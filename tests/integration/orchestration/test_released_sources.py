"""Releases of a profile: imported once, again when the profile names others, and from a folder without a network."""

import shutil

import pytest

from assets.framework.errors import RequestError
from assets.framework.profile import load_profile
from assets.framework.stage import Scope
from orchestration.sources.releases import provide_releases
from tests.support.shared_data import released
from warehouse.home import Home

PROFILE = """
name = "several"
[corpus]
corpus_id = "several"
source = "published releases"
kind = "released"
tokenizer = "some/tokenizer"
"""
RELEASE = """
[[releases]]
release = "{name}"
roles = ["others", "counted"]
address = "http://127.0.0.1:9/"
"""


def scope_of(folder, *names):
    path = folder / "profile.toml"
    path.write_text(PROFILE + "".join(RELEASE.format(name=name) for name in names))
    return Scope(Home(folder / "home").prepare(), load_profile(str(path)))


def test_a_profile_that_names_another_release_imports_again(tmp_path):
    data = tmp_path / "data"
    for name in ("lm-extraction-benchmark", "localizing-paragraph-memorization"):
        shutil.copytree(released(name), data / name)
    one = scope_of(tmp_path, "lm-extraction-benchmark")
    assert list(provide_releases(one, data))[-1].startswith("15,000 released paragraphs of 1 releases")
    assert list(provide_releases(one)) == [], "what is imported is not asked for again"
    two = scope_of(tmp_path, "lm-extraction-benchmark", "localizing-paragraph-memorization")
    said = list(provide_releases(two, data))
    assert said[-1].startswith("15,878 released paragraphs of 2 releases")
    assert set(two.read("released_paragraphs")["release"]) == {
        "lm-extraction-benchmark",
        "localizing-paragraph-memorization",
    }


def test_without_a_network_the_files_are_announced_and_their_addresses_given(tmp_path):
    asked = provide_releases(scope_of(tmp_path, "lm-extraction-benchmark"))
    names = "train_prefix.npy, train_suffix.npy, train_preprefix.npy"
    assert next(asked).startswith(f"Fetching {names} of lm-extraction-benchmark (6.0 MB; Apache-2.0")
    with pytest.raises(RequestError, match=r"--data: https://raw\.githubusercontent\.com/.*train_preprefix\.npy"):
        next(asked)


def test_a_folder_is_refused_where_nothing_would_be_fetched(tmp_path):
    with pytest.raises(RequestError, match="fetches no files"):
        list(provide_releases(scope_of(tmp_path), tmp_path))
