"""The watchdog of `nanotabpfn train`: whether training has begun, written into the run and reported once."""

import sys
from typing import Any

from tqdm import tqdm

from nanotabpfn.training.beginning import FIRST_VERDICT, WINDOW, begun_at, explain
from nanotabpfn.training.curves import read_history
from nanotabpfn.training.run import HISTORY_FILE, Run, write_settings


class Watch:
    """Follows the records of a run; keeps `begun` and `begun_at` in its config.json up to date.

    They are missing until training has begun or FIRST_VERDICT is reached; then `begun` is false until
    training begins. What it says depends on the history alone, so it is the same after a stop and a resume.

    Args:
        run: of classification, opened at its last checkpoint.
        stop_at: at this step and after it, a run that has not begun is to be stopped; None: never.
    """

    def __init__(self, run: Run, stop_at: int | None):
        self._run = run
        self._stop_at = stop_at
        earlier = read_history(run.folder / HISTORY_FILE) if run.step else []
        self._losses = [record["loss"] for record in earlier]
        self._entropies = [record["class_entropy"] for record in earlier]
        self.begun_at = begun_at(self._losses, self._entropies)
        self.should_stop = False
        self._write()

    def record(self, values: dict[str, float]) -> None:
        """Add the record of a step."""
        if self.begun_at is not None:
            return
        self._losses.append(values["loss"])
        self._entropies.append(values["class_entropy"])
        step = len(self._losses)
        if step % WINDOW:
            return
        self.begun_at = begun_at(self._losses, self._entropies)
        self._write()
        if self.begun_at is None:
            if step == FIRST_VERDICT:
                tqdm.write(f"Warning: {self.explain()}", file=sys.stderr)
            self.should_stop = self._stop_at is not None and step >= self._stop_at
        elif step > FIRST_VERDICT:
            tqdm.write(f"training has begun, by step {self.begun_at}", file=sys.stderr)

    def explain(self) -> str:
        """That training has not begun, the likely cause, and what to do."""
        training = self._run.settings["training"]
        return explain(len(self._losses), training["warmup_steps"], training["lr"])

    def _write(self) -> None:
        """Write into config.json what has changed."""
        settings = self._run.settings
        found: dict[str, Any] = {}
        if self.begun_at is not None or len(self._losses) >= FIRST_VERDICT:
            found = {"begun": self.begun_at is not None, "begun_at": self.begun_at}
        if found != {name: settings[name] for name in ("begun", "begun_at") if name in settings}:
            for name in ("begun", "begun_at"):
                settings.pop(name, None)
            settings |= found
            with self._run.writing():
                write_settings(self._run.folder, settings)
