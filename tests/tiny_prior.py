"""TINY: a prior of datasets so small that tests can sample many of them."""

from priors.config import PriorConfig

TINY = PriorConfig(
    num_datapoints=24, num_features=(3, 3), num_nodes=(5, 8), train_fraction=(0.4, 0.6), block_size=4
)
