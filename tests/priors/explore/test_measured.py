"""What the page measures: as an audit does, once for each dataset; real tables as the script does."""

import json

import numpy as np
import pytest
import real_tables as script

from priors.audit.properties import PROPERTIES, properties_of
from priors.config import PriorConfig
from priors.explore import measured as module
from priors.explore.measured import MODELS, TABLE, measured, real_tables
from priors.explore.pictures import SPANS, plot_properties
from priors.plots.sampled_datasets import sample_in_block

CONFIG = PriorConfig(num_datapoints=60)


def test_the_measures_are_those_of_the_properties():
    found = measured(CONFIG, 3, 2, TABLE) | measured(CONFIG, 3, 2, MODELS)
    assert found.keys() == PROPERTIES.keys()
    for block in range(2):
        index, dataset, *_ = sample_in_block(CONFIG, 3, block)
        x = np.ascontiguousarray(dataset.x, np.float64)
        expected = dict(zip(PROPERTIES, properties_of(x, dataset.y, 30, index), strict=True))
        for name in TABLE:
            assert found[name][block] == pytest.approx(expected[name], rel=1e-5)
        assert found["linear"][block] == expected["linear"]
        assert found["headroom"][block] == found["forest"][block] - found["linear"][block]


def test_a_dataset_is_measured_once(monkeypatch):
    measured(CONFIG, 4, 2, MODELS)
    monkeypatch.setattr(module, "sample_in_block", lambda *_: pytest.fail("sampled again"))
    assert len(measured(CONFIG, 4, 2, MODELS)["forest"]) == 2


def test_in_regression_there_are_no_classes():
    config = PriorConfig(num_datapoints=60, problem_type="regression")
    assert np.isnan(measured(config, 0, 2, TABLE)["smallest_class"]).all()
    assert (measured(config, 0, 2, MODELS)["forest"] < 1).all()


def test_the_file_of_real_tables_has_what_the_script_writes():
    few = {"classification": ("haberman", "car_class"), "regression": ("yacht",)}
    for problem_type, names in few.items():
        again = script.measure_tables(problem_type, names)
        shipped = {name: real_tables(problem_type)[name] for name in names}
        assert again.keys() == shipped.keys()
        for name in names:
            known = {key: np.nan if value is None else value for key, value in again[name].items()}
            assert shipped[name] == pytest.approx(known, rel=1e-3, nan_ok=True)
    assert len(real_tables("regression")) == 21
    assert np.isnan(real_tables("regression")["yacht"]["smallest_class"])


def test_the_file_holds_the_tables_for_choices_alone():
    suites = [suite for names in script.SUITES.values() for suite in names]
    assert all(suite.endswith("-dev") for suite in suites)
    text = json.loads(script.OUT.read_text(encoding="utf-8"))
    tables = {name for names in text.values() for name in names}
    assert tables == {table.name for table in script.load_suites(suites)}


def test_the_picture_has_a_panel_for_each_property_that_there_is_something_of():
    values = {name: np.array([np.nan, np.nan]) for name in TABLE} | {"skewness": np.array([0.5, 99.0])}
    figure = plot_properties({"A": values}, {}, "regression", "Few")
    [axes] = [axes for axes in figure.axes if axes.axison]
    assert axes.get_xlabel() == PROPERTIES["skewness"]
    assert axes.get_xlim() == SPANS["skewness"]
    assert "2 datasets of prior A" in figure.get_supxlabel()


def test_the_picture_shows_the_medians_of_priors_and_real_tables():
    priors = {"A": {"forest": np.array([0.6, 0.7, 0.9])}, "B": {"forest": np.array([0.8, np.nan, 0.8])}}
    real = {name: {"forest": value} for name, value in zip("abc", (0.5, 0.75, 0.95), strict=True)}
    [axes] = plot_properties(priors, real, "classification", "Scores").axes
    marks = [line.get_xdata()[0] for line in axes.lines if line.get_marker() in "v^"]
    assert marks == [0.7, 0.8, 0.75]
    figure = plot_properties(priors, real, "regression", "Scores")
    assert figure.axes[0].get_xlabel() == "R2 of a random forest"
    assert figure.axes[0].get_xlim()[0] < 0
