"""The default ranges from which a prior draws the parameters of its families."""

from typing import Any

from priors.families.mechanisms import ACTIVATIONS


def default_parameters() -> dict[str, dict[str, Any]]:
    """The ranges of the families' parameters, wide enough to reach from plain to wild.

    Examples:
        >>> default_parameters()["decision_trees"]
        {'num_trees': (1, 2), 'depth': (2, 6)}
    """
    return {
        "erdos_renyi": {"mean_parents": (0.5, 3.0)},
        "barabasi_albert": {"num_edges": (1, 3)},
        "growing_network_with_redirection": {"redirection": (0.0, 1.0)},
        "layered": {"num_layers": (2, 6), "dropout": (0.0, 0.7)},
        "watts_strogatz": {"num_neighbours": (1, 3), "rewiring": (0.0, 0.7)},
        "linear": {"matrix": ["normal", "uniform", "signs", "decaying"]},
        "mlp": {"num_layers": (1, 2), "width": (3, 12), "gain": (0.8, 2.2), "activation": [*ACTIVATIONS]},
        "oblivious_trees": {"num_trees": (1, 6), "depth": (1, 4)},
        "decision_trees": {"num_trees": (1, 2), "depth": (2, 6)},
        "random_fourier_features": {"frequency": (0.25, 1.5), "spectrum": ["normal", "cauchy"]},
        "nearest_prototype": {"num_prototypes": (2, 12)},
        "product": {"rank": (1, 3)},
        "piecewise": {"num_knots": (1, 6), "kind": ["linear", "step"]},
        "periodic": {"frequency": (0.7, 3.0)},
        "ordered_cuts": {"num_categories": (2, 10)},
        "prototypes": {"num_categories": (2, 10)},
        "softmax_draw": {"num_categories": (2, 10)},
    }
