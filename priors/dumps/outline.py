"""What holds for all records of a dump: their number, their largest sizes, their block, their origin."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from priors.dumps.provenance import ORIGIN, STEPS
from priors.dumps.read import Dump
from priors.dumps.schema import COUNT_KEYS, NAMES, DumpError
from priors.streams import PRIOR_VERSION


@dataclass(frozen=True)
class Outline:
    """What holds for all records of a dump, in whatever kind of file they lie.

    Examples:
        >>> outline = Outline(64, max_rows=150, max_features=5, max_num_classes=2, block_size=32)
        >>> outline.num_datasets, outline.allow_missing
        (64, False)
    """

    num_datasets: int
    """D."""
    max_rows: int
    """Most rows of any dataset."""
    max_features: int
    """Most features of any dataset."""
    max_num_classes: int | None
    """Most classes of any dataset; None for regression."""
    block_size: int
    """How many consecutive datasets share a split and a shape, from the first one on; 1 if none do."""
    allow_missing: bool = False
    """Whether x may hold NaN, a missing value."""
    attributes: dict[str, Any] = field(default_factory=dict)
    """Where the records come from, and the names of columns: see `origin_attributes`."""


def origin_attributes(
    config_json: str,
    seed: int,
    first_dataset: int = 0,
    feature_names: Sequence[str] | None = None,
    target_name: str | None = None,
) -> dict[str, Any]:
    """The attributes that say where freshly sampled records come from.

    Args:
        config_json: the config of the prior, as JSON.
        seed: the seed of the datasets, of any size.
        first_dataset: the number of record 0 among all datasets of (config, seed): above 0 in a shard.
        feature_names: of the columns of X, where all datasets have the same.
        target_name: of y.

    Raises:
        ValueError: `config_json` is not JSON, or `first_dataset` is below 0.

    Examples:
        >>> origin_attributes('{"num_datapoints": 20}', seed=3)
        {'config': '{"num_datapoints": 20}', 'seed': '3', 'first_dataset': 0, 'prior_version': 2}
    """
    try:
        json.loads(config_json)
    except ValueError as error:
        raise ValueError(f"config_json must be JSON: {error}, got {config_json!r}") from error
    if first_dataset < 0:
        raise ValueError(f"first_dataset must be at least 0, got {first_dataset}")
    attributes: dict[str, Any] = {
        "config": config_json,
        "seed": str(seed),  # as text: a seed may exceed 64 bits
        "first_dataset": first_dataset,
        "prior_version": PRIOR_VERSION,
    }
    if feature_names is not None:
        attributes["feature_names"] = json.dumps(list(feature_names))
    if target_name is not None:
        attributes["target_name"] = target_name
    return attributes


def shared_block(dump: Dump) -> int:
    """How many consecutive datasets share a split and a shape: as the file says or, if not, as it shows.

    The published file does not say it, but its chunks are the blocks in which it was generated.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.dumps.read import open_dump
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = generate_dump(f"{folder}/my.h5", PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     with open_dump(f"{folder}/my.h5") as dump:
        ...         shared_block(dump)
        32
    """
    if dump.block_size is not None:
        return dump.block_size
    chunk = (dump.arrays["X"].chunks or (1,))[0]
    first = np.arange(len(dump)) // chunk * chunk  # the first record of each record's chunk
    counts = np.stack([getattr(dump, name) for name in COUNT_KEYS])  # (3, D)
    return chunk if np.array_equal(counts, counts[:, first]) else 1


def outline_of(dump: Dump, **changes: Any) -> Outline:
    """What holds for all records of `dump`, with its provenance as it is, and `changes`.

    Raises:
        DumpError: a classification dump that does not say how many classes there may be.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.dumps.read import open_dump
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/my.h5"
        ...     _ = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     with open_dump(path) as dump:
        ...         outline = outline_of(dump, num_datasets=2)
        >>> outline.num_datasets, outline.max_rows, outline.block_size, outline.attributes["seed"]
        (2, 20, 32, '0')
    """
    if dump.problem_type == "classification" and dump.max_num_classes is None:
        raise DumpError(f"{dump.path}: has no max_num_classes, without which it cannot be rewritten")
    known = {
        "num_datasets": len(dump),
        "max_rows": dump.max_rows,
        "max_features": dump.max_features,
        "max_num_classes": dump.max_num_classes,
        "block_size": shared_block(dump),
        "allow_missing": dump.allow_missing,
        "attributes": {
            name: value
            for name, value in dump.attributes.items()
            if name in (*ORIGIN, *STEPS, *NAMES) and isinstance(value, str | int)
        },
    }
    return Outline(**(known | changes))
