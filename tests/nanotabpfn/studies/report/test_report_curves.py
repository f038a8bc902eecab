"""The learning curves: a panel for each arm, on one axis, with the reference in each."""

import re

import numpy as np
import pytest

from nanotabpfn.studies.report import figures

STEPS = [10, 20, 30]


def band(*means):
    middle = np.array(means)
    return middle, middle - 0.3, middle + 0.01


def axes_of(monkeypatch, curves, levels):
    drawn = []
    monkeypatch.setattr(figures, "_picture", drawn.append)
    figures.learning_curves(STEPS, curves, "base", levels, "ROC AUC")
    [figure] = drawn
    return figure, [axes for axes in figure.axes if axes.get_title()]


@pytest.mark.parametrize("number", [1, 5, 12])
def test_every_arm_has_a_panel_with_itself_and_the_reference(monkeypatch, number):
    curves = {"base": band(0.6, 0.7, 0.8)} | {
        f"arm {i}": band(0.5, 0.6, 0.7 + i / 100) for i in range(number)
    }
    figure, panels = axes_of(monkeypatch, curves, {})
    assert [axes.get_title() for axes in panels] == [f"arm {i}" for i in range(number)]
    for i, axes in enumerate(panels):
        reference, own = (line.get_ydata() for line in axes.lines)
        assert list(reference) == [0.6, 0.7, 0.8]
        assert own[-1] == 0.7 + i / 100
        assert axes.get_ylim() == panels[0].get_ylim()
    assert len({text.get_text() for text in figure.legends[0].get_texts()}) == 2


def test_the_axis_spans_means_and_levels_near_them_and_no_late_seed(monkeypatch):
    curves = {"base": band(0.70, 0.75, 0.80), "arm": band(0.71, 0.76, 0.81)}
    levels = {"random_forest": 0.84, "decision_tree": 0.1}
    figure, [axes] = axes_of(monkeypatch, curves, levels)
    low, high = axes.get_ylim()
    assert 0.68 < low < 0.70
    assert 0.84 < high < 0.86
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown[0] == "random forest"
    assert "decision tree" not in shown


def test_a_study_of_the_reference_alone_has_one_panel():
    curves, levels = {"base": band(0.6, 0.7, 0.8)}, {"decision_tree": 7.4}
    svg = figures.learning_curves(STEPS, curves, "base", levels, "log loss").svg
    assert len(re.findall("training step", svg)) == 1
    assert "decision tree" in svg
