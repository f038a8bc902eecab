"""The filter's score: chance on noise, one on what is trivial, and the rest in between."""

import pickle
import random

import numpy as np
import pytest

from priors.sampling.learnability import out_of_bag_score
from priors.streams import stream


def noise(num_datapoints=300, num_features=4, seed=0):
    return stream(seed).standard_normal((num_datapoints, num_features), dtype=np.float32)


@pytest.mark.parametrize("num_classes", [2, 5])
def test_noise_is_chance(num_classes):
    scores = [
        out_of_bag_score(noise(seed=seed), stream(1, seed).integers(0, num_classes, 300), stream(2, seed))
        for seed in range(8)
    ]
    assert abs(np.mean(scores) - 0.5) < 0.05


@pytest.mark.parametrize("num_classes", [2, 4])
def test_separable_classes_are_trivial(num_classes):
    y = np.arange(300) % num_classes
    x = noise()
    x[:, 1] = y
    assert out_of_bag_score(x, y, stream(0)) > 0.97


def test_more_label_noise_scores_less():
    x = noise()
    clean = (x[:, 0] + x[:, 1] > 0).astype(int)
    scores = []
    for share in (0, 0.3, 1):
        flipped = np.where(stream(1).random(300) < share, stream(2).integers(0, 2, 300), clean)
        scores.append(out_of_bag_score(x, flipped, stream(0)))
    assert scores[0] > 0.9 > 0.85 > scores[1] > 0.65 > scores[2]


def test_regression_scores_r2():
    x = noise()
    assert out_of_bag_score(x, (2 * x[:, 0]).astype(np.float32), stream(0)) > 0.7
    assert out_of_bag_score(x, noise(seed=1)[:, 0], stream(0)) < 0.1
    assert out_of_bag_score(x, np.sign(x[:, 0]), stream(0)) > 0.85


def test_regression_does_not_depend_on_the_scale_of_the_target():
    x = noise()
    y = x[:, 0] + 0.3 * noise(seed=1)[:, 0]
    scores = [out_of_bag_score(x, scale * y + 5, stream(0)) for scale in (1.0, 1000.0)]
    assert abs(scores[0] - scores[1]) < 1e-3


def test_missing_cells_count_as_0():
    x = noise()
    y = (x[:, 0] > 0).astype(int)
    x[stream(1).random(x.shape) < 0.2] = np.nan
    before = x.copy()
    assert 0.7 < out_of_bag_score(x, y, stream(0)) < 1
    np.testing.assert_array_equal(x, before)
    filled = np.where(np.isnan(x), np.float32(0), x)
    assert out_of_bag_score(filled, y, stream(0)) == out_of_bag_score(x, y, stream(0))


def test_labels_need_not_be_the_first_integers():
    x = noise()
    y = (x[:, 0] > 0).astype(int)
    assert out_of_bag_score(x, 3 + 4 * y, stream(0)) == out_of_bag_score(x, y, stream(0))


def test_the_generator_determines_the_score_and_global_state_is_left_alone():
    x, y = noise(), stream(1).integers(0, 2, 300)
    before = pickle.dumps((random.getstate(), np.random.get_state()))  # noqa: NPY002
    assert out_of_bag_score(x, y, stream(3)) == out_of_bag_score(x, y, stream(3))
    assert out_of_bag_score(x, y, stream(3)) != out_of_bag_score(x, y, stream(4))
    assert pickle.dumps((random.getstate(), np.random.get_state())) == before  # noqa: NPY002
