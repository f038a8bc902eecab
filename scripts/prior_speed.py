"""Times one generator of datasets: `benchmark.py prior` starts a process of this script for each generator.

Usage: python prior_speed.py GENERATOR, where GENERATOR is a key of GENERATORS or one of our presets. Each
line of standard input is a JSON object with `rows`, `features`, `classes` and `seconds`: the script samples
complete batches until they have taken `seconds` of CPU time. It answers with a line of JSON: `datasets`,
`cpu_seconds` and `peak_bytes`, the peak memory so far. The script also runs in the environments of other
generators, so it imports this project's packages only for our own presets.
"""

import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from itertools import count

BATCH = 32  # datasets; TabICL's own default of 256 is no faster


def preset(name: str, rows: int, features: int, classes: int) -> Iterator[int]:
    """Our preset `name`: every dataset has exactly this number of features and classes."""
    from priors.config import with_overrides
    from priors.presets import PRESETS
    from priors.sampling.blocks import sample_block

    shape = {
        "num_datapoints": rows,
        "num_features": (features, features),
        "num_classes": (classes, classes),
        "block_size": BATCH,
    }
    config = with_overrides(PRESETS[name], shape)
    for block in count():
        yield len(sample_block(config, 0, block))


def tabicl(kind: str, rows: int, features: int, classes: int) -> Iterator[int]:
    """TabICL's `PriorDataset`: at most this number of classes; constant features are replaced by zeros.

    It draws from three global generators, which are seeded here.
    """
    import numpy as np
    import torch
    from tabicl.prior import PriorDataset

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    prior = PriorDataset(
        prior_type=kind,
        batch_size=BATCH,
        min_features=features,
        max_features=features,
        max_classes=classes,
        max_seq_len=rows,
        n_jobs=1,
        device="cpu",
    )
    while True:
        x, *_ = prior.get_batch()
        assert x.shape == (BATCH, rows, features), x.shape
        yield len(x)


def dagzoo(rows: int, features: int, classes: int) -> Iterator[int]:
    """dagzoo's recipe `default-baseline`: at most this number of classes and features."""
    from dagzoo import generate_batch_iter
    from dagzoo.recipes import load_config_reference

    config = load_config_reference("recipe:default-baseline")
    config.dataset.n_train, config.dataset.n_test = rows // 2, rows - rows // 2
    config.dataset.n_features_min = config.dataset.n_features_max = features
    config.dataset.n_classes_max = classes
    for seed in count():
        bundles = list(generate_batch_iter(config, num_datasets=BATCH, seed=seed, device="cpu"))
        assert all(len(bundle.X_test) == config.dataset.n_test for bundle in bundles)
        assert all(bundle.X_test.shape[1] <= features for bundle in bundles)
        yield len(bundles)


GENERATORS = {
    "tabicl mix_scm": lambda *shape: tabicl("mix_scm", *shape),
    "tabicl graph_scm": lambda *shape: tabicl("graph_scm", *shape),
    "dagzoo": dagzoo,
}


def main() -> None:
    name, batches = sys.argv[1], {}
    answers, sys.stdout = sys.stdout, sys.stderr  # what a generator prints must not mix with the answers
    if name in GENERATORS:
        import torch

        torch.set_num_threads(1)
    for line in sys.stdin:
        asked = json.loads(line)
        shape = asked["rows"], asked["features"], asked["classes"]
        if shape not in batches:
            batches[shape] = GENERATORS[name](*shape) if name in GENERATORS else preset(name, *shape)
        begun, datasets = time.process_time(), 0
        while not datasets or time.process_time() - begun < asked["seconds"]:
            datasets += next(batches[shape])
        answer = {
            "datasets": datasets,
            "cpu_seconds": time.process_time() - begun,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
