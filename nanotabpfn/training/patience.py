"""Early stopping: a run ends when its held-out loss no longer improves, and keeps its best model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import load_model, save_model
from nanotabpfn.training.curves import read_history
from nanotabpfn.training.run import BEST_FOLDER, HISTORY_FILE, Run


def evaluations_since_best(losses: Sequence[float]) -> int:
    """How many evaluations came after the first with the lowest loss.

    Examples:
        >>> evaluations_since_best([0.6, 0.4, 0.5, 0.4]), evaluations_since_best([])
        (2, 0)
    """
    return len(losses) - 1 - min(range(len(losses)), key=losses.__getitem__) if losses else 0


class Patience:
    """Keeps the best model of a run that is evaluated on held-out datasets.

    Its decisions depend on the history alone. The best models of steps after the last checkpoint are deleted
    when a run is resumed, as their steps are repeated; the one before them is still there, since models are
    deleted only when a checkpoint is complete.

    Args:
        run: opened at its last checkpoint.
        evaluations: without a lower loss, after which `should_stop` is true.

    Examples:
        >>> import tempfile
        >>> from types import SimpleNamespace
        >>> from nanotabpfn.training.run import create_run
        >>> estimator = SimpleNamespace(model=NanoTabPFNModel(8, 2, 8, 1))
        >>> with tempfile.TemporaryDirectory() as folder, create_run(Path(folder), {}) as run:
        ...     patience = Patience(run, evaluations=2)
        ...     for step, loss in enumerate([0.6, 0.5, 0.7, 0.8], start=1):
        ...         _ = patience.watch(lambda estimator: {"held_out_loss": loss})(estimator)
        ...         run.record({"step": step})
        ...     patience.best_step, patience.should_stop
        (2, True)
    """

    def __init__(self, run: Run, evaluations: int):
        self._run = run
        self._evaluations = evaluations
        records = read_history(run.folder / HISTORY_FILE) if run.step else []
        self._losses = {r["step"]: r["held_out_loss"] for r in records if "held_out_loss" in r}
        self.prune()

    @property
    def should_stop(self) -> bool:
        """Whether the loss has not improved for the given number of evaluations."""
        return evaluations_since_best(list(self._losses.values())) >= self._evaluations

    @property
    def best_step(self) -> int | None:
        """The first step of the lowest loss; None before the first evaluation."""
        return min(self._losses, key=self._losses.__getitem__) if self._losses else None

    @property
    def best_loss(self) -> float:
        """The lowest loss."""
        return min(self._losses.values())

    def watch(self, eval_func: Callable[[Any], dict[str, float]]) -> Callable[[Any], dict[str, float]]:
        """`eval_func`, that also saves the model if its held-out loss is the lowest so far."""

        def scores_and_best(estimator: Any) -> dict[str, float]:
            scores = eval_func(estimator)
            step = self._run.step + 1  # of the run's next record
            self._losses[step] = scores["held_out_loss"]
            if step == self.best_step:
                with self._run.writing():
                    save_model(estimator.model, self._path(step))
            return scores

        return scores_and_best

    def prune(self) -> None:
        """Delete the models other than the best; only when the last checkpoint includes its step."""
        for file in (self._run.folder / BEST_FOLDER).glob("step-*.safetensors"):
            if self.best_step is None or file != self._path(self.best_step):
                file.unlink()

    def best_model(self) -> NanoTabPFNModel:
        """The model of the lowest loss."""
        return load_model(self._path(self.best_step))

    def _path(self, step: int) -> Path:
        folder = self._run.folder / BEST_FOLDER
        folder.mkdir(exist_ok=True)
        return folder / f"step-{step:08}.safetensors"
