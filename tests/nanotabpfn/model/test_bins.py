"""Distributions over bins: known answers, functions compared with each other and with scipy's half-normal."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import halfnorm
from scipy.stats import t as student_t

from nanotabpfn.model.bins import (
    HALF_NORMAL_MEDIAN,
    cdf,
    log_density,
    mean,
    quantiles,
    standard_edges,
    standardize_targets,
)

EDGES = torch.tensor([-2.0, -1.0, -0.5, 0.25, 1.0, 3.0], dtype=torch.float64)
LOGITS = torch.log(torch.tensor([0.1, 0.2, 0.4, 0.25, 0.05], dtype=torch.float64))
INSIDE_ALONE = torch.tensor([-40.0, *[0.0] * 8, -40.0], dtype=torch.float64)  # nothing in the tails


def density(value, logits=LOGITS, edges=EDGES):
    return log_density(logits, edges, torch.tensor(value, dtype=torch.float64)).exp().item()


def test_the_density_integrates_to_one():
    inner = sum(quad(density, a, b)[0] for a, b in pairwise(EDGES[1:-1]))
    assert inner == pytest.approx(0.85)
    assert quad(density, -np.inf, -1.0)[0] == pytest.approx(0.1)
    assert quad(density, 1.0, np.inf)[0] == pytest.approx(0.05)


def test_the_density_of_known_places():
    assert density(0.0) == pytest.approx(0.4 / 0.75)
    assert density(-0.75) == pytest.approx(0.2 / 0.5)
    left, right = halfnorm(scale=1 / HALF_NORMAL_MEDIAN), halfnorm(scale=2 / HALF_NORMAL_MEDIAN)
    assert density(-3.5) == pytest.approx(0.1 * left.pdf(2.5))
    assert density(4.0) == pytest.approx(0.05 * right.pdf(3.0))
    # float32, a thousand deviations out: finite, and so is the gradient
    logits = LOGITS.float().requires_grad_()
    found = log_density(logits, EDGES.float(), torch.tensor(-1000.0))
    found.backward()
    assert torch.isfinite(found)
    expected = torch.eye(5)[0] - torch.softmax(LOGITS.float(), 0)
    torch.testing.assert_close(logits.grad, expected)


def test_half_of_a_tail_lies_within_its_bin():
    assert cdf(LOGITS, EDGES, EDGES[0]).item() == pytest.approx(0.05)
    assert cdf(LOGITS, EDGES, EDGES[-1]).item() == pytest.approx(0.975)


def test_the_cdf_is_the_integral_of_the_density():
    for value in (-2.7, -1.0, -0.6, 0.1, 1.0, 2.2):
        pieces = [-np.inf, *[edge for edge in EDGES[1:-1].tolist() if edge < value], value]
        below = sum(quad(density, a, b)[0] for a, b in pairwise(pieces))
        assert cdf(LOGITS, EDGES, torch.tensor(value, dtype=torch.float64)).item() == pytest.approx(below)


def test_the_mean_of_a_uniform_and_of_tails():
    edges = torch.linspace(-1, 9, 11, dtype=torch.float64)  # uniform on 0 to 8, but for the tails
    assert mean(INSIDE_ALONE, edges).item() == pytest.approx(4.0)
    assert quantiles(INSIDE_ALONE, edges, torch.tensor([0.25, 0.5])).tolist() == pytest.approx([2.0, 4.0])
    tail = torch.tensor([0.0, -90, -90, -90, -90], dtype=torch.float64)
    assert mean(tail, EDGES).item() == pytest.approx(-1 - halfnorm(scale=1 / HALF_NORMAL_MEDIAN).mean())
    right = tail.flip(0)
    assert mean(right, EDGES).item() == pytest.approx(1 + halfnorm(scale=2 / HALF_NORMAL_MEDIAN).mean())
    expected = sum(
        quad(lambda v: v * density(v), a, b)[0]
        for a, b in zip([-np.inf, *EDGES[1:-1]], [*EDGES[1:-1], np.inf], strict=True)
    )
    assert mean(LOGITS, EDGES).item() == pytest.approx(expected)


@settings(max_examples=50)
@given(
    logits=st.lists(st.floats(-8, 8), min_size=5, max_size=5),
    probabilities=st.lists(st.floats(0.001, 0.999), min_size=2, max_size=6),
)
def test_quantiles_are_the_inverse_of_the_cdf_and_ordered(logits, probabilities):
    logits = torch.tensor(logits, dtype=torch.float64)
    wanted = torch.tensor(sorted(probabilities), dtype=torch.float64)
    found = quantiles(logits, EDGES, wanted)
    torch.testing.assert_close(cdf(logits.expand(len(wanted), -1), EDGES, found), wanted)
    assert (found.diff() >= 0).all()


def test_quantiles_stay_finite_at_the_ends_and_in_float32():
    for dtype in (torch.float32, torch.float64):
        wanted = torch.tensor([1e-12, 1 - 1e-12], dtype=torch.float64)
        for logits in (LOGITS, INSIDE_ALONE[:5], torch.tensor([200.0, 0, 0, 0, 0])):
            found = quantiles(logits.to(dtype), EDGES.to(dtype), wanted)
            assert torch.isfinite(found).all()
            assert found[0] <= found[1]


def test_any_leading_axes():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    values = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    wanted = torch.tensor([0.1, 0.5, 0.8])
    for i in range(2):
        for j in range(3):
            one = logits[i, j]
            assert log_density(logits, EDGES, values)[i, j] == log_density(one, EDGES, values[i, j])
            assert cdf(logits, EDGES, values)[i, j] == cdf(one, EDGES, values[i, j])
            torch.testing.assert_close(mean(logits, EDGES)[i, j], mean(one, EDGES))
            assert torch.equal(quantiles(logits, EDGES, wanted)[i, j], quantiles(one, EDGES, wanted))


def test_the_standard_edges_are_quantiles_with_the_tails_medians_outside():
    edges = standard_edges(4)
    assert edges == pytest.approx(student_t(5).ppf([0.125, 0.25, 0.5, 0.75, 0.875]))
    wide = torch.tensor(standard_edges(), dtype=torch.float64)
    assert len(wide) == 101
    assert (wide.diff() > 0).all()
    torch.testing.assert_close(wide, -wide.flip(0))
    equal = torch.zeros(100, dtype=torch.float64)  # the t itself, up to the shape of its tails
    for value in (-2.0, 0.0, 0.7, 3.0):
        found = cdf(equal, wide, torch.tensor(value, dtype=torch.float64)).item()
        assert found == pytest.approx(student_t(5).cdf(value), abs=2e-3)
    with pytest.raises(ValueError, match="num_bins must be at least 2, got 1"):
        standard_edges(1)


def test_targets_are_standardized_by_training_rows_alone():
    y = torch.tensor([[1.0, 3.0, 5.0, 100.0], [7.1, 7.1, 7.1, 9.1], [0.0, 0.0, 1e-9, 1.0]])
    found = standardize_targets(y, 3)
    deviation = np.std([1, 3, 5])
    assert found[0].tolist() == pytest.approx([-2 / deviation, 0, 2 / deviation, 97 / deviation])
    assert found[1].tolist() == pytest.approx([0, 0, 0, 2], abs=1e-5)  # constant: the deviation counts as 1
    assert found[2, 3] == 100  # clipped
    assert standardize_targets(y[:, :2], 1)[0].tolist() == [0, 2]
