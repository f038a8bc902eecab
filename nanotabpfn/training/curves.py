"""Figures of a training run."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODEL_NAME = "nanotabpfn"
"""The model's name among the estimators of an evaluation."""
HELD_OUT = {"marker": "o", "markersize": 3, "color": "tab:orange", "label": "held out"}
"""The style of lines of held-out datasets."""


class ReportError(Exception):
    """A run that cannot be drawn; the message names the file and says why."""


def read_history(path: str | Path) -> list[dict[str, float]]:
    """The records of a run's `history.jsonl`, one per step.

    Raises:
        ReportError: no such file, or a line that is not a record.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "history.jsonl"
        ...     _ = file.write_text('{"step": 1, "loss": 0.7}')
        ...     read_history(file)
        [{'step': 1, 'loss': 0.7}]
    """
    path = Path(path)
    if not path.exists():
        raise ReportError(f"{path.parent} holds no run: there is no {path.name}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines]
        steps = [record["step"] for record in records]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReportError(f"{path}: no readable history: {error}") from error
    if not steps:
        raise ReportError(f"{path}: holds no steps")
    return records


def describe_run(path: str | Path) -> str:
    """One line that says what a run was trained on and scored on, from its `config.json`.

    Raises:
        ReportError: no such file, or not the settings of a run.

    Examples:
        >>> import tempfile
        >>> training = {"recipe": "published", "batch_size": 32, "eval_every": 0}
        >>> settings = {"training": training, "data": [{"prior": "default"}]}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "config.json"
        ...     _ = file.write_text(json.dumps(settings))
        ...     describe_run(file)
        'nanoTabPFN trained on prior default, 32 datasets a step'
    """
    with _settings_of_run(path) as settings:
        training = settings["training"]
        trained_on = describe_data(settings["data"]).replace(", ", " and ")
        scored = training["eval_every"] and training["suite"] != "none"
        scored_on = f", scored on suite {training['suite']}" if scored else ""
        recipe = "" if training["recipe"] == "published" else f"by the recipe {training['recipe']} "
        return (
            f"nanoTabPFN trained {recipe}on {trained_on}, {training['batch_size']} datasets a step{scored_on}"
        )


def problem_type_of_run(path: str | Path) -> str:
    """`classification` or `regression`, from a run's config.json.

    Raises:
        ReportError: the file is missing, or no run's.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "config.json"
        ...     _ = file.write_text('{"model": {"bin_edges": [-1, 0, 1]}}')
        ...     problem_type_of_run(file)
        'regression'
    """
    with _settings_of_run(path) as settings:
        return "classification" if settings["model"].get("bin_edges") is None else "regression"


@contextmanager
def _settings_of_run(path: str | Path) -> Iterator[dict[str, Any]]:
    """What a config.json holds; an error of reading it, or of what is read of it inside, names the file."""
    try:
        yield json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReportError(f"{path}: no readable settings of a run: {error}") from error


def describe_data(data: list[dict]) -> str:
    """The names of the dumps and priors in a run's settings.

    Examples:
        >>> describe_data([{"dump": "/data/300k_150x5_2.h5"}, {"prior": "mixed"}])
        '300k_150x5_2.h5, prior mixed'
        >>> describe_data([{"prior": "linear", "until": 200}, {"prior": "default"}])
        'prior linear up to step 200, prior default'
    """
    names = [
        Path(source["dump"]).name if "dump" in source else f"prior {Path(source['prior']).name}"
        for source in data
    ]
    ends = [f" up to step {source['until']}" if "until" in source else "" for source in data]
    return ", ".join(map(str.__add__, names, ends))


def read_baselines(path: str | Path, problem_type: str = "classification") -> dict[str, float]:
    """Mean ROC AUC (or R2) of each estimator but the model in a file of `nanotabpfn evaluate --out`.

    Raises:
        ReportError: no such file, or not a list of scores, or scores of another type of problem.

    Examples:
        >>> import tempfile
        >>> found = {"nanotabpfn": 0.9, "knn": 0.75}
        >>> scores = [{"estimator": name, "roc_auc": roc_auc} for name, roc_auc in found.items()]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "scores.json"
        ...     _ = file.write_text(json.dumps(scores))
        ...     read_baselines(file)
        {'knn': 0.75}
    """
    try:
        scores = json.loads(Path(path).read_text(encoding="utf-8"))
        names = dict.fromkeys(score["estimator"] for score in scores)
        figure = "r2" if problem_type == "regression" else "roc_auc"
        if figure not in scores[0]:
            raise ReportError(
                f"{path}: must hold scores of {problem_type}, as the run is, and has no {figure}"
            )
        return {
            name: float(np.mean([score[figure] for score in scores if score["estimator"] == name]))
            for name in names
            if name != MODEL_NAME
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ReportError(f"{path}: no readable scores: {error}") from error


def plot_training(
    history: list[dict[str, float]],
    baselines: dict[str, float],
    out: str | Path,
    title: str,
    problem_type: str = "classification",
) -> None:
    """Draw loss and ROC AUC against steps, of held-out datasets too; the baselines' ROC AUC as lines.

    For regression R2 instead of ROC AUC.

    Args:
        history: records with `step`, `loss` and, where the model was evaluated, `roc_auc` or `r2` (real
            tables), `held_out_loss` and `held_out_roc_auc` or `held_out_r2`.
        baselines: name -> mean ROC AUC or R2 on the same tables; may be empty.
        out: the picture; its ending chooses the format.
        title: of the figure, such as `describe_run` gives it.
        problem_type: `classification` or `regression`; see `problem_type_of_run`.

    Raises:
        ReportError: matplotlib is not installed.

    Examples:
        >>> import tempfile
        >>> history = [{"step": 1, "loss": 0.7}, {"step": 2, "loss": 0.6, "roc_auc": 0.8}]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plot_training(history, {"knn": 0.75}, f"{folder}/training.svg", "My training")
        ...     [file.name for file in Path(folder).iterdir()]
        ['training.svg']
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ReportError('figures need matplotlib: pip install "nanotabpfn-priors[plots]"') from error
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(title, fontsize=10)
    loss_axes, score_axes = figure.subplots(1, 2)
    is_regression = problem_type == "regression"
    _plot_losses(loss_axes, history, "negative log density" if is_regression else "cross entropy")
    _plot_baselines(score_axes, baselines)
    _plot_scores(score_axes, history, "r2" if is_regression else "roc_auc")
    figure.savefig(out, dpi=150)


def _plot_losses(axes: "Axes", history: list[dict[str, float]], name: str) -> None:
    """The loss of each step, its running mean, and the loss on held-out datasets."""
    steps = np.array([record["step"] for record in history])
    losses = np.array([record["loss"] for record in history])
    width = max(1, len(losses) // 20)
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
    axes.plot(steps, losses, color="tab:blue", alpha=0.25, linewidth=0.8, label="each step")
    axes.plot(steps[width - 1 :], smooth, color="tab:blue", label=f"mean of {width} steps")
    if on_held_out := _points(history, "held_out_loss"):
        axes.plot(*zip(*on_held_out, strict=True), **HELD_OUT)
    axes.set(xlabel="training step", ylabel=f"loss ({name})")
    axes.legend(frameon=False, fontsize=8)


def _plot_baselines(axes: "Axes", baselines: dict[str, float]) -> None:
    """A dashed line with its name for the score of each baseline."""
    colours = ("tab:green", "tab:orange", "tab:red", "tab:purple", "tab:brown")
    for (name, score), colour in zip(baselines.items(), colours, strict=False):
        axes.axhline(score, color=colour, linestyle="--", linewidth=1)
        label = f" {name.replace('_', ' ')}"
        axes.annotate(
            label, (1, score), xycoords=("axes fraction", "data"), color=colour, fontsize=8, va="center"
        )


def _plot_scores(axes: "Axes", history: list[dict[str, float]], score: str) -> None:
    """The model's scores on real tables and on held-out datasets."""
    on_tables, on_held_out = _points(history, score), _points(history, f"held_out_{score}")
    if on_tables:
        label = f"{MODEL_NAME}, real tables" if on_held_out else MODEL_NAME
        axes.plot(*zip(*on_tables, strict=True), marker="o", markersize=3, color="tab:blue", label=label)
    if on_held_out:
        axes.plot(*zip(*on_held_out, strict=True), **HELD_OUT)
    if on_tables or on_held_out:
        axes.legend(frameon=False, fontsize=8, loc="lower right")
    name = "mean R2" if score == "r2" else "mean ROC AUC"
    axes.set(xlabel="training step", ylabel=name, xlim=(0, history[-1]["step"]))


def _points(history: list[dict[str, float]], name: str) -> list[tuple[float, float]]:
    """(step, value) of each record that has the value."""
    return [(record["step"], record[name]) for record in history if name in record]
