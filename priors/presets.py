"""PRESETS: named priors, each saying in PURPOSES what it is for and where it comes from."""

from typing import Any

from priors.config import PriorConfig
from priors.families.graphs import GRAPHS
from priors.families.mechanisms import MECHANISMS
from priors.registry import Named

GAUSSIAN = {"roots": {"normal": 1}, "noises": {"normal": 1}}

# What tables often have in addition to real columns, additive noise and classes by a threshold.
RICH = {
    "aggregations": {"joint": 4, "sum": 1, "product": 1, "maximum": 1},
    "noise_kinds": {"additive": 4, "multiplicative": 1, "heteroscedastic": 1},
    "categorical_fraction": (0, 0.3),
    "class_methods": {
        "quantile_cuts": 4,
        "balanced_cuts": 1,
        "random_cuts": 1,
        "scattered_intervals": 1,
        "softmax_draw": 1,
    },
    "warp_fraction": (0, 0.3),
    "quantized_fraction": (0, 0.3),
}

PRESETS: dict[str, PriorConfig] = Named(
    "preset",
    {
        "default": PriorConfig(label_noise=(0, 0.3)),
        "mixed": PriorConfig(
            graphs=dict.fromkeys(GRAPHS, 1),
            mechanisms=dict.fromkeys(MECHANISMS, 1),
            label_noise=(0, 0.3),
            **RICH,
        ),
        "mlp-scm": PriorConfig(graphs={"layered": 1}, mechanisms={"mlp": 1}, **GAUSSIAN),
        "tree-scm": PriorConfig(mechanisms={"oblivious_trees": 1, "decision_trees": 1}),
        "graph-scm": PriorConfig(
            graphs={"cauchy": 1, "growing_network_with_redirection": 1},
            mechanisms={
                "linear": 1,
                "mlp": 1,
                "decision_trees": 1,
                "nearest_prototype": 1,
                "random_fourier_features": 1,
                "product": 1,
            },
            **RICH,
        ),
        "gp": PriorConfig(mechanisms={"random_fourier_features": 1}),
        "linear": PriorConfig(mechanisms={"linear": 1}, **GAUSSIAN),
        "published-like": PriorConfig(
            graphs={"layered": 1},
            mechanisms={"mlp": 7, "decision_trees": 3},
            mix="dataset",
            relevant_fraction=(0, 1),
            noise_scale=(0.1, 1.0),
            **GAUSSIAN,
        ),
        "label-noise": PriorConfig(label_noise=(1, 1)),
    },
)

PURPOSES: dict[str, str] = {
    "default": "Ours: mixed graphs and mechanisms, plain tables, as noisy as real ones.",
    "mixed": "All graphs and mechanisms, categories, warps, rounding: slower to learn from (docs/log.md).",
    "mlp-scm": "Perceptron-shaped graphs with perceptrons, after TabPFN v1 (Hollmann et al., 2023).",
    "tree-scm": "Tree ensembles as mechanisms: step functions; after TabForestPFN (Breejen et al., 2024).",
    "graph-scm": "Scale-free and Cauchy graphs, mixed mechanisms, after TabPFN v2 and TabICLv2 (2025, 2026).",
    "gp": "Gaussian-process draws as mechanisms: smooth functions (Rahimi and Recht, 2007).",
    "linear": "Linear Gaussian models: a baseline without interactions.",
    "published-like": "150 x 5, 2 classes: perceptrons or trees per dataset, after TabICL (Qu et al., 2025).",
    "label-noise": "The default with targets independent of features: a control that must teach nothing.",
}


def check_config(config: Any) -> None:
    """Refuse what is no config, such as the name of a preset.

    Raises:
        TypeError: the message says what to write instead.

    Examples:
        >>> check_config("default")
        Traceback (most recent call last):
        TypeError: config must be a PriorConfig, such as PRESETS["default"], got 'default'
    """
    if not isinstance(config, PriorConfig):
        raise TypeError(f'config must be a PriorConfig, such as PRESETS["default"], got {config!r:.100}')
