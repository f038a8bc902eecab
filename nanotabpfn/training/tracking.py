"""Trackers of a run: TensorBoard and Weights & Biases, behind one small interface."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

TENSORBOARD_FOLDER = "tensorboard"
"""In the directory of a run."""

TRACKERS: dict[str, Callable] = {}
"""name -> a context manager (folder, settings, step) that yields a function of a step's record."""


class TrackingError(Exception):
    """A tracker that is not installed; the message says how to install it."""


@contextmanager
def open_trackers(
    names: Sequence[str], folder: Path, settings: dict[str, Any], step: int
) -> Iterator[Callable[[dict[str, float]], None]]:
    """A function that writes each step's record to all trackers of `names`.

    Args:
        names: of TRACKERS.
        folder: of the run; TensorBoard writes into its folder `tensorboard`.
        settings: of the run; its `id` identifies it in Weights & Biases.
        step: from which the run is resumed; 0 at the start.

    Raises:
        TrackingError: a tracker is not installed.

    Examples:
        >>> @contextmanager
        ... def printer(folder, settings, step):
        ...     yield print
        >>> TRACKERS["printer"] = printer  # a tracker of your own
        >>> with open_trackers(["printer"], Path("runs/mine"), settings={}, step=0) as track:
        ...     track({"step": 1, "loss": 0.7})
        {'step': 1, 'loss': 0.7}
        >>> del TRACKERS["printer"]
    """
    with ExitStack() as stack:
        trackers = [stack.enter_context(TRACKERS[name](folder, settings, step)) for name in names]

        def track(record: dict[str, float]) -> None:
            for tracker in trackers:
                tracker(record)

        yield track


def check_trackers(names: Sequence[str]) -> None:
    """Check that all of them are installed, before any work.

    Raises:
        TrackingError: one is not installed.

    Examples:
        >>> MODULES["mine"] = "a_module_that_is_not_installed"
        >>> check_trackers(["mine"])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        nanotabpfn.training.tracking.TrackingError: --log mine needs packages that are not installed ...
        >>> del MODULES["mine"]
    """
    for name in names:
        _imported(name)


@contextmanager
def _tensorboard(
    folder: Path, settings: dict[str, Any], step: int
) -> Iterator[Callable[[dict[str, float]], None]]:
    """Each value of a record as a curve; `tensorboard --logdir` shows them."""
    module = _imported("tensorboard")
    # Steps that an earlier process wrote and that are repeated are not shown twice.
    with module.SummaryWriter(folder / TENSORBOARD_FOLDER, purge_step=step + 1) as writer:

        def track(record: dict[str, float]) -> None:
            for name, value in record.items():
                if name != "step":
                    writer.add_scalar(name, value, record["step"])

        yield track


@contextmanager
def _wandb(folder: Path, settings: dict[str, Any], step: int) -> Iterator[Callable[[dict[str, float]], None]]:
    """A run of the project `nanotabpfn`, unless WANDB_PROJECT names another; the same run if resumed."""
    module = _imported("wandb")
    run = module.init(
        project=os.environ.get("WANDB_PROJECT", "nanotabpfn"),
        dir=str(folder),
        name=folder.name,
        config=settings,
        id=settings["id"],
        resume="allow",
    )
    try:
        yield lambda record: run.log(
            {name: value for name, value in record.items() if name != "step"}, step=record["step"]
        )
    finally:
        run.finish()


TRACKERS |= {"tensorboard": _tensorboard, "wandb": _wandb}
MODULES = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb"}


def _imported(name: str) -> Any:
    try:
        return import_module(MODULES[name])
    except ImportError as error:
        raise TrackingError(
            f"--log {name} needs packages that are not installed ({error}): "
            'pip install "nanotabpfn-priors[logging]"'
        ) from error
