"""Random streams: where a seed becomes a generator, and how a generator is split."""

from operator import index

import numpy as np

# Named first keys of `stream`, one for each use. Never reuse or renumber one.
BLOCK, DATASET, TRAIN, SHUFFLE = 0, 1, 2, 3
STUDY = 5  # 4 is `AUDIT` of audit.py
SAMPLE = 6  # of the datasets of a dump

PRIOR_VERSION = 2
"""Version of the code that samples: raised by hand whenever the same config and seed give other bits; the
fingerprints' test (tests/priors/test_presets.py) says when."""


def stream(seed: int, *key: int) -> np.random.Generator:
    """The generator of (seed, key): the only place where a seed becomes a generator.

    Streams with different keys are independent (128 bits of entropy each), so dataset i of a dump, which
    draws from ``stream(seed, DATASET, i)``, depends neither on the other datasets nor on the process that
    computes it.

    Args:
        seed: below 2**128.
        key: ints below 2**32; the first is one of the named keys of this module.

    Raises:
        ValueError: a seed or key out of range. Larger ones would collide with others: numpy joins the
            32-bit words of both.

    >>> stream(0, DATASET, 7).random() == stream(0, DATASET, 7).random()
    True
    """
    try:
        seed, *words = map(index, (seed, *key))
    except TypeError:
        message = f"seed and the parts of key must be integers, got seed={seed!r}, key={key}"
        raise TypeError(message) from None
    if not 0 <= seed < 2**128 or not all(0 <= word < 2**32 for word in words):
        raise ValueError(
            f"seed must be in 0..2**128-1 and each part of key in 0..2**32-1, got seed={seed}, key={key}"
        )
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


class _State(np.random.bit_generator.ISeedSequence):
    """Hands given words to a bit generator as its initial state."""

    __slots__ = ("words",)

    def __init__(self, words: np.ndarray):
        self.words = words

    def generate_state(self, n_words, dtype=np.uint32):
        return self.words


def draw_states(rng: np.random.Generator, num_streams: int) -> np.ndarray:
    """Draw the initial states of `num_streams` independent generators from `rng`: (num_streams, 4) uint64.

    `generator_of` makes a generator of each, as often as it is needed from its start.

    Examples:
        >>> first, second = draw_states(stream(0), 2)
        >>> generator_of(first).random() == generator_of(second).random()
        False
    """
    return rng.bit_generator.random_raw(4 * num_streams).reshape(num_streams, 4)


def generator_of(state: np.ndarray) -> np.random.Generator:
    """The generator that starts from a state (4,) of `draw_states`.

    >>> [state] = draw_states(stream(0), 1)
    >>> generator_of(state).random() == generator_of(state).random()
    True
    """
    return np.random.Generator(np.random.PCG64(_State(state)))


def split(rng: np.random.Generator, num_streams: int) -> list[np.random.Generator]:
    """Draw `num_streams` independent generators from `rng`, one for each stage.

    A stage then never changes what another stage draws. The whole state of each generator (256 bits) comes
    from `rng`; this takes 2 microseconds a generator where `Generator.spawn`, which hashes, takes 14. Such a
    generator has no seed, so it cannot `spawn`; `split` it again.

    >>> first, second = split(stream(0), 2)
    >>> first.random() != second.random()
    True
    """
    return [generator_of(state) for state in draw_states(rng, num_streams)]
