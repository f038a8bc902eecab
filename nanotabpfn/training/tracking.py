"""Where a run can be watched beside its own history: TensorBoard, Weights & Biases; one small interface."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

TRACKERS: dict[str, Callable] = {}
"""name -> a context manager (folder, settings, step) that gives the function which takes a step's record."""


class TrackingError(Exception):
    """A tracker that cannot be had; the message says what to install."""


@contextmanager
def open_trackers(
    names: Sequence[str], folder: Path, settings: dict[str, Any], step: int
) -> Iterator[Callable[[dict[str, float]], None]]:
    """A function that tells each step's record to all trackers of `names`.

    Args:
        names: of TRACKERS.
        folder: of the run; TensorBoard writes into its folder `tensorboard`.
        settings: of the run; Weights & Biases knows it by its `id`.
        step: that the run goes on from; 0 at the start.

    Raises:
        TrackingError: a tracker is not installed.
    """
    with ExitStack() as stack:
        tells = [stack.enter_context(TRACKERS[name](folder, settings, step)) for name in names]

        def tell_all(record: dict[str, float]) -> None:
            for tell in tells:
                tell(record)

        yield tell_all


def check_trackers(names: Sequence[str]) -> None:
    """Whether all of them are installed, before any work.

    Raises:
        TrackingError: one is not.
    """
    for name in names:
        _imported(name)


@contextmanager
def tensorboard(
    folder: Path, settings: dict[str, Any], step: int
) -> Iterator[Callable[[dict[str, float]], None]]:
    """Each value of a record as a curve; `tensorboard --logdir` shows them."""
    module = _imported("tensorboard")
    # What an earlier process wrote of steps that come again is not shown.
    with module.SummaryWriter(folder / "tensorboard", purge_step=step + 1 if step else None) as writer:

        def tell(record: dict[str, float]) -> None:
            for name, value in record.items():
                if name != "step":
                    writer.add_scalar(name, value, record["step"])

        yield tell


@contextmanager
def wandb(folder: Path, settings: dict[str, Any], step: int) -> Iterator[Callable[[dict[str, float]], None]]:
    """A run of the project `nanotabpfn`, unless WANDB_PROJECT names another; going on, the same run."""
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


TRACKERS |= {"tensorboard": tensorboard, "wandb": wandb}
MODULES = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb"}


def _imported(name: str) -> Any:
    try:
        return import_module(MODULES[name])
    except ImportError as error:
        raise TrackingError(
            f'--log {name} needs what is not installed ({error}): pip install "nanotabpfn-priors[logging]"'
        ) from error
