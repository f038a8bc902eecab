"""scripts/marginals.py: draws are compared with declarations; faults of the size it is for are found."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from marginals import continuous, discrete, draw, main, rows_of, shares_of_num_nodes

from priors.config import PriorConfig
from priors.distributions import choice, log_uniform, uniform
from priors.presets import PRESETS

PAGE = "# Page\n\n<!-- marginals: linear -->\nold\n<!-- end -->\n\nMore.\n"


def test_the_table_of_a_preset_takes_the_place_of_the_old_one(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    arguments = ["linear", "--num-datasets", "64", "--write", str(page)]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    text = page.read_text()
    assert text.startswith("# Page\n\n<!-- marginals: linear -->\n\n`linear`, 64 datasets of seed 0; ")
    assert text.endswith("<!-- end -->\n\nMore.\n")
    assert "old" not in text
    for setting in ("graph", "noise_scale", "num_nodes", "parameters.linear.matrix"):
        assert f"| `{setting}` |" in text
    page.write_text("no marks")
    assert CliRunner().invoke(main, arguments).exit_code == 1


def test_settings_that_are_drawn_as_declared_pass_and_the_same_draws_fail_another_declaration():
    config = PRESETS["mixed"]
    drawn = draw(config, 300, 0, "mixed")
    rows = {row.setting: row for row in rows_of(config, drawn)}
    assert {"aggregations", "converters", "noise_kinds", "parameters.mlp.gain"} <= rows.keys()
    assert min(row.p for row in rows.values()) > 1e-5
    other = PriorConfig(noise_scale=(0.001, 1.0), roots={"normal": 9, "laplace": 1})
    failed = {row.setting: row.p for row in rows_of(other, {**drawn, "graph": []})}
    assert failed["noise_scale"] < 1e-10
    assert failed["roots"] < 1e-3


def test_every_distribution_has_its_declaration_and_its_test():
    config = PriorConfig(
        num_features=log_uniform(1, 6), num_classes=choice({2: 3, 4: 1}), noise_scale=uniform(0.1, 1)
    )
    rng = np.random.default_rng(0)
    drawn = {
        setting: [getattr(config, setting).at(place) for place in rng.random(4000)]
        for setting in ("num_features", "num_classes", "noise_scale")
    }
    rows = {row.setting: row for row in rows_of(config, defaultdict(list, drawn))}
    declared = {setting: row.declared for setting, row in rows.items()}
    assert declared == {
        "num_classes": "weights",
        "num_features": "log-uniform integers 1 to 6",
        "noise_scale": "uniform 0.1 to 1",
    }
    assert min(row.p for row in rows.values()) > 1e-3
    other = replace(config, num_features=(1, 6), num_classes=choice([2, 4]), noise_scale=(0.1, 1))
    assert max(row.p for row in rows_of(other, defaultdict(list, drawn))) < 1e-12


@pytest.mark.parametrize("share", [0.44, 0.5])
def test_a_share_of_44_in_place_of_50_percent_is_found(share):
    found = ["a"] * round(20_000 * share) + ["b"] * round(20_000 * (1 - share))
    assert (discrete("mix", "weights", found, {"a": 0.5, "b": 0.5}).p < 1e-12) == (share < 0.5)


def test_a_bell_is_no_uniform_range():
    rng = np.random.default_rng(0)
    assert continuous("gain", "uniform 0 to 1", rng.random(20_000), 0, 1).p > 1e-4
    assert continuous("gain", "uniform 0 to 1", rng.random((2, 20_000)).mean(axis=0), 0, 1).p < 1e-12


def test_numbers_of_nodes_follow_from_two_ranges():
    config = PriorConfig(num_features=5, num_nodes=(6, 7), hidden_fraction=(0, 0.25))
    shares = shares_of_num_nodes(config)  # 6 / (1 - hidden) is above 7 where hidden is above 1/7
    assert sum(shares.values()) == pytest.approx(1)
    assert shares[8] == pytest.approx(1 - 4 / 7, abs=1e-3)
    assert shares[7] == pytest.approx(4 / 7, abs=2e-3)
