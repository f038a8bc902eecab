"""Main effects: known answers, least squares, intervals that hold, and few claims where there is nothing."""

import numpy as np
import pytest
from effect_coverage import SCENARIOS, Scenario, coverage, interaction_claims, simulate
from scipy import stats

from nanotabpfn.studies.designs import design_matrix, draw, setting_of
from nanotabpfn.studies.effects import (
    complete_grid,
    contrasts,
    estimates,
    interaction,
    noisiest,
    weights_of,
)
from nanotabpfn.studies.power import Components, Design, smallest_effects
from nanotabpfn.studies.statistics import compare, mean_interval

VARY = {
    "noise": "uniform(0, 0.4)",
    "scale": "log_uniform(0.01, 1)",
    "mechanisms": ["linear", "mlp", "trees"],
    "mix": ["a", "b"],
}
SETTINGS = tuple(setting_of(*item) for item in VARY.items())


def design(num_arms=24):
    arms = draw(SETTINGS, VARY, num_arms, seed=3)
    return arms, design_matrix(SETTINGS, arms)


def test_known_coefficients_are_found():
    arms, columns = design()
    means = np.array(
        [
            0.7 - 0.1 * arm["noise"] / 0.4 + 0.02 * np.log10(arm["scale"])
            + {"linear": 0.0, "mlp": 0.05, "trees": -0.03}[arm["mechanisms"]] + 0.01 * (arm["mix"] == "b")
            for arm in arms
        ]
    )  # fmt: skip
    scores = means[:, None, None, None] + np.random.default_rng(0).normal(0, 0.1, (1, 3, 1, 5))  # blocks
    found = estimates(contrasts(scores, columns, is_sample=True), 0.95)
    assert [one.mean for one in found] == pytest.approx([-0.1, 0.04, 0.05, -0.03, 0.01])
    assert all(one.p_value < 1e-6 for one in found)
    noisy = scores + np.random.default_rng(1).normal(0, 0.01, (24, 3, 1, 5))
    for one, truth in zip(estimates(contrasts(noisy, columns, True), 0.95), (-0.1, 0.04), strict=False):
        assert one.interval[0] < truth < one.interval[1]
        assert one.interval[1] - one.interval[0] < 0.04


def test_with_one_table_and_one_seed_it_is_ordinary_least_squares():
    rng = np.random.default_rng(0)
    doses, group = np.linspace(0, 1, 12), np.tile([0.0, 1.0], 6)
    y = 0.3 * doses + rng.normal(size=12)
    [found] = estimates(contrasts(y.reshape(-1, 1, 1, 1), doses[:, None], True), 0.95)
    line = stats.linregress(doses, y)
    half = line.stderr * stats.t.ppf(0.975, 10)
    assert (found.mean, found.error, found.p_value) == pytest.approx((line.slope, line.stderr, line.pvalue))
    assert found.interval == pytest.approx((line.slope - half, line.slope + half))
    [of_groups] = estimates(contrasts(y.reshape(-1, 1, 1, 1), group[:, None], True), 0.95)
    expected = stats.ttest_ind(y[group == 1], y[group == 0])
    assert of_groups.p_value == pytest.approx(expected.pvalue)
    assert of_groups.interval == pytest.approx(expected.confidence_interval(0.95))


def test_a_factorial_of_two_arms_is_the_comparison_of_the_two():
    scores = np.random.default_rng(0).normal(size=(2, 6, 1, 13))
    [found] = estimates(contrasts(scores, np.array([[0.0], [1.0]]), is_sample=False), 0.95)
    expected = compare(scores[1] - scores[0])
    assert found.mean == pytest.approx(expected.mean)
    assert found.interval == pytest.approx(expected.interval)
    assert found.p_value == pytest.approx(expected.p_value)


def test_main_effects_of_a_factorial_are_means_over_the_other_settings():
    scores = np.array([0.1, 0.2, 0.4, 0.9]).reshape(4, 1, 1, 1)
    columns = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    assert contrasts(scores, columns, False).means == pytest.approx([0.5, 0.3])
    assert interaction(scores, columns, [0], [1], False).means == pytest.approx([0.4])


def test_a_known_interaction_is_found():
    columns = design(40)[1]
    truth = 0.2 * columns[:, 0] * columns[:, 4]
    noise = np.random.default_rng(0).normal(0, 0.005, (40, 2, 1, 5))
    scores = truth[:, None, None, None] + noise
    [found] = estimates(interaction(scores, columns, [0], [4], True), 0.95)
    assert found.mean == pytest.approx(0.2, abs=0.02)
    assert found.p_value < 1e-6
    [nothing] = estimates(interaction(noise, columns, [0], [4], True), 0.95)
    assert nothing.p_value > 0.01


def test_luck_of_an_arm_is_not_taken_for_repetitions():
    """Cells of one arm share the arm: more seeds and tables do not narrow what only more arms can."""
    columns = design()[1]
    of_arms = np.random.default_rng(0).normal(0, 0.02, (24, 1, 1, 1))
    [first, *_] = estimates(contrasts(np.broadcast_to(of_arms, (24, 1, 1, 1)), columns, True), 0.95)
    [many, *_] = estimates(contrasts(np.broadcast_to(of_arms, (24, 8, 1, 30)), columns, True), 0.95)
    assert many.interval == pytest.approx(first.interval)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_intervals_contain_the_truth_and_nulls_are_not_claimed(scenario):
    found = coverage(scenario, 1_000)
    assert found.share >= 0.935
    assert found.worst >= 0.9
    assert found.claims <= 0.05


@pytest.mark.parametrize("scenario", [SCENARIOS[0], SCENARIOS[4], SCENARIOS[-1]])
def test_interactions_of_nothing_are_not_claimed(scenario):
    assert interaction_claims(scenario, 300) <= 0.05


def test_without_the_arms_as_units_the_intervals_are_too_narrow():
    """Why the residual of the arms is a part of the interval."""
    found = simulate(Scenario("misfit", misfit=0.016, shape=(6, 1, 13)), 500, np.random.default_rng(0))
    effects = contrasts(found.scores, found.columns, is_sample=False)
    assert np.mean(np.abs(effects.means) <= mean_interval(effects.parts, 0.95)) < 0.8


def test_the_smallest_main_effect_is_shown_in_80_percent_of_simulated_studies():
    components, shape = Components(0.01, 0.014, 0.02), (2, 1, 13)
    columns = design(24)[1]
    norms = np.square(weights_of(columns)).sum(axis=1)
    rng, size = np.random.default_rng(0), (2_000, 24)
    noise = (
        components.tables * rng.standard_normal((*size, 1, 1, 13))
        + components.pairs * rng.standard_normal((*size, 2, 1, 1))
        + components.rest * rng.standard_normal((*size, 2, 1, 13))
    ) / np.sqrt(2)  # each arm has half of the variance of a difference
    smallest = smallest_effects(components, Design(*shape), norms.tolist(), 24, 0.95)
    found = contrasts(noise, columns, is_sample=True)
    shown = found.means + smallest > mean_interval(found.parts, 0.95)
    assert shown.mean(axis=0) == pytest.approx(np.full(5, 0.8), abs=0.06)


def test_what_cannot_be_estimated_is_an_error():
    with pytest.raises(ValueError, match="2 effects cannot be separated with 4 arms"):
        weights_of(np.array([[0.0, 0], [1, 1], [0, 0], [1, 1]]))
    with pytest.raises(ValueError, match="1 effects of 2 arms leave no residual"):
        contrasts(np.zeros((2, 1, 1, 1)), np.array([[0.0], [1.0]]), is_sample=True)


def test_the_grid_leaves_out_as_little_as_it_needs_to():
    is_there = np.ones((10, 4, 1), bool)
    assert [len(axis) for axis in complete_grid(is_there)] == [10, 4, 1]
    is_there[3, 1] = False
    assert 3 not in complete_grid(is_there)[0]
    is_there[:6, 3] = False  # the last seed is under way
    kept = complete_grid(is_there)
    assert [len(axis) for axis in kept] == [9, 3, 1]
    assert is_there[np.ix_(*kept)].all()
    assert 0 in [len(axis) for axis in complete_grid(np.zeros((2, 2, 1), bool))]
    one_missing = np.ones((8, 6, 1), bool)
    one_missing[0, 2] = False
    assert [len(axis) for axis in complete_grid(one_missing, keeps_arms=True)] == [8, 5, 1]


NOISY = Scenario("one level is five times as noisy", 60, noisy=5, noisy_setting=5)


def test_without_a_noisy_level_the_intervals_are_short_and_hold():
    all_arms = coverage(NOISY, 200)
    without = coverage(NOISY._replace(leaves_out=True), 200)
    assert without.half < 0.6 * all_arms.half
    assert without.share >= 0.935
    assert without.claims <= 0.05 + 2 * (0.05 * 0.95 / 200) ** 0.5


def test_of_arms_that_are_alike_no_level_is_called_noisy_more_often_than_stated():
    alike = NOISY._replace(noisy=1)
    one = simulate(alike, 200, np.random.default_rng(2))
    groups = [one.columns[:, number] == end for number in range(5, 10) for end in (0, 1)]
    found = [noisiest(scores, one.columns, groups, 0.95) for scores in one.scores]
    assert sum(noisy is not None for noisy in found) <= 200 * 0.05 + 2 * (200 * 0.05 * 0.95) ** 0.5
    loud = simulate(NOISY, 20, np.random.default_rng(2))
    found = [noisiest(scores, one.columns, groups, 0.95) for scores in loud.scores]
    assert [noisy.number for noisy in found if noisy] == [1] * sum(noisy is not None for noisy in found)
    assert sum(noisy is not None for noisy in found) >= 14


def test_a_small_group_of_arms_is_not_judged():
    rng = np.random.default_rng(0)
    group = np.arange(30) < 5
    scores = rng.normal(size=30) * np.where(group, 100, 1)
    assert noisiest(scores.reshape(30, 1, 1, 1), rng.random((30, 2)), [group], 0.95) is None
