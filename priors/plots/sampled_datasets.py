"""The datasets that figures of a prior show: those that a dump of the prior would hold, with their graphs."""

from typing import NamedTuple

from priors.config import PriorConfig
from priors.dataset import Dataset
from priors.sampling.blocks import shared_in_block
from priors.sampling.dataset import Table, sample_with_table
from priors.sampling.random_scm import RandomSCM
from priors.sampling.structure import Structure
from priors.streams import DATASET, stream


class SampledDataset(NamedTuple):
    """One dataset of a prior with the graph, the model and the values of nodes that it comes from.

    Examples:
        >>> [sampled] = sample_datasets(PriorConfig(num_datapoints=20), num_draws=1, seed=0)
        >>> sampled.index, sampled.dataset.x.shape, len(sampled.structure.features)
        (0, (20, 5), 5)
    """

    index: int
    dataset: Dataset
    structure: Structure
    model: RandomSCM
    table: Table


def sample_datasets(config: PriorConfig, num_draws: int, seed: int) -> list[SampledDataset]:
    """The first dataset of each block, for as many blocks: datasets of one block share split and width.

    Examples:
        >>> sampled = sample_datasets(PriorConfig(num_datapoints=20, block_size=8), num_draws=3, seed=0)
        >>> [one.index for one in sampled]
        [0, 8, 16]
    """
    return [sample_in_block(config, seed, block) for block in range(num_draws)]


def sample_in_block(config: PriorConfig, seed: int, block: int) -> SampledDataset:
    """The first dataset of a block.

    Examples:
        >>> sample_in_block(PriorConfig(num_datapoints=20, block_size=8), seed=0, block=2).index
        16
    """
    of_block, single_eval_pos = shared_in_block(config, seed, block)
    index = block * config.block_size
    return SampledDataset(index, *sample_with_table(of_block, stream(seed, DATASET, index), single_eval_pos))


def check_num_draws(num_draws: int) -> None:
    """Stop before any work if a figure would show nothing.

    Raises:
        ValueError: fewer than one draw.

    Examples:
        >>> check_num_draws(0)
        Traceback (most recent call last):
        ValueError: num_draws must be at least 1, got 0
    """
    if num_draws < 1:
        raise ValueError(f"num_draws must be at least 1, got {num_draws}")
