"""Random streams: where a seed becomes a generator, and how a generator is split."""

import numpy as np

# Named first keys of `stream`: who draws from it. Never reuse or renumber one.
BLOCK, DATASET, TRAIN, SHUFFLE = 0, 1, 2, 3
STUDY = 5  # 4 is `AUDIT` of audit.py


def stream(seed: int, *key: int) -> np.random.Generator:
    """The generator of (seed, key): the only place where a seed becomes a generator.

    Streams with different keys are independent (128 bits of entropy each), so dataset i of a dump is
    ``sample_dataset(config, stream(seed, DATASET, i))`` whoever computes it, and whatever else is computed.

    Args:
        seed: below 2**128.
        key: ints below 2**32; the first is one of the named keys of this module.

    Raises:
        ValueError: a seed or key out of range. Larger ones would run into their neighbours: numpy joins the
            32-bit words of both.
    """
    if not 0 <= seed < 2**128 or not all(0 <= part < 2**32 for part in key):
        raise ValueError(
            f"seed must be in 0..2**128-1 and each part of key in 0..2**32-1, got seed={seed}, key={key}"
        )
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


class _Words(np.random.bit_generator.ISeedSequence):
    """Hands given words, row after row, to bit generators as their initial states."""

    def __init__(self, words: np.ndarray):
        self.rows = iter(words)

    def generate_state(self, n_words, dtype=np.uint32):
        return next(self.rows)


def split(rng: np.random.Generator, num_streams: int) -> list[np.random.Generator]:
    """Draw `num_streams` independent generators from `rng`, one for each consumer.

    What one consumer draws then never moves the draws of another. Each child's whole state (256 bits) comes
    from `rng`; this costs 2 microseconds a child where `Generator.spawn`, which hashes, costs 14. A child has
    no seed, so it cannot `spawn`; `split` it again.
    """
    words = _Words(rng.bit_generator.random_raw(4 * num_streams).reshape(num_streams, 4))
    return [np.random.Generator(np.random.PCG64(words)) for _ in range(num_streams)]
