"""Statistics: published and known answers, invariances, and how often they claim what is not there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interval_coverage import SCENARIOS, coverage, without_late
from interval_coverage import simulate as simulate_studies
from scipy import stats

from nanotabpfn.studies.report.scores import compare_complete
from nanotabpfn.studies.statistics import (
    average_ranks,
    bayesian_signed_rank,
    bootstrap_interval,
    compare,
    mean_interval,
    rank_correlation,
    repeatability,
    shows_difference,
    trend,
    variance_components,
    variance_parts,
    verdict,
)

# AUC of four classifiers on 14 data sets: Demsar (2006), table 6.
DEMSAR = np.array(
    [
        [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.000, 0.940, 0.619, 0.972, 0.957],
        [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.000, 0.962, 0.666, 0.981, 0.978],
        [0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.000, 0.965, 0.614, 0.9751, 0.946],
        [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.000, 0.962, 0.669, 0.975, 0.970],
    ]
)


def simulate(rng, shape=(2, 3, 13), mean=0.0, table=0.02, data=0.0, model=0.0, rest=0.01):
    num_data, num_model, num_tables = shape
    return (
        mean
        + rng.normal(0, table, (1, 1, num_tables))
        + rng.normal(0, data, (num_data, 1, 1))
        + rng.normal(0, model, (1, num_model, 1))
        + rng.normal(0, rest, shape)
    )


def test_ranks_of_the_published_example():
    found = average_ranks(DEMSAR)
    assert found.means == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert found.critical_difference == pytest.approx(1.25, abs=5e-3)
    assert average_ranks(DEMSAR, 0.9).critical_difference == pytest.approx(1.12, abs=5e-3)
    # 9.28 there, without the correction for ties, which makes it 9.5
    assert found.friedman == pytest.approx(stats.friedmanchisquare(*DEMSAR).pvalue)
    assert found.friedman < 0.05


def test_ranks_of_two_arms_and_of_none():
    scores = np.array([[0.9, 0.8, 0.7, 0.6, 0.5], [0.8, 0.7, 0.6, 0.5, 0.5]])
    found = average_ranks(scores)
    assert found.means.tolist() == [1.1, 1.9]
    assert found.friedman == pytest.approx(2 * 0.5**4)
    assert average_ranks(np.full((3, 4), 0.5)).friedman == 1
    with pytest.raises(ValueError, match="at least 2 arms and 2 tables"):
        average_ranks(scores[:1])


def test_with_tables_alone_it_is_students_test():
    tables = np.random.default_rng(0).normal(0.01, 0.02, 13)
    found = compare(tables.reshape(1, 1, 13))
    expected = stats.ttest_1samp(tables, 0)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.interval == pytest.approx(expected.confidence_interval(0.95))
    assert found.wilcoxon == pytest.approx(stats.wilcoxon(tables).pvalue)


def test_seeds_are_averaged_before_tables_are_counted():
    tables = np.random.default_rng(0).normal(0.01, 0.02, 13)
    once = compare(tables.reshape(1, 1, 13))
    repeated = compare(np.broadcast_to(tables, (4, 5, 13)))
    assert repeated.interval == pytest.approx(once.interval)
    assert repeated.bootstrap == pytest.approx(once.bootstrap)
    assert repeated.wilcoxon == pytest.approx(once.wilcoxon)


def test_the_error_is_made_of_three():
    differences = simulate(np.random.default_rng(1), data=0.01, model=0.02)
    found = compare(differences)
    parts = [stats.sem(differences.mean(axis=axes)) ** 2 for axes in ((1, 2), (0, 2), (0, 1))]
    assert found.error == pytest.approx(sum(parts) ** 0.5)
    assert found.mean == pytest.approx(differences.mean())
    assert found.wins + found.losses == 13
    quantiles = stats.t.ppf(0.975, [1, 2, 12])
    half = (parts * quantiles**2).sum() ** 0.5
    assert found.interval == pytest.approx((found.mean - half, found.mean + half))


def test_the_p_value_is_the_level_at_which_the_interval_reaches_zero():
    found = compare(simulate(np.random.default_rng(1), mean=0.05, data=0.001))
    low, _ = compare(simulate(np.random.default_rng(1), mean=0.05, data=0.001), 1 - found.p_value).interval
    assert 0 < found.p_value < 0.05
    assert low == pytest.approx(0, abs=1e-9)


def test_parts_are_of_these_two_arms_and_one_for_each_kind_of_unit():
    differences = simulate(np.random.default_rng(0), (2, 3, 4))
    assert [freedom for _, freedom in variance_parts(differences)] == [3, 1, 2]
    assert [freedom for _, freedom in variance_parts(differences[:, :1])] == [3, 1]
    assert [freedom for _, freedom in variance_parts(differences[..., :1])] == [1, 2]
    assert variance_parts(differences[:1, :1, :1]) == []
    many = np.stack([differences, 2 * differences])
    for (one, _), (both, _) in zip(variance_parts(differences), variance_parts(many), strict=True):
        assert both == pytest.approx([one, 4 * one])


@settings(max_examples=15)
@given(st.integers(0, 1000))
def test_turned_round_it_says_the_opposite(seed):
    differences = simulate(np.random.default_rng(seed), mean=0.01)
    found, turned = compare(differences), compare(-differences)
    assert turned.mean == pytest.approx(-found.mean)
    assert turned.interval == pytest.approx((-found.interval[1], -found.interval[0]))
    assert (turned.wins, turned.losses) == (found.losses, found.wins)
    assert turned.p_value == pytest.approx(found.p_value)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_intervals_contain_the_truth_as_often_as_they_say(scenario):
    """Of late trainings of one arm alone only without them: why docs/studies.md warns of the others. A rare
    large loss is not seen in most studies."""
    found = coverage(scenario, 2_000)
    assert found.begun_share >= 0.935
    assert (found.share >= 0.935) == (scenario.late[0] == scenario.late[1])


def test_the_truth_of_a_scenario_is_the_mean_of_its_differences():
    for scenario in SCENARIOS:
        found = simulate_studies(scenario, 4_000, np.random.default_rng(1))
        means = found.differences.mean(axis=(1, 2, 3))
        assert means.mean() == pytest.approx(found.truth, abs=4 * stats.sem(means))


def test_without_late_trainings_the_simulation_keeps_the_pairs_that_a_report_keeps():
    scenario = next(one for one in SCENARIOS if any(one.late))
    found = simulate_studies(scenario, 50, np.random.default_rng(1))
    differences = np.where(found.is_late[..., None], np.nan, found.differences)
    expected = sorted(compare_complete(one, 0.95).interval for one in differences)
    simulated = sorted(compare(one).interval for pairs in without_late(found) for one in pairs)
    assert np.array(simulated) == pytest.approx(np.array(expected))


def test_tables_alone_would_take_the_luck_of_seeds_for_the_prior():
    """Why `compare` takes the seeds in."""
    rng = np.random.default_rng(0)
    tables = np.stack([simulate(rng, data=0.02).mean(axis=(0, 1)) for _ in range(300)])
    assert np.mean(stats.ttest_1samp(tables, 0, axis=1).pvalue < 0.05) > 0.3


def test_arms_that_are_equal_to_the_bit():
    found = compare(np.zeros((2, 3, 13)))
    assert found.interval == found.bootstrap == (0, 0)
    assert found.p_value == found.wilcoxon == 1
    assert not shows_difference(found, 1.0, 0.95)
    assert "no difference was shown" in verdict("a", "b", found, 1.0, 0.95, 0.01)


def test_a_broken_prior_is_found_worse():
    """Random targets: at chance where the other knows 0.8, with the spread that real studies have."""
    rng = np.random.default_rng(3)
    for _ in range(10):
        scores = np.stack([simulate(rng, (6, 1, 13), table=0.05, data=0.014) for _ in range(5)])
        scores[0] -= 0.3
        found = compare(scores[0] - scores[1])
        assert shows_difference(found, 4 * found.p_value, 0.95)
        assert verdict("broken", "good", found, 4 * found.p_value, 0.95, 0.01).startswith(
            "broken is worse than good: -0."
        )


def test_words_follow_the_statistics():
    rng = np.random.default_rng(0)
    near = compare(simulate(rng, table=0.001, rest=0.0001))
    assert "a difference of 0.01 or more is ruled out" in verdict("a", "b", near, 1.0, 0.95, 0.01)
    clear = compare(simulate(rng, mean=0.1))
    assert verdict("a", "b", clear, 0.001, 0.95, 0.01).startswith("a is better than b: +0.")
    assert "once the number of comparisons is accounted for" in verdict("a", "b", clear, 0.2, 0.95, 0.01)
    assert "less than the difference that matters" in verdict("a", "b", clear, 0.001, 0.95, 0.5)
    alone = compare(np.full((1, 1, 1), 0.3))
    assert "show nothing" in verdict("a", "b", alone, 1.0, 0.95, 0.01)
    assert not shows_difference(alone, alone.p_value, 0.95)


def test_the_bootstrap_covers_the_mean():
    rng = np.random.default_rng(0)
    covered = [
        low <= 0 <= high for low, high in (bootstrap_interval(rng.normal(size=30)) for _ in range(100))
    ]
    assert 0.86 <= np.mean(covered) <= 1
    assert bootstrap_interval(np.full(5, 0.3)) == (0.3, 0.3)
    assert np.isnan(bootstrap_interval(np.array([1.0]))).all()
    values = rng.normal(size=20)
    assert (
        bootstrap_interval(values) == bootstrap_interval(values[::-1]) == bootstrap_interval(np.sort(values))
    )
    wide, narrow = bootstrap_interval(values, 0.99), bootstrap_interval(values, 0.8)
    assert wide[0] < narrow[0] < values.mean() < narrow[1] < wide[1]


def test_bayesian_signed_rank():
    rng = np.random.default_rng(0)
    assert bayesian_signed_rank(rng.normal(0.1, 0.01, 13), 0.01)[2] > 0.99
    assert bayesian_signed_rank(rng.normal(-0.1, 0.01, 13), 0.01)[0] > 0.99
    assert bayesian_signed_rank(rng.normal(0, 0.001, 13), 0.01)[1] > 0.99
    worse, neither, better = bayesian_signed_rank(np.array([0.1, -0.1] * 6), 0.01)
    assert worse + neither + better == pytest.approx(1)
    assert worse == pytest.approx(better, abs=0.05)


def test_bayesian_signed_rank_beside_its_plain_form():
    differences, rope = np.array([0.03, -0.02, 0.015, 0.05]), 0.01
    rng = np.random.default_rng(5)
    z, wins = [0.0, *differences], np.zeros(3)
    for _ in range(4000):
        w = rng.dirichlet([0.5, 1, 1, 1, 1])
        shares = np.zeros(3)
        for i in range(5):
            for j in range(5):
                mean = (z[i] + z[j]) / 2
                shares[0 if mean < -rope else 2 if mean > rope else 1] += w[i] * w[j]
        wins[shares.argmax()] += 1
    assert bayesian_signed_rank(differences, rope) == pytest.approx(wins / 4000, abs=0.03)


def test_variance_components_of_known_ones():
    rng = np.random.default_rng(0)
    shape = (12, 10, 10, 40)
    known = {
        "prior": (0.5, (12, 1, 1, 1)),
        "table": (1.0, (1, 1, 1, 40)),
        "prior x table": (0.4, (12, 1, 1, 40)),
        "data seed": (0.3, (12, 10, 1, 1)),
        "model seed": (0.2, (12, 1, 10, 1)),
        "rest": (0.6, shape),
    }
    draws = [variance_components(sum(rng.normal(0, *effect) for effect in known.values())) for _ in range(8)]
    for name, (deviation, _) in known.items():
        assert np.mean([draw[name] ** 2 for draw in draws]) ** 0.5 == pytest.approx(deviation, rel=0.15), name


def test_variance_components_where_there_is_nothing():
    found = variance_components(np.random.default_rng(0).normal(size=(4, 1, 3, 13)) * 0.1)
    assert np.isnan(found["data seed"])
    assert found["rest"] == pytest.approx(0.1, rel=0.15)
    assert found["prior"] < 0.05
    assert set(variance_components(np.zeros((2, 2, 2, 3))).values()) == {0.0}


def test_a_trend_is_not_shown_more_often_than_allowed_and_a_known_one_is():
    rng, doses = np.random.default_rng(0), np.array([0.0, 0.1, 0.3, 1.0])
    noise = (
        rng.normal(0, 0.012, (4, 1_000, 1, 1, 13)) + rng.normal(0, 0.008, (4, 1_000, 6, 1, 1))
        + rng.normal(0, 0.01, (4, 1_000, 6, 1, 13))
    )  # fmt: skip
    for change, low, high in ((0.0, 0.0, 0.05), (0.03, 0.9, 1.0)):
        scores = noise + change * doses[:, None, None, None, None]
        found = np.stack([trend(scores[:, n], doses) for n in range(1_000)])  # (N, D, M, T)
        half = mean_interval(variance_parts(found), 0.95)
        assert found.mean() == pytest.approx(change, abs=0.001)
        assert low <= np.mean(np.abs(found.mean(axis=(1, 2, 3))) > half) <= high
    with pytest.raises(ValueError, match="doses must differ"):
        trend(np.zeros((2, 1, 1, 1)), np.ones(2))


def test_the_rank_correlation_is_of_ranks_and_its_interval_covers_the_truth():
    rng, covered = np.random.default_rng(0), 0
    true = 6 / np.pi * np.arcsin(0.7 / 2)  # of normal variables with a correlation of 0.7
    for _ in range(2000):
        x, y = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 24).T
        r, (low, high) = rank_correlation(x, y)
        covered += low <= true <= high
    assert covered / 2000 >= 0.935
    assert rank_correlation(np.exp(x), y**3) == (r, (low, high))
    assert rank_correlation(x, -y)[0] == pytest.approx(-r)
    assert r == pytest.approx(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])
    low, high = rank_correlation(x, x)[1]
    assert 0.99 < low < high <= 1


@pytest.mark.parametrize("y", [np.ones(12), np.arange(3)])
def test_no_rank_correlation_without_ranks(y):
    r, interval = rank_correlation(np.arange(len(y)), y)
    assert np.isnan([r, *interval]).all()


def test_repeatability_is_the_correlation_with_other_seeds_of_the_same_arms():
    rng = np.random.default_rng(0)
    arms = rng.normal(size=(2000, 1))
    once, again = (arms + rng.normal(0, 1, size=(2000, 3)) for _ in "ab")
    expected = rank_correlation(once.mean(axis=1), again.mean(axis=1))[0]
    assert repeatability(once) == pytest.approx(expected, abs=0.03)
    assert repeatability(rng.normal(size=(2000, 2))) == pytest.approx(0, abs=0.1)
    assert repeatability(np.stack([arms[:, 0], -arms[:, 0]], axis=1)) == 0
    assert np.isnan(repeatability(arms))


def test_a_seed_in_which_all_arms_are_equal_leaves_the_repeatability_unknown():
    assert np.isnan(repeatability(np.stack([np.arange(9.0), np.ones(9)], axis=1)))
