"""What a dump, or a prior, has to teach: learnability, class balance, columns, damage, repeats.

D datasets, R rows and F features of one, K classes.
"""

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from math import isfinite, isnan, nan, pi, sqrt
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from priors.config import PriorConfig
from priors.dumps.read import Dump, open_dump
from priors.dumps.schema import finite_records
from priors.dumps.validate import fitting_sizes, numbered, readable
from priors.generation.engines import run_tasks
from priors.sampling.blocks import sample_block
from priors.sampling.table import REPEATED
from priors.streams import stream

AUDIT = 4
"""First key of the streams of an audit; it continues those of `priors.streams`."""

NUM_TREES = 50
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
LEVEL_NAMES = [f"{level:.0%}" for level in LEVELS]

AT_CHANCE = {"classification": 0.55, "regression": 0.05}
"""A forest that scores at most this, ROC AUC or R2, has learned next to nothing."""
TRIVIAL = 0.99
"""A forest that scores at least this leaves nothing to learn."""
MARGIN = 0.05
"""By how much one model must beat the other to count. Chance alone often does that on 75 rows: read the
share beside that of the other way round."""
UNCORRELATED = 1.5
"""Features count as uncorrelated if their mean |correlation| is at most so many times what independent
ones show by chance."""

METRIC = {"classification": "ROC AUC", "regression": "R2"}
LINEAR = {"classification": "logistic regression", "regression": "ridge regression"}

DATASETS_PER_TASK = 8  # about 0.7 seconds of work
MOST_Z = 1e6  # no training row can be as far out; it keeps wild test rows within float32

Split = Literal["half", "own"]


class Measures(NamedTuple):
    """What is measured of one dataset."""

    record: int
    """Its number in the dump, or among the datasets of the prior and the seed."""
    num_datapoints: int
    num_features: int
    num_classes: int
    """0 in regression."""
    forest: float
    """Score of a random forest on the test rows, ROC AUC or R2; NaN if they do not vary in their target."""
    linear: float
    """Score of logistic regression (ridge regression), alike."""
    smallest_class: float
    """Share of the rows; 0 if there is but one class, NaN in regression."""
    correlation: float
    """Mean |Pearson correlation| over the pairs of features that vary; NaN if there are none."""
    constant: float
    """Share of the columns that hold one value, or none."""
    repeated: float
    """Share of the columns that repeat an earlier one (REPEATED)."""
    missing: float
    """Share of the cells that are missing."""


@dataclass(frozen=True)
class Audit:
    """What was found in a dump, or in datasets drawn from a prior."""

    source: str
    """The file, or the name of the prior."""
    problem_type: str
    num_records: int
    """D."""
    damaged: tuple[int, ...]
    """Records left out: of impossible sizes, unreadable, or with cells that are not finite."""
    repeats: tuple[tuple[int, int], ...]
    """Records whose cells and targets are those of an earlier one, with that one."""
    split: Split
    seed: int
    datasets: tuple[Measures, ...]
    """Of the sample, in the order of the records."""

    def column(self, name: str) -> np.ndarray:
        """One field of all `datasets`, (n,), without those for which it is NaN."""
        values = np.array([getattr(dataset, name) for dataset in self.datasets], np.float64)
        return values[~np.isnan(values)]

    def scores(self) -> np.ndarray:
        """Scores (n, 2) of the forest and of the linear model, of the datasets that could be scored."""
        pairs = np.array([(d.forest, d.linear) for d in self.datasets], np.float64).reshape(-1, 2)
        return pairs[~np.isnan(pairs).any(axis=1)]

    def summary(self) -> dict[str, Any]:
        """The figures behind the report; a quantile or share of nothing is NaN.

        Returns:
            scored: how many datasets of the sample have test rows that vary in their target;
            quantiles: {field of `Measures`, or forest_minus_linear: its quantiles at LEVELS};
            at_chance, trivial: shares of the scored datasets (AT_CHANCE, TRIVIAL);
            beats_linear, loses_to_linear: shares where the forest is better, or worse, by MARGIN;
            uncorrelated: share of the datasets with at least two features that vary;
            constant, repeated, missing: shares of all columns, and of all cells;
            with_constant, with_repeated, with_missing: shares of the datasets that have any.
        """
        forest, linear = self.scores().T
        names = [
            "num_datapoints",
            "num_features",
            "num_classes",
            "forest",
            "linear",
            "smallest_class",
            "correlation",
        ]
        columns = {name: self.column(name) for name in names}
        columns |= {"forest": forest, "linear": linear, "forest_minus_linear": forest - linear}
        if self.problem_type == "regression":
            del columns["num_classes"], columns["smallest_class"]
        features = np.array([d.num_features for d in self.datasets])
        cells = features * np.array([d.num_datapoints for d in self.datasets])
        flaws = {"constant": features, "repeated": features, "missing": cells}
        by_chance = [chance_correlation(d.num_datapoints) for d in self.datasets if not isnan(d.correlation)]
        return {
            "scored": len(forest),
            "quantiles": {name: _quantiles(values) for name, values in columns.items()},
            "at_chance": _share(forest <= AT_CHANCE[self.problem_type]),
            "trivial": _share(forest >= TRIVIAL),
            "beats_linear": _share(forest >= linear + MARGIN),
            "loses_to_linear": _share(linear >= forest + MARGIN),
            "uncorrelated": _share(columns["correlation"] <= UNCORRELATED * np.array(by_chance)),
            **{name: _share(self.column(name), weights) for name, weights in flaws.items()},
            **{f"with_{name}": _share(self.column(name) > 0) for name in flaws},
        }

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values for JSON, the protocol included; None where a value is NaN.

        `datasets` holds one list per field of `Measures`.
        """
        plain = asdict(self) | {
            "seed": str(self.seed),  # may exceed 64 bits
            "num_trees": NUM_TREES,
            "levels": LEVELS,
            "summary": self.summary(),
            "datasets": {name: [getattr(d, name) for d in self.datasets] for name in Measures._fields},
        }
        return _without_nan(plain)


def chance_correlation(num_datapoints: int) -> float:
    """The mean |correlation| that independent normal columns of so many rows show by chance."""
    return sqrt(2 / (pi * max(1, num_datapoints - 1)))


def _quantiles(values: np.ndarray) -> list[float]:
    return np.quantile(values, LEVELS).tolist() if len(values) else [nan] * len(LEVELS)


def _share(values: np.ndarray, weights: np.ndarray | None = None) -> float:
    return float(np.average(values, weights=weights)) if len(values) else nan


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


# ----------------------------------------------------------------------------------------- of one dataset


def measure(
    x: np.ndarray, y: np.ndarray, num_train: int, is_classification: bool, record: int, seed: int = 0
) -> Measures:
    """Measure one dataset.

    Args:
        x: (R, F), NaN where missing.
        y: (R,) labels of any values, or a real target.
        num_train: rows to train on, the first ones; the others are scored.
        record: its number; with `seed` it decides the forest's draws.
    """
    x = np.ascontiguousarray(x, np.float64)  # the order in memory would show in the last digits
    forest, linear = scores(x, y, num_train, is_classification, stream(seed, AUDIT, record))
    counts = np.unique(y, return_counts=True)[1] if is_classification else []
    smallest_class = nan
    if is_classification:
        smallest_class = float(counts.min()) / len(y) if len(counts) > 1 else 0.0

    missing = np.isnan(x)
    low, high = np.where(missing, np.inf, x).min(axis=0), np.where(missing, -np.inf, x).max(axis=0)
    varies = low < high  # (F,)
    pairs = correlations(x[:, varies])
    return Measures(
        record=record,
        num_datapoints=len(x),
        num_features=x.shape[1],
        num_classes=len(counts),
        forest=forest,
        linear=linear,
        smallest_class=smallest_class,
        correlation=float(pairs[np.triu_indices_from(pairs, 1)].mean()) if len(pairs) > 1 else nan,
        constant=float((~varies).mean()),
        repeated=int((np.triu(pairs, 1) > REPEATED).any(axis=0).sum()) / x.shape[1],
        missing=float(missing.mean()),
    )


def correlations(x: np.ndarray) -> np.ndarray:
    """|Pearson correlation| (F, F) of columns (R, F) that all vary; a missing cell counts as their mean."""
    if not x.shape[1]:
        return np.empty((0, 0))
    return np.abs(np.atleast_2d(np.corrcoef(_filled_and_scaled(x, len(x)), rowvar=False)))


def scores(
    x: np.ndarray, y: np.ndarray, num_train: int, is_classification: bool, rng: np.random.Generator
) -> tuple[float, float]:
    """How well a random forest of 50 trees and a linear model, trained on the first rows, do on the others.

    Columns are scaled by the training rows, missing cells are their mean there. Everything else is
    scikit-learn's default, so the linear models have its penalty.

    Returns:
        The forest's and the linear model's ROC AUC, for more than two classes the mean of one against the
        rest; in regression R2. Training rows of a single class teach nothing, which scores 0.5. NaN, twice,
        if the test rows do not vary in their target.
    """
    # scikit-learn takes half a second to import, and most commands never ask.
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    targets = np.unique(y, return_inverse=True)[1] if is_classification else _scaled_target(y, num_train)
    train, test = slice(0, num_train), slice(num_train, None)
    if (targets[test] == targets[num_train]).all():
        return nan, nan
    if is_classification and (targets[train] == targets[0]).all():
        return 0.5, 0.5
    x = _filled_and_scaled(x, num_train)
    random_state = int(rng.integers(2**31))
    if is_classification:
        models = [
            RandomForestClassifier(NUM_TREES, random_state=random_state),
            LogisticRegression(max_iter=1000),
        ]
    else:
        models = [RandomForestRegressor(NUM_TREES, random_state=random_state), Ridge()]
    score = _roc_auc if is_classification else _r2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as far as it came is far enough
        forest, linear = (
            score(model.fit(x[train], targets[train]), x[test], targets[test]) for model in models
        )
    return forest, linear


def _filled_and_scaled(x: np.ndarray, num_train: int) -> np.ndarray:
    """Columns (R, F) with mean 0 and variance 1 over the training rows, and 0 where a cell is missing."""
    known = ~np.isnan(x)
    counts = np.maximum(1, known[:num_train].sum(axis=0))
    centred = np.where(known, x, 0)
    centred = np.where(known, x - centred[:num_train].sum(axis=0) / counts, 0)
    deviations = np.sqrt((centred[:num_train] ** 2).sum(axis=0) / counts)
    # A column that does not vary here, but for rounding, is left as it is.
    deviations[deviations <= 1e-9 * np.abs(np.nan_to_num(x[:num_train])).max(axis=0)] = 1
    return np.clip(centred / deviations, -MOST_Z, MOST_Z)


def _scaled_target(y: np.ndarray, num_train: int) -> np.ndarray:
    return _filled_and_scaled(np.asarray(y, np.float64)[:, None], num_train)[:, 0]


def _roc_auc(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    probabilities = dict(zip(model.classes_.tolist(), model.predict_proba(x).T, strict=True))
    classes = np.unique(y).tolist()
    if len(classes) == 2 and len(probabilities) == 2:
        classes = classes[1:]  # the other's is the same
    nowhere = np.zeros(len(y))  # a class without training rows
    return float(np.mean([roc_auc_score(y == k, probabilities.get(k, nowhere)) for k in classes]))


def _r2(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(y, model.predict(x)))


# --------------------------------------------------------------------------------------------- of a dump


def audit(
    path: str | Path,
    num_datasets: int = 500,
    seed: int = 0,
    split: Split = "half",
    num_workers: int = 1,
    on_read: Callable[[int], None] | None = None,
    on_measured: Callable[[int], None] | None = None,
) -> Audit:
    """Audit a dump of whatever writer.

    All of the file is read for damage and repeats, once and in bounded memory; the models are trained on a
    sample. Damaged records are counted and left out.

    Args:
        path: the dump.
        num_datasets: size of the sample. The sound records are cut into so many equal stretches and one is
            drawn from each; all are taken if there are no more.
        seed: of the sample and of the forests.
        split: `half` trains on the first half of each dataset's rows and scores the second, which compares
            priors whatever their splits; `own` takes the split that the dump gives, which is what a model
            in training sees.
        num_workers: processes; the audit is the same for any number.
        on_read: told how many records were read since the last call, in the pass over the file.
        on_measured: told how many datasets of the sample are done since the last call.

    Raises:
        ValueError: an argument out of its range.
        DumpError: the file cannot be opened as a dump.
    """
    _check(num_datasets, seed, split)
    with open_dump(path, check_sizes=False) as dump:
        sound, repeats = _sound_records(dump, on_read)
        damaged = np.setdiff1d(np.arange(len(dump)), sound)
        chosen = sound[_spread(len(sound), num_datasets, seed)]
        datasets = _run(_measure_records, _records(dump, chosen, seed, split), num_workers, on_measured)
        return Audit(
            source=str(path),
            problem_type=dump.problem_type,
            num_records=len(dump),
            damaged=tuple(damaged.tolist()),
            repeats=repeats,
            split=split,
            seed=seed,
            datasets=datasets,
        )


def audit_prior(
    config: PriorConfig,
    name: str,
    num_datasets: int = 500,
    seed: int = 0,
    split: Split = "half",
    num_workers: int = 1,
    on_measured: Callable[[int], None] | None = None,
) -> Audit:
    """Audit the first datasets of a prior and a seed: those that `generate_dump` would write.

    Args:
        name: what the report calls the prior.

    The others, and the errors, are those of `audit`.
    """
    _check(num_datasets, seed, split)
    size = config.block_size
    tasks = (
        (config, seed, split, start, min(DATASETS_PER_TASK, num_datasets - start, size - start % size))
        for block in range(0, num_datasets, size)
        for start in range(block, min(block + size, num_datasets), DATASETS_PER_TASK)
    )
    found = _run(_measure_drawn, tasks, num_workers, on_measured)
    digests = np.array([digest for _, digest in found], np.uint64)
    return Audit(
        source=name,
        problem_type=config.problem_type,
        num_records=num_datasets,
        damaged=(),
        repeats=_repeats(np.arange(num_datasets), digests),
        split=split,
        seed=seed,
        datasets=tuple(dataset for dataset, _ in found),
    )


def _check(num_datasets: int, seed: int, split: str) -> None:
    if num_datasets < 1:
        raise ValueError(f"num_datasets must be at least 1, got {num_datasets}")
    if split not in ("half", "own"):
        raise ValueError(f"split must be half or own, got {split!r}")
    stream(seed)  # refuses what is no seed


def _spread(num_sound: int, num_datasets: int, seed: int) -> np.ndarray:
    """Positions among the sound records: one drawn from each of `num_datasets` equal stretches."""
    if num_sound <= num_datasets:
        return np.arange(num_sound)
    ends = np.linspace(0, num_sound, num_datasets + 1).round().astype(np.int64)
    return stream(seed, AUDIT).integers(ends[:-1], ends[1:])


def _sound_records(
    dump: Dump, on_read: Callable[[int], None] | None
) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    """The records that can be used, (n,), and which of them repeat an earlier one."""
    fits, _ = fitting_sizes(dump)  # (D,)
    is_sound, digests = np.zeros(len(dump), bool), np.zeros(len(dump), np.uint64)
    for start, stop in dump.spans():
        for low, high, x, y in readable(dump, start, stop, defaultdict(list)):
            chosen = np.flatnonzero(fits[low:high])
            rows, features = dump.num_datapoints[low + chosen], dump.num_features[low + chosen]
            chosen = chosen[finite_records(x[chosen], y[chosen], features, rows, dump.allow_missing)]
            is_sound[low + chosen] = True
            digests[low + chosen] = [_digest(*_own(dump, low + i, x[i], y[i])) for i in chosen]
        if on_read is not None:
            on_read(stop - start)
    sound = np.flatnonzero(is_sound)
    return sound, _repeats(sound, digests[sound])


def _own(dump: Dump, record: int, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A record without its padding: x (R, F), y (R,)."""
    rows = dump.num_datapoints[record]
    return x[:rows, : dump.num_features[record]], y[:rows]


def _digest(x: np.ndarray, y: np.ndarray) -> int:
    """64 bits that datasets have in common if they are equal; else by accident, for 1 in 2**64 pairs."""
    content = hashlib.blake2b(str(x.shape).encode(), digest_size=8)
    content.update(np.ascontiguousarray(x, np.float32))
    content.update(np.ascontiguousarray(y, np.float32))
    return int.from_bytes(content.digest())


def _repeats(records: np.ndarray, digests: np.ndarray) -> tuple[tuple[int, int], ...]:
    """(record, earlier record) for those whose digest (n,) an earlier one has."""
    _, first, which = np.unique(digests, return_index=True, return_inverse=True)
    earlier = records[first[which]]
    again = records != earlier
    return tuple(zip(records[again].tolist(), earlier[again].tolist(), strict=True))


def _num_train(split: Split, num_datapoints: int, single_eval_pos: int) -> int:
    return int(single_eval_pos) if split == "own" else int(num_datapoints) // 2


def _records(dump: Dump, chosen: np.ndarray, seed: int, split: Split) -> Iterator[tuple]:
    """Tasks for `_measure_records`, read as they are asked for."""
    is_classification = dump.problem_type == "classification"
    for start in range(0, len(chosen), DATASETS_PER_TASK):
        records = chosen[start : start + DATASETS_PER_TASK].tolist()
        tables = []
        for record, x, y in zip(records, *dump.read_records(np.array(records)), strict=True):
            num_train = _num_train(split, dump.num_datapoints[record], dump.single_eval_pos[record])
            tables.append((*_own(dump, record, x, y), num_train, is_classification, record, seed))
        yield (tables,)


def _measure_records(tables: list[tuple]) -> list[Measures]:
    return [measure(*table) for table in tables]


def _measure_drawn(
    config: PriorConfig, seed: int, split: Split, start: int, num_datasets: int
) -> list[tuple[Measures, int]]:
    """Some datasets of one block, from number `start` on: what is measured of each, and its digest."""
    found = []
    block, first = divmod(start, config.block_size)
    for record, dataset in enumerate(sample_block(config, seed, block, num_datasets, first), start):
        num_train = _num_train(split, len(dataset.y), dataset.single_eval_pos)
        is_classification = config.problem_type == "classification"
        measures = measure(dataset.x, dataset.y, num_train, is_classification, record, seed)
        found.append((measures, _digest(dataset.x, dataset.y)))
    return found


def _run(
    function: Callable, tasks: Iterable[tuple], num_workers: int, on_measured: Callable[[int], None] | None
) -> tuple:
    """What the tasks give, all together, in the order of the records."""
    results = []
    for result in run_tasks(function, tasks, num_workers=num_workers):
        results += result
        if on_measured is not None:
            on_measured(len(result))
    return tuple(sorted(results))  # the number of the record comes first in each


# -------------------------------------------------------------------------------------------------- text


def describe_audit(audit: Audit) -> str:
    """A page of plain text on what was found, in figures and in words."""
    found = audit.summary()
    metric, linear = METRIC[audit.problem_type], LINEAR[audit.problem_type]
    quantiles = found["quantiles"]
    count = len(audit.datasets)
    lines = [
        audit.source,
        f"{audit.num_records:,} datasets, {audit.problem_type}; {_sizes(audit)}",
        _damage(audit),
        _repetition(audit),
    ]
    if not audit.datasets:
        return "\n".join([*lines, "No dataset is left to look at."])
    rows = "the first half of its rows" if audit.split == "half" else "its own training rows"
    lines += [
        "",
        f"Learnability of {'all' if count == audit.num_records else 'a sample of'} {count:,}: trained on "
        f"{rows}, {metric} on the others",
        _row("", LEVEL_NAMES),
        _row("random forest", quantiles["forest"]),
        _row(linear, quantiles["linear"]),
        _row("forest - linear", quantiles["forest_minus_linear"]),
    ]
    if found["scored"] < count:
        lines.append(f"  {count - found['scored']} could not be scored: their test rows have one target")
    if found["scored"]:
        chance, margin = AT_CHANCE[audit.problem_type], 196 * sqrt(0.25 / found["scored"])
        lines += [
            f"  {_said(found['at_chance'])} at chance: the forest's {metric} is at most {chance}, "
            f"so they teach next to nothing",
            f"  {_said(found['trivial'])} trivial: it is at least {TRIVIAL}, so nothing is left to learn",
            f"  {_said(found['beats_linear'])} where the forest beats the linear model by {MARGIN} or more; "
            f"{_said(found['loses_to_linear'])} where it loses by that",
            f"  (of {found['scored']:,} scored, give or take {margin:.0f} points)",
        ]
    lines += ["", "Tables", _row("", LEVEL_NAMES)]
    if "smallest_class" in quantiles:
        lines.append(_row("smallest class", quantiles["smallest_class"]))
    lines.append(_row("mean |correlation|", quantiles["correlation"]))
    if isfinite(found["uncorrelated"]):
        lines.append(
            f"  {_said(found['uncorrelated'])} with uncorrelated features: at most {UNCORRELATED} times "
            f"the correlation of independent ones"
        )
    for name, what in (("constant", "columns"), ("repeated", "columns"), ("missing", "cells")):
        lines.append(
            f"  {name} {what}: {_percent(found[name])}"
            + (f", in {_percent(found[f'with_{name}'])} of the datasets" if found[name] else "")
        )
    return "\n".join(line.rstrip() for line in lines)


def _sizes(audit: Audit) -> str:
    texts = []
    for name, unit in (("num_datapoints", "rows"), ("num_features", "features"), ("num_classes", "classes")):
        values = audit.column(name)
        if not len(values) or (unit == "classes" and audit.problem_type == "regression"):
            continue
        low, high = values.min(), values.max()
        texts.append(f"{low:,.0f} {unit}" if low == high else f"{low:,.0f} to {high:,.0f} {unit}")
    return ", ".join(texts)


def _damage(audit: Audit) -> str:
    if not audit.damaged:
        return "No record is damaged."
    what = "1 record is" if len(audit.damaged) == 1 else f"{len(audit.damaged):,} records are"
    return f"{what} damaged and left out: {numbered(audit.damaged)}."


def _repetition(audit: Audit) -> str:
    if not audit.repeats:
        return "No two datasets are the same."
    what = "1 dataset repeats" if len(audit.repeats) == 1 else f"{len(audit.repeats):,} datasets repeat"
    return f"{what} an earlier one: {numbered(record for record, _ in audit.repeats)}."


def _row(name: str, values: list) -> str:
    cells = [value if isinstance(value, str) else f"{value:.2f}" for value in values]
    return f"  {name:22}" + "".join(f"{cell:>8}" for cell in cells)


def _said(share: float) -> str:
    return f"{in_words(share)} ({_percent(share)})"


def in_words(share: float) -> str:
    """A share as one says it: none, 1 in 50, 4 in 10, nearly all, all."""
    exact = {0: "none", 0.5: "half", 1: "all"}
    if share in exact:
        return exact[share]
    if share >= 0.95:
        return "nearly all"
    if share >= 0.095:
        tenths = round(10 * share)
        return f"{tenths} in 10" if tenths != 5 else "about half"
    one_in = 1 / share
    digits = 1 - len(str(int(one_in)))  # of which the first is kept, and of those below 20 two
    return f"1 in {round(one_in, digits) if one_in >= 20 else round(one_in):,.0f}"


def _percent(share: float) -> str:
    if not isfinite(share):
        return "-"
    return f"{share:.1%}" if 0 < share < 0.0095 else f"{share:.0%}"


def markdown_table(audits: Iterable[Audit]) -> str:
    """One line per audit, to be pasted into a page: quantiles to two digits, shares in percent."""
    header = [
        "prior",
        "forest 5 / 25 / 50 / 75 / 95%",
        "linear median",
        "at chance",
        "trivial",
        "forest beats, loses to linear",
        "mean correlation (median, 95%)",
        "smallest class 5 / 50 / 95%",
        "with constant, repeated columns",
    ]
    lines = [f"| {' | '.join(header)} |", "|---|---|" + "--:|" * 4 + "---|" * 3]
    for audit in audits:
        found = audit.summary()
        quantiles = found["quantiles"]
        smallest = quantiles.get("smallest_class")
        correlation = quantiles["correlation"]
        cells = [
            Path(audit.source).name.replace("|", "\\|"),
            " / ".join(map(_short, quantiles["forest"])),
            _short(quantiles["linear"][2]),
            *(_percent(found[name]) for name in ("at_chance", "trivial")),
            f"{_percent(found['beats_linear'])}, {_percent(found['loses_to_linear'])}",
            f"{_short(correlation[2])}, {_short(correlation[4])}",
            " / ".join(_short(smallest[i]) for i in (0, 2, 4)) if smallest else "-",
            f"{_percent(found['with_constant'])}, {_percent(found['with_repeated'])}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:.2f}" if isfinite(value) else "-"
