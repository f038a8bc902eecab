"""What a figure of a prior shows: datasets that a dump of the prior would hold, with their graphs."""

from typing import NamedTuple

from priors.config import PriorConfig
from priors.sampling.blocks import shared_in_block
from priors.sampling.dataset import Dataset, sample_with_structure
from priors.sampling.structure import Structure
from priors.streams import DATASET, stream


class Draw(NamedTuple):
    """One dataset of a prior with the graph that it comes from.

    Examples:
        >>> [draw] = sample_draws(PriorConfig(num_datapoints=20), num_draws=1, seed=0)
        >>> draw.index, draw.dataset.x.shape, len(draw.structure.features)
        (0, (20, 5), 5)
    """

    index: int
    dataset: Dataset
    structure: Structure


def sample_draws(config: PriorConfig, num_draws: int, seed: int) -> list[Draw]:
    """The first dataset of each block, for as many blocks: datasets of one block share split and width.

    Examples:
        >>> draws = sample_draws(PriorConfig(num_datapoints=20, block_size=8), num_draws=3, seed=0)
        >>> [draw.index for draw in draws]
        [0, 8, 16]
    """
    draws = []
    for block in range(num_draws):
        of_block, single_eval_pos = shared_in_block(config, seed, block)
        index = block * config.block_size
        rng = stream(seed, DATASET, index)
        draws.append(Draw(index, *sample_with_structure(of_block, rng, single_eval_pos)))
    return draws


def check_draws(num_draws: int) -> None:
    """Stop before any work.

    Raises:
        ValueError: fewer than one draw.

    Examples:
        >>> check_draws(0)
        Traceback (most recent call last):
        ValueError: num_draws must be at least 1, got 0
    """
    if num_draws < 1:
        raise ValueError(f"num_draws must be at least 1, got {num_draws}")


def words(family: str) -> str:
    """The name of a family as text: without the module of a user's own, without underscores.

    Examples:
        >>> words("my_package.priors:erdos_renyi")
        'erdos renyi'
    """
    return family.rpartition(":")[2].replace("_", " ")
