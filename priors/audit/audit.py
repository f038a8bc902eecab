"""The audit of a dump or of a prior: every dataset checked for damage and repeats, a sample measured.

D datasets, R rows and F features of one.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from math import isfinite, isnan, nan
from pathlib import Path
from typing import Any, Literal

import numpy as np

from priors.arguments import check_integer
from priors.audit.measure import AUDIT, LEVELS, NUM_TREES, Measures, chance_correlation, measure
from priors.config import PriorConfig
from priors.dumps.read import Dump, open_dump
from priors.dumps.schema import finite_records
from priors.dumps.validate import fitting_sizes, readable
from priors.generation.engines import run_tasks
from priors.presets import check_config
from priors.sampling.blocks import sample_block
from priors.streams import stream

AT_CHANCE = {"classification": 0.55, "regression": 0.05}
"""A forest whose score, ROC AUC or R2, is at most this has learned next to nothing."""
TRIVIAL = 0.99
"""A forest whose score is at least this leaves nothing to learn."""
MARGIN = 0.05
"""By how much one model must beat the other to count. Chance alone often does that on 75 rows: compare the
share of datasets where the forest wins with the share where it loses."""
UNCORRELATED = 1.5
"""Features count as uncorrelated if their mean |correlation| is at most this many times that of independent
ones, which is above 0 by chance."""

DATASETS_PER_TASK = 8  # about 0.7 seconds of work

Split = Literal["half", "own"]


@dataclass(frozen=True)
class Audit:
    """What was found in a dump, or in datasets drawn from a prior.

    Examples:
        >>> from priors import PRESETS
        >>> found = audit_prior(PRESETS["linear"], "linear", num_datasets=1)
        >>> found.num_records, found.scores().shape, found.summary()["scored"]
        (1, (1, 2), 1)
    """

    source: str
    """The file, or the name of the prior."""
    problem_type: str
    num_records: int
    """D."""
    damaged: tuple[int, ...]
    """Records left out: of impossible sizes, unreadable, or with cells that are not finite."""
    repeats: tuple[tuple[int, int], ...]
    """(record, earlier record) for each record whose cells and targets equal an earlier one's."""
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
        by_chance = [chance_correlation(d.num_datapoints) for d in self.datasets if not isnan(d.correlation)]
        return {
            "scored": len(forest),
            "quantiles": self._quantiles(),
            "at_chance": _share(forest <= AT_CHANCE[self.problem_type]),
            "trivial": _share(forest >= TRIVIAL),
            "beats_linear": _share(forest >= linear + MARGIN),
            "loses_to_linear": _share(linear >= forest + MARGIN),
            "uncorrelated": _share(self.column("correlation") <= UNCORRELATED * np.array(by_chance)),
            **self._flaws(),
        }

    def _quantiles(self) -> dict[str, list[float]]:
        forest, linear = self.scores().T
        columns = {name: self.column(name) for name in ("num_datapoints", "num_features")}
        if self.problem_type == "classification":
            columns["num_classes"] = self.column("num_classes")
        columns |= {"forest": forest, "linear": linear}
        if self.problem_type == "classification":
            columns["smallest_class"] = self.column("smallest_class")
        columns |= {"correlation": self.column("correlation"), "forest_minus_linear": forest - linear}
        return {name: _quantiles(values) for name, values in columns.items()}

    def _flaws(self) -> dict[str, float]:
        """Shares of all columns or cells that are constant, repeated or missing, and of datasets with any."""
        features = np.array([d.num_features for d in self.datasets])
        cells = features * np.array([d.num_datapoints for d in self.datasets])
        flaws = {"constant": features, "repeated": features, "missing": cells}
        return {
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


# --------------------------------------------------------------------------------------------- of a dump


def audit_dump(
    path: str | Path,
    num_datasets: int = 500,
    seed: int = 0,
    split: Split = "half",
    num_workers: int = 1,
    on_read: Callable[[int], None] | None = None,
    on_measured: Callable[[int], None] | None = None,
) -> Audit:
    """Audit a dump, by any writer.

    All of the file is read for damage and repeats, once and in bounded memory; the models are trained on a
    sample. Damaged records are counted and left out.

    Args:
        path: the dump.
        num_datasets: size of the sample. The sound records are cut into so many equal stretches and one is
            drawn from each; all are taken if there are no more.
        seed: of the sample and of the forests.
        split: `half` trains on the first half of each dataset's rows and scores the second, which compares
            priors with different splits; `own` takes the split that the dump gives, which is what a model
            in training sees.
        num_workers: processes; the audit is the same for any number.
        on_read: called with the number of records read since its last call, in the pass over the file.
        on_measured: called with the number of datasets of the sample measured since its last call.

    Raises:
        ValueError: an argument out of its range.
        DumpError: the file cannot be opened as a dump.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from priors import PRESETS, generate_dump
        >>> with TemporaryDirectory() as folder:
        ...     _ = generate_dump(f"{folder}/mine.h5", PRESETS["linear"], 4, seed=0)
        ...     found = audit_dump(f"{folder}/mine.h5", num_datasets=1)
        >>> found.num_records, len(found.datasets), found.damaged, found.repeats
        (4, 1, (), ())
    """
    _check(num_datasets, seed, split, num_workers)
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


def _check(num_datasets: int, seed: int, split: str, num_workers: int) -> None:
    check_integer("num_datasets", num_datasets)
    check_integer("num_workers", num_workers)
    if num_datasets < 1:
        raise ValueError(f"num_datasets must be at least 1, got {num_datasets}")
    if split not in ("half", "own"):
        raise ValueError(f"split must be half or own, got {split!r}")
    if num_workers < 1:
        raise ValueError(f"num_workers must be at least 1, got {num_workers}")
    stream(seed)  # raises ValueError if it cannot be a seed


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
            digests[low + chosen] = [_digest(*_without_padding(dump, low + i, x[i], y[i])) for i in chosen]
        if on_read is not None:
            on_read(stop - start)
    sound = np.flatnonzero(is_sound)
    return sound, _repeats(sound, digests[sound])


def _without_padding(dump: Dump, record: int, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows and features that a record really has: x (R, F), y (R,)."""
    rows = dump.num_datapoints[record]
    return x[:rows, : dump.num_features[record]], y[:rows]


def _digest(x: np.ndarray, y: np.ndarray) -> int:
    """64 bits that equal datasets share; different ones share them by accident, in 1 of 2**64 pairs."""
    content = hashlib.blake2b(str(x.shape).encode(), digest_size=8)
    content.update(np.ascontiguousarray(x, np.float32))
    content.update(np.ascontiguousarray(y, np.float32))
    return int.from_bytes(content.digest())


def _repeats(records: np.ndarray, digests: np.ndarray) -> tuple[tuple[int, int], ...]:
    """(record, earlier record) for each record whose digest, of (n,), an earlier one has too."""
    _, first, which = np.unique(digests, return_index=True, return_inverse=True)
    earlier = records[first[which]]
    again = records != earlier
    return tuple(zip(records[again].tolist(), earlier[again].tolist(), strict=True))


def _num_train(split: Split, num_datapoints: int, single_eval_pos: int) -> int:
    return int(single_eval_pos) if split == "own" else int(num_datapoints) // 2


def _records(dump: Dump, chosen: np.ndarray, seed: int, split: Split) -> Iterator[tuple]:
    """Tasks for `_measure_records`; each is read from the file when it is handed out."""
    is_classification = dump.problem_type == "classification"
    for start in range(0, len(chosen), DATASETS_PER_TASK):
        records = chosen[start : start + DATASETS_PER_TASK].tolist()
        tables = []
        for record, x, y in zip(records, *dump.read_records(np.array(records)), strict=True):
            num_train = _num_train(split, dump.num_datapoints[record], dump.single_eval_pos[record])
            tables.append((*_without_padding(dump, record, x, y), num_train, is_classification, record, seed))
        yield (tables,)


def _measure_records(tables: list[tuple]) -> list[Measures]:
    return [measure(*table) for table in tables]


# -------------------------------------------------------------------------------------------- of a prior


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
        name: the name of the prior in the report.

    The other arguments, and the errors, are those of `audit_dump`.

    Examples:
        >>> from priors import PRESETS
        >>> audit_prior(PRESETS["linear"], "linear", num_datasets=1).datasets[0].num_datapoints
        150
    """
    check_config(config)
    _check(num_datasets, seed, split, num_workers)
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


def _measure_drawn(
    config: PriorConfig, seed: int, split: Split, start: int, num_datasets: int
) -> list[tuple[Measures, int]]:
    """Measures and digest of some datasets of one block, the first of which has the number `start`."""
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
    """The results of all tasks, in the order of the records."""
    results = []
    for result in run_tasks(function, tasks, num_workers=num_workers):
        results += result
        if on_measured is not None:
            on_measured(len(result))
    return tuple(sorted(results))  # the number of the record comes first in each
