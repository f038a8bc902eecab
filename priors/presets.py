"""PRESETS: named priors, each saying in PURPOSES what it is for and where it comes from."""

from priors.config import PriorConfig

PRESETS: dict[str, PriorConfig] = {
    "default": PriorConfig(),
    "mlp-scm": PriorConfig(graphs={"layered": 1}, mechanisms={"mlp": 1}, noises={"normal": 1}),
    "tree-scm": PriorConfig(mechanisms={"oblivious_trees": 1}),
    "gp": PriorConfig(mechanisms={"random_fourier_features": 1}),
    "linear": PriorConfig(mechanisms={"linear": 1}, noises={"normal": 1}),
}

PURPOSES: dict[str, str] = {
    "default": "All graph and mechanism families mixed: the prior to train on.",
    "mlp-scm": "Perceptron-shaped graphs with perceptrons, after TabPFN v1 (Hollmann et al., 2023).",
    "tree-scm": "Tree ensembles as mechanisms: step functions; after TabForestPFN (Breejen et al., 2024).",
    "gp": "Gaussian-process draws as mechanisms: smooth functions (Rahimi and Recht, 2007).",
    "linear": "Linear Gaussian models: a baseline that knows no interactions.",
}
