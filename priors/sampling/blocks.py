"""The datasets of a block of a dump: consecutive ones that share their split and number of features."""

from copy import copy

from priors.arguments import check_integer
from priors.blas_threads import one_blas_thread
from priors.config import PriorConfig
from priors.dataset import Dataset
from priors.distributions import integers
from priors.presets import check_config
from priors.sampling.dataset import sample_dataset
from priors.streams import BLOCK, DATASET, stream


def sample_block(
    config: PriorConfig, seed: int, block: int, num_datasets: int | None = None, first: int = 0
) -> list[Dataset]:
    """The datasets of one block: they share their split and number of features.

    Args:
        block: number of the block in the dump, from 0; it holds the datasets from ``block * block_size`` on.
        num_datasets: only so many of the block, all that there are from `first` on by default.
        first: place in the block of the first that is sampled.

    Examples:
        >>> block = sample_block(PriorConfig(num_features=(2, 5), block_size=3), seed=0, block=7)
        >>> len(block), len({(dataset.x.shape, dataset.single_eval_pos) for dataset in block})
        (3, 1)
    """
    size = config.block_size - first if num_datasets is None else num_datasets
    config, single_eval_pos = shared_in_block(config, seed, block)
    start = block * config.block_size + first
    with one_blas_thread():
        return [
            sample_dataset(config, stream(seed, DATASET, index), single_eval_pos)
            for index in range(start, start + size)
        ]


def shared_in_block(config: PriorConfig, seed: int, block: int) -> tuple[PriorConfig, int]:
    """What the datasets of a block share: the prior with their number of features, and their split.

    Examples:
        >>> shared, single_eval_pos = shared_in_block(PriorConfig(num_features=(2, 5)), seed=0, block=7)
        >>> shared.num_features[0] == shared.num_features[1]
        True
    """
    rng = stream(seed, BLOCK, block)
    single_eval_pos = config.split_range.at(rng.random())
    num_features = config.num_features.at(rng.random())
    shared = copy(config)
    # As `replace`, but for the checks, which take as long as two datasets: the range was checked.
    object.__setattr__(shared, "num_features", integers(num_features, num_features))
    return shared, single_eval_pos


def dataset_at(config: PriorConfig, seed: int, index: int) -> Dataset:
    """Dataset `index` of the dump of a config and seed, and of `generate`, without those before it.

    Args:
        index: from 0.

    Raises:
        ValueError: a negative index.

    >>> from priors import PRESETS
    >>> dataset = dataset_at(PRESETS["default"], seed=0, index=42)
    >>> dataset.x.shape
    (150, 5)
    """
    check_config(config)
    check_integer("index", index)
    if index < 0:
        raise ValueError(f"index must not be negative, got {index}")
    block, place = divmod(index, config.block_size)
    [dataset] = sample_block(config, seed, block, num_datasets=1, first=place)
    return dataset
