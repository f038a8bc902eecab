"""PRESETS: named priors, each saying in PURPOSES what it is for and where it comes from."""

from priors.config import PriorConfig

PLAIN = {
    "categorical_fraction": (0, 0),
    "aggregations": {"joint": 1},
    "noise_kinds": {"additive": 1},
    "class_methods": {"quantile_cuts": 1},
    "warp_fraction": (0, 0),
    "quantized_fraction": (0, 0),
}
"""Real columns as the nodes give them, additive noise, classes by a threshold."""

GAUSSIAN = {"roots": {"normal": 1}, "noises": {"normal": 1}}

PRESETS: dict[str, PriorConfig] = {
    "default": PriorConfig(),
    "mlp-scm": PriorConfig(graphs={"layered": 1}, mechanisms={"mlp": 1}, **PLAIN, **GAUSSIAN),
    "tree-scm": PriorConfig(mechanisms={"oblivious_trees": 1, "decision_trees": 1}, **PLAIN),
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
        categorical_fraction=(0, 0.5),
    ),
    "gp": PriorConfig(mechanisms={"random_fourier_features": 1}, **PLAIN),
    "linear": PriorConfig(mechanisms={"linear": 1}, **PLAIN, **GAUSSIAN),
    "published-like": PriorConfig(
        graphs={"layered": 1},
        mechanisms={"mlp": 7, "decision_trees": 3},
        mix="dataset",
        relevant_fraction=(0, 1),
        noise_scale=(0.1, 1.0),
        **GAUSSIAN,
    ),
    "label-noise": PriorConfig(label_noise=(1, 1)),
}

PURPOSES: dict[str, str] = {
    "default": "Ours: all graph and mechanism families mixed. The prior to train on.",
    "mlp-scm": "Perceptron-shaped graphs with perceptrons, after TabPFN v1 (Hollmann et al., 2023).",
    "tree-scm": "Tree ensembles as mechanisms: step functions; after TabForestPFN (Breejen et al., 2024).",
    "graph-scm": "Scale-free and Cauchy graphs, mixed mechanisms, after TabPFN v2 and TabICLv2 (2025, 2026).",
    "gp": "Gaussian-process draws as mechanisms: smooth functions (Rahimi and Recht, 2007).",
    "linear": "Linear Gaussian models: a baseline that knows no interactions.",
    "published-like": "150 x 5, 2 classes: perceptrons or trees per dataset, after TabICL (Qu et al., 2025).",
    "label-noise": "The default with targets independent of features: a control that must teach nothing.",
}
