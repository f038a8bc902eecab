"""RECIPES: named settings of model and training, the published ones and changes to them that learn faster."""

from typing import Any, NamedTuple


class Recipe(NamedTuple):
    """`NanoTabPFNModel(**recipe.architecture)`, then `train(model, prior, **recipe.training)`.

    Attributes:
        purpose: what it changes, and why.
        source: its publication.
        architecture: arguments of the model other than its sizes.
        training: arguments of `train`.

    Examples:
        >>> RECIPES["mean-pooling"].architecture, RECIPES["mean-pooling"].training["lr"]
        ({'mean_pooling': True}, 0.004)
    """

    purpose: str
    source: str
    architecture: dict[str, Any]
    training: dict[str, Any]


_SPEEDRUN = "the nanoTabPFN speedrun, 2026"
_LR = 4e-3  # published; the same in all, so that a recipe is what its name says


class _Recipes(dict[str, Recipe]):
    def __missing__(self, name: str) -> Recipe:
        raise KeyError(f"unknown recipe {name!r}; known: {', '.join(self)}")


RECIPES = _Recipes(
    {
        "published": Recipe(
            "nanoTabPFN as published.",
            "Pfefferle et al., nanoTabPFN, 2025",
            {},
            {"lr": _LR, "optimizer": "adamw", "warmup_steps": 0},
        ),
        "warm-up": Recipe(
            "The learning rate rises in the first steps, while AdamW's moments are poor estimates.",
            "Defazio et al., The road less scheduled, NeurIPS 2024",
            {},
            {"lr": _LR, "optimizer": "adamw", "warmup_steps": 100},
        ),
        "muon": Recipe(
            "Orthogonal updates of the layers' matrices, equally large in all directions.",
            f"Jordan et al., Muon, 2024; {_SPEEDRUN}",
            {},
            {"lr": _LR, "optimizer": "muon", "warmup_steps": 0},
        ),
        "pre-norm": Recipe(
            "A path for the gradient around the layers, with a weight that later layers do not outgrow.",
            f"Xiong et al., On layer normalization, ICML 2020; {_SPEEDRUN}",
            {"pre_norm": True, "residual_decay": 0.95},
            {"lr": _LR, "optimizer": "adamw", "warmup_steps": 0},
        ),
        "mean-pooling": Recipe(
            "A row is decoded from the mean of its features' cells, so that each gets a direct gradient.",
            _SPEEDRUN,
            {"mean_pooling": True},
            {"lr": _LR, "optimizer": "adamw", "warmup_steps": 0},
        ),
        "target-aware": Recipe(
            "With mean pooling, targets are added to the cells of the features; they have no column.",
            "Qu et al., TabICLv2, 2026",
            {"mean_pooling": True, "target_aware": True},
            {"lr": _LR, "optimizer": "adamw", "warmup_steps": 20},
        ),
        "feature-groups": Recipe(
            "A column is embedded from three, which distinguishes columns of equal distribution.",
            f"Qu et al., TabICLv2, 2026; {_SPEEDRUN}",
            {"feature_group_size": 3},
            {"lr": _LR, "optimizer": "adamw", "warmup_steps": 0},
        ),
        "combined": Recipe(
            "Muon, pre-norm and mean pooling.",
            _SPEEDRUN,
            {"pre_norm": True, "residual_decay": 0.95, "mean_pooling": True},
            {"lr": _LR, "optimizer": "muon", "warmup_steps": 20},
        ),
    }
)

DEFAULT_RECIPE = "warm-up"
"""Of the command and of studies: the published architecture and optimizer, with a warm-up. Without it the
first steps can be so large that training never begins.

The warm-up has 100 steps however short the training is, so that a run which is resumed with more steps equals
a longer run. A training of fewer than about 100 steps is best given a shorter one (`--warm-up 20`): it would
end before the learning rate is reached.
"""
