"""One generator of datasets, timed in a process of its own: `benchmark.py prior` starts one for each.

Usage: python prior_speed.py GENERATOR, a name of GENERATORS or a preset of ours. Each line of standard input
is a JSON object with `rows`, `features`, `classes` and `seconds`: whole batches are sampled until they took
so many CPU-seconds. The answer is a line of JSON with `datasets`, `cpu_seconds` and `peak_bytes`, the most
memory so far. It runs in the environments of the other generators too, so it imports ours only for ours.
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
    """Ours: every dataset has all features and exactly so many classes."""
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
    """TabICL's `PriorDataset`: up to so many classes, and zeros in the place of constant features.

    It draws from three global generators.
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
    """dagzoo's recipe `default-baseline`: up to so many classes, and features but for those it drops."""
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
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a generator prints is no answer
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
