"""What all tests share: few threads, the files of tests/data, a tiny dump."""

from pathlib import Path

import pytest
import torch

from priors.config import PriorConfig
from priors.dump import write_dump
from priors.generate import generate_blocks

DATA = Path(__file__).parent / "data"

torch.set_num_threads(1)  # tests are small: threads cost more than they bring


@pytest.fixture(scope="session")
def reference_file() -> Path:
    """Inputs, weights, logits and losses of the published model, float64."""
    return DATA / "nanotabpfn_reference.h5"


@pytest.fixture(scope="session")
def published_like() -> Path:
    """640 datasets in the layout of the published dump; record 77 is damaged."""
    return DATA / "published_like.h5"


TINY = PriorConfig(
    num_datapoints=24, num_features=(3, 3), num_nodes=(5, 8), train_fraction=(0.4, 0.6), block_size=4
)


def write(path: Path, config: PriorConfig, num_datasets: int, seed: int = 0) -> Path:
    """A dump of `config`, as `priors generate` writes it."""
    write_dump(
        path,
        generate_blocks(config, num_datasets, seed),
        num_datasets=num_datasets,
        max_rows=config.num_datapoints,
        max_features=config.num_features[1],
        max_num_classes=config.num_classes[1],
        block_size=config.block_size,
        config_json=config.to_json(),
        seed=seed,
    )
    return path


@pytest.fixture(scope="session")
def tiny_dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 datasets of 24 rows x 3 features, 2 classes, in blocks of 4."""
    return write(tmp_path_factory.mktemp("dumps") / "tiny.h5", TINY, 64)
