"""Batches of several loaders: mixed by weight, or one loader after the other."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

import numpy as np

from nanotabpfn.data.loaders import Loader, widest_range
from nanotabpfn.data.settings import check_settings, check_state, check_switches
from priors.streams import TRAIN, stream

MIXTURE = 0  # stream(seed, TRAIN, MIXTURE, step); the orders of dumps have the shorter key (TRAIN, epoch)


class _SeveralLoaders:
    """The shared half of both: iteration, the position and its state.

    Args:
        settings: what decides from which loader a batch comes, as plain values by name; part of a state.
    """

    def __init__(self, loaders: Sequence[Loader], num_steps: int, settings: dict[str, Any]):
        check_settings(num_steps=num_steps)
        if not loaders:
            raise ValueError("loaders must hold at least one, got none")
        problem_types = sorted({loader.problem_type for loader in loaders})
        if len(problem_types) > 1:
            raise ValueError(f"loaders must be of one problem type, got {' and '.join(problem_types)}")
        self.loaders = list(loaders)
        self.num_steps = num_steps
        [self.problem_type] = problem_types
        is_regression = self.problem_type == "regression"
        self.max_num_classes = None if is_regression else max(loader.max_num_classes for loader in loaders)
        self.has_missing = any(loader.has_missing for loader in loaders)
        self.trained_range = widest_range([loader.trained_range for loader in loaders])
        self._settings = settings
        self._position = 0

    def _place(self, step: int) -> int:
        """The number of the loader from which batch `step` comes, from 0."""
        raise NotImplementedError

    @property
    def num_skipped(self) -> int:
        """Datasets skipped so far because one of their cells is not finite."""
        return sum(loader.num_skipped for loader in self.loaders)

    def __len__(self) -> int:
        return self.num_steps

    def __iter__(self) -> Iterator[dict[str, Any]]:
        batches = [_endless(loader) for loader in self.loaders]
        for step in range(self._position, self._position + self.num_steps):
            place = self._place(step)
            batch = next(batches[place])
            batch["loader"] = place
            self._position = step + 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Its own position and the states of its loaders, as plain values that JSON can hold."""
        loaders = [loader.state_dict() for loader in self.loaders]
        return {**self._settings, "position": self._position, "loaders": loaders}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue, from the next iteration on, at the position of the one that gave `state`.

        Raises:
            ValueError: not a state of `state_dict`, or one with other settings. Nothing changes then.
        """
        check_state(state, self._settings)
        states = state.get("loaders")
        if not isinstance(states, list) or len(states) != len(self.loaders):
            raise ValueError(f"loaders of the state must be a list of {len(self.loaders)}, got {states!r}")
        before = [loader.state_dict() for loader in self.loaders]
        for number, loader in enumerate(self.loaders):
            try:
                loader.load_state_dict(states[number])
            except ValueError as error:
                for changed, old in zip(self.loaders[:number], before, strict=False):
                    changed.load_state_dict(old)
                raise ValueError(f"loader {number}: {error}") from error
        self._position = state["position"]


class MixedDataLoader(_SeveralLoaders):
    """Batches of several loaders: each comes from one of them, drawn by weight.

    Its batches have one more key, `loader`: the number of their loader.

    Args:
        loaders: of dumps or live priors. Each continues from its own position; its `num_steps` has no effect.
        weights: how often each is drawn, relative to the others.
        num_steps: batches of one iteration; the next iteration continues after them.
        seed: of the draws.

    Attributes:
        problem_type: `classification` or `regression`, the same for all loaders.
        max_num_classes: most classes of any loader; None in regression.
        has_missing: whether cells of any loader may be missing.
        trained_range: of all of them together.

    Raises:
        ValueError: no loader, loaders of both problem types, not one finite weight above 0 for each, fewer
            than one step, a negative seed.

    Examples:
        >>> from nanotabpfn.data.loaders import PriorDataLoader
        >>> from priors.config import PriorConfig
        >>> config = PriorConfig(num_datapoints=20, num_features=(2, 2), num_nodes=(5, 5), block_size=4)
        >>> loaders = [PriorDataLoader(config, 1, 4, "cpu", seed=seed) for seed in (0, 1)]
        >>> [batch["loader"] for batch in MixedDataLoader(loaders, [1, 1], num_steps=6)]
        [0, 1, 0, 1, 1, 1]
    """

    def __init__(self, loaders: Sequence[Loader], weights: Sequence[float], num_steps: int, seed: int = 0):
        check_settings(seed=seed)
        if len(weights) != len(loaders):
            raise ValueError(f"weights must be {len(loaders)}, one for each loader, got {len(weights)}")
        for weight in weights:
            if not (isfinite(weight) and weight > 0):
                raise ValueError(f"weights must be finite and above 0, got {weight}")
        if not isfinite(sum(weights)):
            raise ValueError(f"weights must have a finite sum, got {weights}")
        self.weights = [float(weight) for weight in weights]
        self.seed = seed
        super().__init__(loaders, num_steps, {"seed": seed, "weights": self.weights})

    def _place(self, step: int) -> int:
        shares = np.array(self.weights) / sum(self.weights)
        return int(stream(self.seed, TRAIN, MIXTURE, step).choice(len(shares), p=shares))

    def held_out_batches(self) -> list[dict[str, Any]]:
        """The held-out batches of all loaders, in the order of the loaders."""
        return [batch for loader in self.loaders for batch in loader.held_out_batches()]


class CurriculumDataLoader(_SeveralLoaders):
    """Batches of several loaders, one loader after the other: easy datasets first, say.

    Its batches have one more key, `loader`: the number of their loader. Its held-out datasets are those of
    the last loader, on whose prior the training ends.

    Args:
        loaders: of dumps or live priors, as of `MixedDataLoader`.
        switch_at: rising numbers of batches, one fewer than loaders: after so many, counted from the first,
            comes the next loader. The last one has no end.
        num_steps: batches of one iteration; the next iteration continues after them.

    Attributes:
        problem_type, max_num_classes, has_missing, trained_range: as of `MixedDataLoader`.

    Raises:
        ValueError: no loader, loaders of both problem types, `switch_at` that is not rising from 1, or not
            one fewer than loaders, fewer than one step.

    References:
        Bengio, Louradour, Collobert and Weston, Curriculum learning, ICML 2009.

    Examples:
        >>> from nanotabpfn.data.loaders import PriorDataLoader
        >>> from priors.config import PriorConfig
        >>> config = PriorConfig(num_datapoints=20, num_features=(2, 2), num_nodes=(5, 5), block_size=4)
        >>> loaders = [PriorDataLoader(config, 1, 4, "cpu", seed=seed) for seed in (0, 1)]
        >>> [batch["loader"] for batch in CurriculumDataLoader(loaders, [2], num_steps=5)]
        [0, 0, 1, 1, 1]
    """

    def __init__(self, loaders: Sequence[Loader], switch_at: Sequence[int], num_steps: int):
        if loaders and len(switch_at) != len(loaders) - 1:
            raise ValueError(
                f"switch_at must be {len(loaders) - 1}, one fewer than loaders, got {len(switch_at)}"
            )
        check_switches(switch_at)
        self.switch_at = [int(step) for step in switch_at]
        super().__init__(loaders, num_steps, {"switch_at": self.switch_at})

    def _place(self, step: int) -> int:
        return bisect_right(self.switch_at, step)

    def held_out_batches(self) -> list[dict[str, Any]]:
        """The held-out batches of the last loader."""
        return self.loaders[-1].held_out_batches()


def _endless(loader: Loader) -> Iterator[dict[str, Any]]:
    while True:
        yield from loader
