"""The card of a model: a page in Markdown with the YAML header that the Hugging Face Hub reads.

It says what the file of the model records, and, where the model is that of a run, what the run records: how
it was trained, and on which priors or dumps. Texts of files are shown as code, whatever they are.

References:
    Hugging Face Hub documentation, Model cards
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import MODEL_FILE, load_model, write_atomically
from nanotabpfn.training.curves import read_history
from nanotabpfn.training.run import (
    BEST_FOLDER,
    CONFIG_FILE,
    HISTORY_FILE,
    RunError,
    checkpoints,
    read_settings,
)
from priors.arguments import as_path, check_line
from priors.dumps.card import as_code, indented_config
from priors.dumps.files import file_hash
from priors.dumps.licenses import LICENSES

CARD = "README.md"
"""The file that `write_model_card` writes."""

LIBRARY = "nanotabpfn-priors"
ESTIMATORS = {
    "classification": ("NanoTabPFNClassifier", "classifier"),
    "regression": ("NanoTabPFNRegressor", "regressor"),
}
TAGS = ("tabular", "nanotabpfn", "tabpfn", "prior-data-fitted-network", "synthetic")
HELD_OUT = {"loss": "loss", "accuracy": "accuracy", "roc_auc": "ROC AUC", "r2": "R2 over all rows"}
"""Scores on held-out datasets in a run's history, without `held_out_` -> their names."""

METRICS = {"accuracy": "accuracy", "roc_auc": "roc_auc", "r2": "r_squared"}
"""Some of these scores -> their names on the Hub."""


def write_model_card(source: str | Path, title: str, license_name: str = "apache-2.0") -> Path:
    """Write `README.md` into the folder of a model.

    Args:
        source: the directory of a run, or the file of a model. Of a model that lies outside of its run, only
            the architecture and the trained range are known.
        title: name of the model.
        license_name: of `priors.dumps.licenses.LICENSES`.

    Returns:
        The card.

    Raises:
        CheckpointError: there is no model.
        RunError, ReportError: the settings or the history of the run cannot be read.
        ValueError: an unknown license, or a title that is no line of text.

    Examples:
        >>> import tempfile
        >>> from nanotabpfn.model.checkpoint import save_model
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = save_model(NanoTabPFNModel(8, 2, 8, 1), folder)
        ...     print("".join(write_model_card(folder, "Tiny").read_text().partition("# Tiny")[:2]))
        ---
        library_name: nanotabpfn-priors
        license: apache-2.0
        pipeline_tag: tabular-classification
        tags: [tabular, nanotabpfn, tabpfn, prior-data-fitted-network, synthetic]
        ---
        <BLANKLINE>
        # Tiny
    """
    model, settings, records = read_model(source)
    text = model_card(model, title, license_name, settings, records)
    card = (Path(source) if Path(source).is_dir() else Path(source).parent) / CARD
    write_atomically(card, text.encode())
    return card


def read_model(
    source: str | Path,
) -> tuple[NanoTabPFNModel, dict[str, Any] | None, list[dict[str, float]]]:
    """A model; the settings of its run, None if there is none; the run's records up to the model's step.

    Args:
        source: the directory of a run, or the file of a model; of a run, if it is the run's own model file.

    Raises:
        CheckpointError, RunError, ReportError: something of it cannot be read.

    Examples:
        >>> import tempfile
        >>> from nanotabpfn.model.checkpoint import save_model
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = save_model(NanoTabPFNModel(8, 2, 8, 1), folder)
        ...     model, settings, records = read_model(folder)
        >>> model.num_outputs, settings, records
        (2, None, [])
    """
    source = as_path("source", source)
    model = load_model(source)
    folder = source if source.is_dir() else source.parent
    is_of_run = source.is_dir() or source.name == MODEL_FILE
    if not is_of_run or not (folder / CONFIG_FILE).is_file():
        return model, None, []
    settings, step = read_settings(folder), _step(folder)
    if step is None or not (folder / HISTORY_FILE).is_file():
        return model, settings, []
    return model, settings, [one for one in read_history(folder / HISTORY_FILE) if one["step"] <= step]


def _step(folder: Path) -> int | None:
    """The step after which the model of a run was saved: that of the best one, or of the last checkpoint."""
    own = file_hash(folder / MODEL_FILE)
    best = [file for file in sorted((folder / BEST_FOLDER).glob("step-*")) if file_hash(file) == own]
    saved = [*checkpoints(folder), *best]
    return int(saved[-1].stem.removeprefix("step-")) if saved else None


def model_card(
    model: NanoTabPFNModel,
    title: str,
    license_name: str = "apache-2.0",
    settings: dict[str, Any] | None = None,
    records: Sequence[dict[str, float]] = (),
    place: str = ".",
) -> str:
    """The card, in Markdown.

    Args:
        model: what the card is of.
        title: its name.
        license_name: of `priors.dumps.licenses.LICENSES`.
        settings: of its run, if they are known.
        records: of its run's history, up to the step that the model is of.
        place: the argument of `from_pretrained` in the card's example.

    Raises:
        RunError: the settings and the history are not those of a run.
        ValueError: an unknown license, or a title that is no line of text.

    Examples:
        >>> card = model_card(NanoTabPFNModel(8, 2, 8, 1), "Tiny", place="me/tiny")
        >>> [line for line in card.splitlines() if line.startswith("classifier =")]
        ['classifier = NanoTabPFNClassifier(from_pretrained("me/tiny"))']
    """
    if license_name not in LICENSES:
        raise ValueError(f"license_name must be one of {', '.join(LICENSES)}, got {license_name!r}")
    check_line("title", title)
    estimator, variable = ESTIMATORS[model.problem_type]
    facts = {"architecture": architecture_words(model)}
    if model.trained_range is not None:
        facts["trained range"] = trained_range_words(model)
    sources = ["The file of the model does not say it."]
    if settings is not None:
        try:
            facts |= _training_facts(settings, records)
            sources = _sources(settings)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"the run of the model holds no settings or history of one: {error!r}") from error
    paragraphs = [
        card_header(model.problem_type, license_name, metrics_of(records)),
        f"# {title}",
        f"A nanoTabPFN for {model.problem_type}: it predicts the test rows of a table from its training "
        "rows, in one forward pass.",
        "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())]),
        "## How to use it",
        f"```bash\npip install '{LIBRARY}[hub]'\n```",
        f"```python\nfrom nanotabpfn import {estimator}, from_pretrained\n\n"
        f"{variable} = {estimator}(from_pretrained({json.dumps(place)}))\n"
        f"{variable}.fit(X_train, y_train).predict(X_test)\n```",
        "## What it was trained on",
        *sources,
    ]
    return "\n\n".join(paragraphs) + "\n"


def card_header(problem_type: str, license_name: str, metrics: Sequence[str] = ()) -> str:
    """The YAML header of a model's card.

    Examples:
        >>> print(card_header("regression", "mit", ["r2"]))
        ---
        library_name: nanotabpfn-priors
        license: mit
        pipeline_tag: tabular-regression
        tags: [tabular, nanotabpfn, tabpfn, prior-data-fitted-network, synthetic]
        metrics: [r2]
        ---
    """
    lines = [
        "---",
        f"library_name: {LIBRARY}",
        f"license: {license_name}",
        f"pipeline_tag: tabular-{problem_type}",
        f"tags: [{', '.join(TAGS)}]",
        *([f"metrics: [{', '.join(metrics)}]"] if metrics else []),
        "---",
    ]
    return "\n".join(lines)


def metrics_of(records: Sequence[dict[str, float]]) -> list[str]:
    """The metrics by which the history of a run scores held-out datasets, by their names on the Hub.

    Examples:
        >>> metrics_of([{"step": 1}, {"step": 2, "held_out_loss": 0.6, "held_out_accuracy": 0.7}])
        ['accuracy']
    """
    scored = set().union(*(record.keys() for record in records))
    return [metric for name, metric in METRICS.items() if f"held_out_{name}" in scored]


def architecture_words(model: NanoTabPFNModel) -> str:
    """The arguments of a model and the number of its parameters.

    Examples:
        >>> architecture_words(NanoTabPFNModel())[:63]
        'embedding_size 96, num_attention_heads 4, mlp_hidden_size 192, '
    """
    arguments = ", ".join(f"{key} {value}" for key, value in model.config.items() if key != "bin_edges")
    return f"{arguments}; {sum(weights.numel() for weights in model.parameters()):,} parameters"


def trained_range_words(model: NanoTabPFNModel) -> str:
    """The sizes of the tables that a model was trained on, which it must know.

    Examples:
        >>> from nanotabpfn.model.architecture import TrainedRange
        >>> model = NanoTabPFNModel()
        >>> model.trained_range = TrainedRange(rows=(15, 135), features=(5, 5), classes=(2, 2))
        >>> trained_range_words(model)
        '15 to 135 training rows, 5 features, 2 classes'
    """
    names = {"rows": "training rows", "features": "features", "classes": "classes"}
    ranges = model.trained_range._asdict().items()
    return ", ".join(
        f"{low if low == high else f'{low} to {high}'} {names[name]}"
        for name, (low, high) in ((name, bounds) for name, bounds in ranges if bounds is not None)
    )


def held_out_words(
    record: dict[str, float], num_datasets: Any, loss: str = "loss", sources: str = "each prior"
) -> str:
    """The scores on held-out datasets in a record of a run's history.

    Args:
        record: one that has them.
        num_datasets: held out of each prior or dump.
        loss: what the loss is called.
        sources: whose datasets they are.

    Examples:
        >>> held_out_words({"step": 20, "held_out_loss": 0.61, "held_out_roc_auc": 0.8}, 32)
        'loss 0.6100, ROC AUC 0.8000 after 20 steps, on 32 datasets of each prior'
    """
    names = HELD_OUT | {"loss": loss}
    figures = {name: record[f"held_out_{name}"] for name in names if f"held_out_{name}" in record}
    listed = ", ".join(f"{names[name]} {figure:.4f}" for name, figure in figures.items())
    return f"{listed} after {record['step']:,} steps, on {num_datasets} datasets of {sources}"


def _training_facts(settings: dict[str, Any], records: Sequence[dict[str, float]]) -> dict[str, str]:
    """How a run trained, as rows of a table."""
    training, versions = settings.get("training", {}), settings.get("versions", {})
    steps = as_code(training.get("steps"))
    done = f"{records[-1]['step']:,} of {steps} steps" if records else f"{steps} steps planned"
    options = ("recipe", "optimizer", "lr", "precision", "seed")
    facts = {
        "trained": f"{done}, {as_code(training.get('batch_size'))} datasets in each",
        "options": ", ".join(f"{name} {as_code(training.get(name))}" for name in options),
        "versions": ", ".join(as_code(f"{package} {number}") for package, number in versions.items()),
    }
    scored = [record for record in records if "held_out_loss" in record]
    if scored:
        sources = "the last prior" if _is_curriculum(settings) else "each prior"
        number = as_code(training.get("held_out"))
        facts["held out"] = held_out_words(scored[-1], number, sources=sources)
    return {name: value.replace("|", "\\|") for name, value in facts.items()}


def _is_curriculum(settings: dict[str, Any]) -> bool:
    return any("until" in source for source in settings.get("data", []))


def _sources(settings: dict[str, Any]) -> list[str]:
    """The priors and dumps of a run, each with its config; and those of the run that it is a branch of."""
    paragraphs = []
    start = settings.get("from")
    if start:
        path, step = as_code(Path(str(start.get("path"))).name), as_code(start.get("step"))
        weights = as_code(start.get("weights"))
        begun = f"It is a branch of {path}, step {step}, with the hash of the weights {weights}."
        earlier = start.get("settings")
        before = _sources(earlier) if earlier else ["What that was trained on is not known."]
        paragraphs += [begun, "Before the branch:", *before, "In the branch:"]
    is_curriculum = _is_curriculum(settings)
    if is_curriculum:
        paragraphs.append("Trained on one after the other, in this order:")
    for source in settings.get("data", []):
        part = f"weight {as_code(source.get('weight'))}"
        if is_curriculum:
            part = f"up to step {as_code(source['until'])}" if "until" in source else "up to the end"
        if "prior" in source:
            seed = as_code(settings.get("training", {}).get("seed"))
            name = as_code(Path(str(source["prior"])).name)
            paragraphs += [
                f"The prior {name}, {part}: sampled during the training, from the seed {seed} and this "
                "config.",
                f"```json\n{indented_config(json.dumps(source.get('config')))}\n```",
            ]
            continue
        known = source.get("attributes", {})
        name, content = as_code(Path(str(source.get("dump"))).name), as_code(source.get("content_hash"))
        text = f"The dump {name}, {part}, with the content hash {content}"
        if "config" not in known:
            paragraphs.append(f"{text}, which does not say its prior.")
            continue
        paragraphs += [
            f"{text}: by {as_code(known.get('generator'))} with version "
            f"{as_code(known.get('prior_version', 1))} of the prior, from the seed "
            f"{as_code(known.get('seed'))} and this config.",
            f"```json\n{indented_config(known['config'])}\n```",
        ]
    return paragraphs
