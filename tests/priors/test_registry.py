"""lookup: registered families, dotted paths, and what is refused."""

import pytest

from priors.config import (
    ConfigError,
    lookup,
)
from priors.families.graphs import GRAPHS, random_tree

# lookup


def test_lookup_finds_registered_families_and_dotted_paths(monkeypatch):
    assert lookup(GRAPHS, "random_tree") is random_tree
    assert lookup(GRAPHS, "priors.families.graphs:random_tree") is random_tree
    monkeypatch.setitem(GRAPHS, "mine", len)
    assert lookup(GRAPHS, "mine") is len


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "random_trees",
            r"unknown family 'random_trees'; did you mean random_tree\?, or a dotted path",
        ),
        ("priors.families.graphs.random_tree", "unknown family 'priors.families.graphs.random_tree'"),
        ("", "unknown family ''"),
        ("nowhere_at_all:f", "'nowhere_at_all:f' cannot be imported: No module named 'nowhere_at_all'"),
        ("priors.nowhere:f", "'priors.nowhere:f' cannot be imported"),
        (
            "priors.families.graphs:nothing",
            "'priors.families.graphs:nothing' cannot be imported: .*no attribute 'nothing'",
        ),
        ("priors.families.graphs:", "'priors.families.graphs:' cannot be imported"),
        (":random_tree", "':random_tree' cannot be imported"),
        (".graphs:random_tree", r"'\.graphs:random_tree' cannot be imported"),
        ("priors.families.graphs:GRAPHS", "'priors.families.graphs:GRAPHS' must be callable, got dict"),
    ],
)
def test_lookup_refuses_what_it_cannot_find(name, message):
    with pytest.raises(ConfigError, match=message):
        lookup(GRAPHS, name)


def test_a_module_that_is_broken_is_refused_by_name(monkeypatch, tmp_path):
    (tmp_path / "broken_family.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="'broken_family:f' cannot be imported"):
        lookup(GRAPHS, "broken_family:f")
