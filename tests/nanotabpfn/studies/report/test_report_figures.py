"""Figures of a report: their texts, and the smallest studies."""

import re

import numpy as np

from nanotabpfn.studies.report.figures import (
    critical_differences,
    effect_intervals,
    gallery,
    heat_map,
    scatter,
)
from priors.sampling.structure import Structure


def test_a_figure_has_every_property_and_every_arm(texts):
    properties = {"forest": {"a": 0.6, "b": np.nan}, "coverage": {"a": 0.1, "b": 0.2}}
    assert "svg" in scatter(properties, {"a": 0.8, "b": 0.9}, {"forest": 0.8}, "ROC AUC").svg
    assert {"forest", "coverage", "1 a", "2 b", "ROC AUC"} <= set(texts)


def test_drawn_arms_have_marks_without_numbers(texts):
    properties = {"forest": {"a": 0.6, "many 1": 0.5, "many 2": 0.7}}
    scatter(properties, {"many 1": 0.8, "a": 0.8, "many 2": 0.9}, {}, "ROC AUC", ["many 1", "many 2"])
    assert {"1 a", "arms drawn at random"} <= set(texts)
    assert not [words for words in texts if "many" in words]


def test_figures_of_the_smallest_studies():
    assert "svg" in critical_differences({"a": 1.0, "b": 2.0}, 5.0).svg
    assert "svg" in heat_map(["a"], ["a"], np.array([[0.5]]), 1, "ROC AUC").svg
    structure = Structure([[], [0]], features=[0], target=1, family="random_tree")
    one_feature = np.zeros((4, 1)), np.array([0, 1, 0, 1])
    assert "svg" in gallery([structure], [one_feature]).svg
    assert "svg" in gallery([], [one_feature] * 2).svg


def test_one_wide_interval_does_not_make_points_of_the_others(texts):
    usual = {f"setting {number}": (0.004, (-0.006, 0.014), False) for number in range(5)}
    wide = {"differs": (-0.06, (-0.5, 0.4), False)}
    picture = effect_intervals({"log loss": (usual | wide, 0.015)})
    assert {"setting 0", "differs"} <= set(texts)
    assert "svg" in picture.svg
    numbers = [text.replace("\N{MINUS SIGN}", "-") for text in texts]
    ticks = [float(number) for number in numbers if re.fullmatch(r"-?\d+\.\d+", number)]
    assert -0.15 <= min(ticks) < 0 < max(ticks) <= 0.1


def test_effects_without_intervals_are_drawn_as_points(texts):
    alone = {"one table, one seed": (0.1, (np.nan, np.nan), False)}
    assert "svg" in effect_intervals({"log loss": (alone, 0.015)}).svg
    assert "one table, one seed" in texts
