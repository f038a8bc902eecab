"""Datasets do not depend on the number of threads that numpy's products would take."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import networkx as nx
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from priors.blas_threads import one_blas_thread
from priors.config import PriorConfig
from priors.sampling.blocks import dataset_at, sample_block
from priors.sampling.dataset import sample_dataset
from priors.sampling.random_scm import sample_scm
from priors.streams import DATASET, stream

LARGE = PriorConfig(num_datapoints=1024, num_features=50, num_classes=10)


def num_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.mark.parametrize(
    "sample",
    [
        lambda: np.stack([dataset.x for dataset in sample_block(LARGE, 0, 0, num_datasets=16)]),
        lambda: dataset_at(LARGE, 0, 14).x,
        lambda: sample_dataset(LARGE, stream(0, DATASET, 14)).x,
        lambda: np.stack(
            list(
                sample_scm(
                    PriorConfig(mechanisms="mlp"),
                    nx.DiGraph([(f"cause {i}", "effect") for i in range(20)]),
                    stream(0),
                )
                .scm.sample(20_000, stream(1))
                .values()
            )
        ),
    ],
)
def test_the_bits_do_not_depend_on_it(sample):
    found = []
    for limit in (1, 2):
        with threadpool_limits(limit, user_api="blas"):
            found.append(sample())
    np.testing.assert_array_equal(*found)


def test_the_number_is_as_before_after_it_also_in_it_and_after_an_error():
    with threadpool_limits(2, user_api="blas"):
        before = num_threads()
        with one_blas_thread():
            with one_blas_thread():
                assert num_threads() == {1}
            assert num_threads() == {1}
        assert num_threads() == before
        with pytest.raises(ZeroDivisionError), one_blas_thread():
            1 / 0  # noqa: B018
        assert num_threads() == before


def test_it_holds_until_the_last_thread_has_left_it():
    both_are_in, first_is_out = Barrier(2), Barrier(2)

    def first():
        with one_blas_thread():
            both_are_in.wait(timeout=60)
        first_is_out.wait(timeout=60)

    def second():
        with one_blas_thread():
            both_are_in.wait(timeout=60)
            first_is_out.wait(timeout=60)
            return num_threads()

    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(2) as pool:
        begun = pool.submit(first)
        assert pool.submit(second).result() == {1}
        begun.result()
        assert num_threads() == {2}


def test_any_thread_can_set_the_number_after_it():
    with one_blas_thread():
        pass

    def limited():
        with threadpool_limits(1, user_api="blas"):
            return num_threads()

    with threadpool_limits(2, user_api="blas"):
        pass
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(limited).result() == {1}


def test_a_limit_of_another_thread_ends_as_it_should():
    def sampled():
        with one_blas_thread():
            return num_threads()

    before = num_threads()
    with ThreadPoolExecutor(1) as pool:  # its thread lives on
        with threadpool_limits(2, user_api="blas"):
            assert pool.submit(sampled).result() == {1}
            assert num_threads() == {2}
        assert num_threads() == before
