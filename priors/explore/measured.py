"""The datasets of a prior that the page measures, one by one and once, and the values of real tables."""

import json
from functools import lru_cache
from importlib.resources import files

import numpy as np

from priors.audit.measure import AUDIT, scores
from priors.audit.properties import PROPERTIES, table_properties
from priors.config import PriorConfig
from priors.plots.sampled_datasets import sample_in_block
from priors.streams import stream

MODELS = ("forest", "linear", "headroom")
"""The PROPERTIES that need a model: a random forest, a linear model, their difference."""
TABLE = tuple(name for name in PROPERTIES if name not in MODELS)
"""The PROPERTIES of the table alone."""
KEPT = 4096  # datasets whose measures are kept, so that a change of one prior costs nothing of the other


def measured(
    config: PriorConfig, seed: int, num_datasets: int, names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Some PROPERTIES of the first dataset of each block, by name: (num_datasets,) each, NaN if undefined.

    Args:
        names: of `MODELS`, which take some tens of milliseconds for each dataset, or of `TABLE`.

    Raises:
        NoDatasetError: every draw of a dataset was refused.

    Examples:
        >>> found = measured(PriorConfig(), 0, 3, TABLE)
        >>> found["correlation"].shape, sorted(found)
        ((3,), ['correlation', 'distinct', 'effective_dimension', 'skewness', 'smallest_class'])
    """
    measure = _models if set(names) <= set(MODELS) else _table
    found = [measure(config, seed, block) for block in range(num_datasets)]
    return {name: np.array([values[name] for values in found]) for name in names}


@lru_cache(KEPT)
def _table(config: PriorConfig, seed: int, block: int) -> dict[str, float]:
    dataset = sample_in_block(config, seed, block).dataset
    return table_properties(dataset.x, None if dataset.is_regression else dataset.y)


@lru_cache(KEPT)
def _models(config: PriorConfig, seed: int, block: int) -> dict[str, float]:
    """Trained on half of the rows, as the models of the real tables are; the scores are those of an audit."""
    index, dataset, *_ = sample_in_block(config, seed, block)
    num_train, rng = len(dataset.y) // 2, stream(seed, AUDIT, index)
    x = np.ascontiguousarray(dataset.x, np.float64)
    forest, linear = scores(x, dataset.y, num_train, not dataset.is_regression, rng)
    return {"forest": forest, "linear": linear, "headroom": forest - linear}


@lru_cache
def real_tables(problem_type: str) -> dict[str, dict[str, float]]:
    """Name of a real table -> its PROPERTIES, by name; those of the suites for choices, never for claims.

    `scripts/real_tables.py` writes the file that they are read from.

    Examples:
        >>> tables = real_tables("classification")
        >>> len(tables), tables["haberman"]["smallest_class"]
        (100, 0.265)
    """
    text = files("priors.explore").joinpath("real_tables.json").read_text(encoding="utf-8")
    tables = json.loads(text)[problem_type]
    return {
        name: {key: np.nan if value is None else value for key, value in found.items()}
        for name, found in tables.items()
    }
