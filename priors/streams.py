"""Random streams: where a seed becomes a generator, and how a generator is split."""

import numpy as np

# Named first keys of `stream`: who draws from it. Never reuse or renumber one.
BLOCK, DATASET, TRAIN = 0, 1, 2


def stream(seed: int, *key: int) -> np.random.Generator:
    """The generator of (seed, key): the only place where a seed becomes a generator.

    Streams with different keys are independent (128 bits of entropy each), so dataset i of a dump is
    ``sample_dataset(config, stream(seed, DATASET, i))`` whoever computes it, and whatever else is computed.

    Args:
        seed: a non-negative int of any size.
        key: non-negative ints; the first is one of the named keys of this module.

    Raises:
        ValueError: a negative seed or key.
    """
    if seed < 0 or any(part < 0 for part in key):
        raise ValueError(f"seed and key must not be negative, got seed={seed}, key={key}")
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


class _Words(np.random.bit_generator.ISeedSequence):
    """Hands given words to a bit generator as its initial state."""

    def __init__(self, words: np.ndarray):
        self.words = words

    def generate_state(self, n_words, dtype=np.uint32):
        return self.words


def split(rng: np.random.Generator, num_streams: int) -> list[np.random.Generator]:
    """Draw `num_streams` independent generators from `rng`, one for each consumer.

    What one consumer draws then never moves the draws of another. Each child's whole state (256 bits) comes
    from `rng`; this costs 2 microseconds a child where `Generator.spawn`, which hashes, costs 14.
    """
    words = rng.integers(0, 2**64, size=(num_streams, 4), dtype=np.uint64)
    return [np.random.Generator(np.random.PCG64(_Words(row))) for row in words]
