"""The directory of a training run: its settings, history, model, and checkpoints.

    DIR/config.json           all settings, resolved; the directory holds a run when this file is there
    DIR/history.jsonl         a record for each step
    DIR/model.safetensors     the averaged model of the last checkpoint
    DIR/checkpoints/          step-00000100.safetensors ...: models, with the state of the training
    DIR/best/                 with `--patience`: the averaged model of the lowest held-out loss so far
    DIR/tensorboard/          events, with `--log tensorboard`
    DIR/lock                  held by the process that trains

Each file except the history gets its name when it is complete. The history may be ahead of the last
checkpoint, never behind it: the surplus is cut when the run is resumed.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import (
    MODEL_FILE,
    PARTIAL_SUFFIX,
    load_state,
    save_checkpoint,
    save_model,
    write_atomically,
)
from nanotabpfn.training.tracking import TENSORBOARD_FOLDER

CONFIG_FILE, HISTORY_FILE, CHECKPOINTS_FOLDER, LOCK_FILE, BEST_FOLDER = (
    "config.json",
    "history.jsonl",
    "checkpoints",
    "lock",
    "best",
)


class RunError(Exception):
    """A directory that holds no valid run; the message names the file and says what is wrong."""


class DamagedRunError(RunError):
    """A run whose settings or history cannot be read, or contradict its last checkpoint."""


class WriteError(RunError):
    """A run that can no longer be written, on a full disk for instance; it can be resumed later."""


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings of the run in `folder`.

    Raises:
        RunError: there is none, or the disk cannot be read.
        DamagedRunError: its config.json holds no settings.

    Examples:
        >>> read_settings(Path("absent"))
        Traceback (most recent call last):
        nanotabpfn.training.run.RunError: absent holds no run: there is no config.json
    """
    file = folder / CONFIG_FILE
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{folder} holds no run: there is no {CONFIG_FILE}") from error
    except OSError as error:
        raise RunError(f"{file}: cannot be read: {error}") from error
    except ValueError as error:
        raise DamagedRunError(f"{file}: cannot be read: {error}") from error
    if not isinstance(settings, dict):
        raise DamagedRunError(f"{file}: must hold the settings of a run, got {settings!r}")
    return settings


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first.

    Examples:
        >>> checkpoints(Path("absent"))
        []
    """
    return sorted((folder / CHECKPOINTS_FOLDER).glob("step-*.safetensors"))


def last_state(folder: Path) -> dict[str, Any] | None:
    """The state of the last checkpoint of the run in `folder`; None before the first.

    Raises:
        CheckpointError: the file is damaged; if it is deleted, the run resumes from the one before.

    Examples:
        >>> last_state(Path("absent")) is None
        True
    """
    found = checkpoints(folder)
    return load_state(found[-1]) if found else None


class Run:
    """A run that only this process writes, from `create_run` or `resume_run`.

    Attributes:
        folder: where it is.
        settings: of its config.json.
        state: of the training, to resume from; None at the start.
        step: of the last record.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, create_run(Path(folder), {"lr": 0.004}) as run:
        ...     run.record({"step": 1, "loss": 0.7})
        ...     run.save_model(NanoTabPFNModel(8, 2, 8, 1))
        ...     run.step, sorted(file.name for file in run.folder.iterdir())
        (1, ['checkpoints', 'config.json', 'history.jsonl', 'lock', 'model.safetensors'])
    """

    def __init__(self, folder: Path, settings: dict[str, Any], state: dict[str, Any] | None, keep: int):
        self.folder = folder
        self.settings = settings
        self.state = state
        self.step = state["step"] if state else 0
        self._keep = keep
        self._history: BinaryIO = (folder / HISTORY_FILE).open("ab")

    def record(self, values: dict[str, Any]) -> None:
        """Add a step to the history."""
        with self.writing():
            self._history.write(json.dumps(values).encode() + b"\n")
            self._history.flush()
        self.step = values["step"]

    def checkpoint(self, model: NanoTabPFNModel, state: dict[str, Any]) -> None:
        """Save the averaged model and the state after a step whose record is in the history."""
        with self.writing():
            os.fsync(self._history.fileno())
            self.save_model(model)
            # Last: a checkpoint means that the other files are complete up to its step.
            name = f"step-{state['step']:08}.safetensors"
            save_checkpoint(model, state, self.folder / CHECKPOINTS_FOLDER / name)
            _remove_old_checkpoints(self.folder, self._keep)

    def save_model(self, model: NanoTabPFNModel) -> None:
        """Save the averaged model alone."""
        with self.writing():
            save_model(model, self.folder)

    def close(self) -> None:
        with suppress(OSError):  # it was reported when the record was written
            self._history.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn an error of the disk inside into a `WriteError` that names --resume."""
        try:
            yield
        except OSError as error:
            raise WriteError(
                f"{self.folder}: cannot be written after step {self.step}: {error.strerror}; when there is "
                f"space again: nanotabpfn train --resume {self.folder}"
            ) from error


@contextmanager
def create_run(
    folder: Path, settings: dict[str, Any], keep: int = 1, overwrite: bool = False
) -> Iterator[Run]:
    """A new run; the directory is created if it does not exist.

    Args:
        settings: for config.json.
        keep: number of latest checkpoints that are kept.
        overwrite: remove an existing run.

    Raises:
        RunError: there is a run, another process is training in it, or the directory cannot be written.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with create_run(Path(folder), {"lr": 0.004}) as run:
        ...         run.record({"step": 1, "loss": 0.7})
        ...     (Path(folder) / "history.jsonl").read_text().strip()
        '{"step": 1, "loss": 0.7}'
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}") from error
    with _locked(folder):
        try:
            if (folder / CONFIG_FILE).exists() and not overwrite:
                raise RunError(
                    f"{folder / CONFIG_FILE} exists; --overwrite replaces the run, "
                    f"--resume {folder} continues it"
                )
            others = [folder / MODEL_FILE, *checkpoints(folder)]
            found = next((file for file in others if file.exists()), None)
            if found is not None and not (folder / CONFIG_FILE).exists() and not overwrite:
                raise RunError(
                    f"{found} exists, though {folder} is not a run; train into another folder, or replace it "
                    "with --overwrite"
                )
            # The settings are deleted first and written last: no run ever holds the files of another.
            _remove_files(folder)
            (folder / CHECKPOINTS_FOLDER).mkdir(exist_ok=True)
            write_settings(folder, settings)
            run = Run(folder, settings, None, keep)
        except OSError as error:
            raise RunError(f"{folder}: cannot be written: {error}") from error
        try:
            yield run
        finally:
            run.close()


@contextmanager
def resume_run(folder: Path, settings: dict[str, Any], keep: int = 1) -> Iterator[Run]:
    """An existing run, to be resumed from its last checkpoint, or from the start if there is none.

    Args:
        settings: of its config.json, which is replaced if they differ.

    Raises:
        RunError: there is no run, another process is training in it, or it cannot be written.
        DamagedRunError: its history is behind the checkpoint.
        CheckpointError: the last checkpoint is damaged.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with create_run(Path(folder), {"lr": 0.004}) as run:
        ...         run.record({"step": 1, "loss": 0.7})
        ...     with resume_run(Path(folder), {"lr": 0.004}) as run:  # there is no checkpoint yet
        ...         run.step, run.state
        (0, None)
    """
    read_settings(folder)
    with _locked(folder):
        state = last_state(folder)
        try:
            _remove_partial_files(folder)
            _remove_old_checkpoints(folder, keep)
            _cut_history(folder / HISTORY_FILE, state["step"] if state else 0)
            (folder / CHECKPOINTS_FOLDER).mkdir(exist_ok=True)
            if settings != read_settings(folder):
                write_settings(folder, settings)
            run = Run(folder, settings, state, keep)
        except OSError as error:
            raise RunError(f"{folder}: cannot be written: {error}") from error
        try:
            yield run
        finally:
            run.close()


def write_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Write the config.json of the run in `folder`.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_settings(Path(folder), {"lr": 0.004})
        ...     read_settings(Path(folder))
        {'lr': 0.004}
    """
    write_atomically(folder / CONFIG_FILE, json.dumps(settings, indent=2).encode() + b"\n")


def remove_run(run: Run) -> None:
    """Delete a run, and its directory if nothing else is in it.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     with create_run(Path(parent, "mine"), {"lr": 0.004}) as run:
        ...         remove_run(run)
        ...     list(Path(parent).iterdir())
        []
    """
    run.close()
    with suppress(OSError):  # what cannot be deleted stays
        _remove_files(run.folder)
        for name in (CHECKPOINTS_FOLDER, BEST_FOLDER, TENSORBOARD_FOLDER):
            if (run.folder / name).is_dir():
                (run.folder / name).rmdir()
        (run.folder / LOCK_FILE).unlink()
        run.folder.rmdir()


def _remove_files(folder: Path) -> None:
    for name in (CONFIG_FILE, MODEL_FILE, HISTORY_FILE):
        (folder / name).unlink(missing_ok=True)
    best = (folder / BEST_FOLDER).glob("step-*.safetensors")
    for file in [*checkpoints(folder), *best, *_tensorboard_events(folder)]:
        file.unlink()
    _remove_partial_files(folder)


def _cut_history(file: Path, num_steps: int) -> None:
    """Keep the first `num_steps` records; later steps, the last perhaps half-written, are repeated."""
    lines = file.read_bytes().splitlines(keepends=True)[:num_steps] if file.exists() else []
    if len(lines) < num_steps or not all(line.endswith(b"\n") for line in lines):
        raise DamagedRunError(
            f"{file}: has fewer records than the {num_steps} steps of the last checkpoint; was it changed?"
        )
    if file.exists() and file.stat().st_size > sum(map(len, lines)):
        os.truncate(file, sum(map(len, lines)))


def _remove_old_checkpoints(folder: Path, keep: int) -> None:
    for old in checkpoints(folder)[:-keep]:
        old.unlink()


def _tensorboard_events(folder: Path) -> list[Path]:
    return list((folder / TENSORBOARD_FOLDER).glob("events.out.tfevents.*"))


def _remove_partial_files(folder: Path) -> None:
    for place in (folder, folder / CHECKPOINTS_FOLDER):
        for file in place.glob(f".*{PARTIAL_SUFFIX}"):
            file.unlink()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the directory; the lock is released when the process ends, even if it is killed."""
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise RunError(f"{folder}: another process is training in it") from None
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()
