"""A summary of a dump, as figures and as text.

D datasets in a file, R rows and F features of one dataset.
"""

import json
import textwrap
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from priors.dataset import varying_columns
from priors.dumps.read import Dump
from priors.dumps.schema import finite_records

SAMPLE_CELLS = 2_000_000
"""How many cells of X the description of the features rests on, at most."""

PROVENANCE = (
    "generator", "prior_version", "format_version", "created", "seed", "content_hash", "config"
)  # fmt: skip
LEVELS = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
WIDTH = 110
MOST_LINES_OF_CONFIG = 7
REDRAWN = "redrawn_"
"""Begin of the names of the properties that count refused draws of a stage."""
MOST_NAMES = 12  # of records, classes, keys or properties in one line


def check_open(name: str, value: Any) -> None:
    """Refuse what is no open dump, such as the path of one.

    Raises:
        TypeError: the message says what to write instead.

    Examples:
        >>> check_open("dump", "mine.h5")
        Traceback (most recent call last):
        TypeError: dump must be an open dump, such as open_dump("mine.h5") returns, got 'mine.h5'
    """
    if not isinstance(value, Dump):
        raise TypeError(
            f'{name} must be an open dump, such as open_dump("mine.h5") returns, got {value!r:.100}'
        )


def summary(dump: Dump) -> dict[str, Any]:
    """The figures behind `describe`, from one pass over the file in bounded memory.

    Returns:
        path, bytes, num_datasets, max_rows, max_features, problem_type, max_num_classes, block_size,
        allow_missing, arrays (one dict each: name, shape, dtype, chunks, storage, bytes), properties and
        unknown_keys (names), feature_names (empty if the file has none), target_name, provenance (dict,
        empty if the file carries none);
        damaged: indices of the records that are not sound (`finite_records`);
        wrong_labels: indices of the sound ones whose labels are not 0..K-1 without a gap, K at most
        max_num_classes and every class among the training rows;
        classes: {number of classes: records};
        redrawn: {stage: refused draws, mean over the datasets}, empty if the file does not say;
        quantiles: {what: its quantiles at LEVELS over the sound records};
        features: of the cells of `sampled` sound records spread evenly over the file, mean, std, quantiles,
        the share of cells missing and of columns constant; None if there are none.

    Raises:
        DumpError: the file is damaged; the message names the records.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from priors.config import PriorConfig
        >>> from priors.dumps.read import open_dump
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "my.h5"
        ...     _ = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=4, seed=0)
        ...     with open_dump(path) as dump:
        ...         found = summary(dump)
        >>> found["classes"], found["damaged"], found["features"]["sampled"]
        ({2: 4}, [], 4)
    """
    check_open("dump", dump)
    found = _scan(dump)
    return {
        "path": str(dump.path),
        "bytes": dump.path.stat().st_size,
        "num_datasets": len(dump),
        "max_rows": dump.max_rows,
        "max_features": dump.max_features,
        "problem_type": dump.problem_type,
        "max_num_classes": dump.max_num_classes,
        "block_size": dump.block_size,
        "allow_missing": dump.allow_missing,
        "arrays": [_layout(name, array) for name, array in dump.arrays.items()],
        "properties": list(dump.properties),
        "unknown_keys": list(dump.unknown_keys),
        "feature_names": list(dump.feature_names or ()),
        "target_name": dump.target_name,
        "provenance": {key: dump.attributes[key] for key in PROVENANCE if key in dump.attributes},
        "damaged": np.flatnonzero(~found.is_sound).tolist(),
        "wrong_labels": found.wrong_labels,
        "classes": dict(sorted(Counter(found.num_classes[found.is_sound].tolist()).items())),
        "redrawn": _redrawn(dump),
        "quantiles": _quantiles_of_datasets(dump, found),
        "features": _features(found.cells, found.constant),
    }


class Scan(NamedTuple):
    """What one pass over a file finds."""

    is_sound: np.ndarray
    """(D,) bool."""
    minority: np.ndarray
    """(D,) share of the smallest class; 0 if it is the only one."""
    num_classes: np.ndarray
    """(D,) int64."""
    wrong_labels: list[int]
    """Numbers of the sound records whose labels break a rule."""
    cells: list[np.ndarray]
    """The cells of each sampled record, as one row."""
    targets: list[np.ndarray]
    """The targets of each sampled record."""
    constant: list[bool]
    """Whether a column is constant, for all columns of the sampled records."""


def _scan(dump: Dump) -> Scan:
    every = max(1, -(-len(dump) * dump.max_rows * dump.max_features // SAMPLE_CELLS))
    num_datasets = len(dump)
    found = Scan(
        np.zeros(num_datasets, bool), np.zeros(num_datasets), np.zeros(num_datasets, np.int64), [], [], [], []
    )
    for start, stop in dump.spans():
        x, y = dump.read(start, stop)  # (n, R, F), (n, R)
        features, rows = dump.num_features[start:stop], dump.num_datapoints[start:stop]
        found.is_sound[start:stop] = finite_records(x, y, features, rows, dump.allow_missing)
        for i in np.flatnonzero(found.is_sound[start:stop]):
            record, labels = start + i, y[i, : rows[i]]
            if dump.problem_type == "classification":
                found.minority[record], found.num_classes[record], keeps_rules = _classes(
                    labels, dump.single_eval_pos[record], dump.max_num_classes
                )
                if not keeps_rules:
                    found.wrong_labels.append(int(record))
            if record % every == 0:
                own = x[i, : rows[i], : features[i]]  # (R, F)
                found.cells.append(own.ravel())
                found.targets.append(labels)
                found.constant.extend(~varying_columns(own))
    return found


def _redrawn(dump: Dump) -> dict[str, float]:
    """Stage of sampling -> how often a draw of it was refused and drawn again, mean over the datasets."""
    means = {}
    for name in dump.properties:
        if name.startswith(REDRAWN):
            counts = dump.read_property(name)
            if counts.dtype.kind in "iu":  # a file from elsewhere may hold anything under this name
                means[name.removeprefix(REDRAWN)] = float(counts.mean())
    return means


def _quantiles_of_datasets(dump: Dump, found: Scan) -> dict[str, list[float]]:
    """Quantiles at LEVELS over the sound records: sizes, splits, class balance, targets."""
    values = {
        "rows": dump.num_datapoints,
        "features": dump.num_features,
        "training rows (split)": dump.single_eval_pos,
        "split / rows": dump.single_eval_pos / dump.num_datapoints,
    }
    if dump.problem_type == "classification":
        values["smallest class / rows"] = found.minority
    sound = found.is_sound
    quantiles = {name: _quantiles(of_each[sound]) for name, of_each in values.items() if sound.any()}
    if dump.problem_type == "regression" and found.targets:
        quantiles["target (sampled)"] = _quantiles(np.concatenate(found.targets))
    return quantiles


def _classes(labels: np.ndarray, split: int, max_num_classes: int | None) -> tuple[float, int, bool]:
    """Share of the smallest class (0 if it is the only one), number of classes, whether all is right."""
    classes, counts = np.unique(labels, return_counts=True)
    keeps_rules = (
        np.array_equal(classes, np.arange(len(classes)))
        and (max_num_classes is None or len(classes) <= max_num_classes)
        and len(np.unique(labels[:split])) == len(classes)
    )
    return counts.min() / len(labels) if len(classes) > 1 else 0.0, len(classes), keeps_rules


def _features(cells: list[np.ndarray], constant: list[bool]) -> dict[str, Any] | None:
    values = np.concatenate(cells).astype(np.float64) if cells else np.empty(0)
    known = values[~np.isnan(values)]
    if not known.size:
        return None
    return {
        "sampled": len(cells),
        "mean": float(known.mean()),
        "std": float(known.std()),
        "quantiles": _quantiles(known),
        "missing": 1 - known.size / values.size,
        "constant": float(np.mean(constant)),
    }


def _quantiles(values: np.ndarray) -> list[float]:
    return np.quantile(values, LEVELS).tolist()


def _layout(name: str, array: Any) -> dict[str, Any]:
    filters = [array.compression, "shuffle" * array.shuffle, "fletcher32" * array.fletcher32]
    return {
        "name": name,
        "shape": array.shape,
        "dtype": "text" if array.dtype.kind in "OS" else str(array.dtype),
        "chunks": array.chunks,
        "storage": ", ".join(filter(None, filters)),
        "bytes": array.id.get_storage_size(),
    }


# -------------------------------------------------------------------------------------------------- text


def describe(dump: Dump) -> str:
    """A page of plain text on what the file holds, where it comes from and what its datasets are like.

    Raises:
        DumpError: the file is damaged; the message names the records.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from priors.config import PriorConfig
        >>> from priors.dumps.read import open_dump
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "my.h5"
        ...     _ = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     with open_dump(path) as dump:
        ...         text = describe(dump)
        >>> text.splitlines()[1][:59]
        '3 datasets of at most 20 rows x 5 features, classification,'
    """
    found = summary(dump)
    count = found["num_datasets"]
    most = f", at most {found['max_num_classes']} classes" if found["max_num_classes"] else ""
    block = found["block_size"]
    lines = [
        _printable(found["path"]),
        f"{count:,} datasets of at most {found['max_rows']:,} rows x {found['max_features']:,} features, "
        f"{found['problem_type']}{most}; {_size(found['bytes'])}",
        f"{block} consecutive datasets share a split and a shape"
        if block
        else "the file does not say which datasets share a split",
        *_names(found),
        "",
        *_table_of_arrays(found),
        "",
        *_provenance(found["provenance"]),
        "",
        "Records",
        f"  damaged       {_records(found['damaged'], count)}"
        + (" (infinite; NaN is a missing value here)" if found["allow_missing"] else " (infinite or NaN)"),
    ]
    if found["problem_type"] == "classification":
        shown = [f"{classes}: {records:,}" for classes, records in found["classes"].items()]
        lines += [
            f"  wrong labels  {_records(found['wrong_labels'], count)} "
            "(not 0..K-1, or a class without a training row)",
            f"  classes       {_first(shown)} (number of classes: records)",
        ]
    if found["redrawn"]:
        stages = [f"{_printable(stage)} {mean:.3g}" for stage, mean in found["redrawn"].items()]
        lines.append(
            f"  redrawn       {_first(stages)} (refused draws of each stage, mean over the datasets)"
        )
    lines += ["", *_table_of_quantiles(found)]
    return "\n".join(line.rstrip() for line in lines)


def _table_of_arrays(found: dict[str, Any]) -> list[str]:
    header = ("Key", "shape", "type", "chunks", "storage", "stored")
    rows = [
        (
            array["name"],
            str(array["shape"]),
            array["dtype"],
            str(array["chunks"] or "-"),
            array["storage"] or "-",
            _size(array["bytes"]),
        )
        for array in found["arrays"]
        if not array["name"].startswith("properties/")
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)) for row in [header, *rows]]
    names = [_printable(name) for name in found["properties"]]
    lines.append(f"properties  {_first(names)} (one value per dataset)" if names else "properties  none")
    if found["unknown_keys"]:
        lines.append(
            f"other keys  {_first(map(_printable, found['unknown_keys']))} (not of the schema, not read)"
        )
    return [lines[0], *("  " + line for line in lines[1:])]


def _names(found: dict[str, Any]) -> list[str]:
    target, features = found["target_name"], found["feature_names"]
    lines = [f"target    {_printable(target)}"] if target is not None else []
    return lines + ([f"features  {_first(map(_printable, features))}"] if features else [])


def _provenance(provenance: dict[str, Any]) -> list[str]:
    if not provenance:
        return ["Provenance", "  none: the file does not say which prior, config or seed it was made with"]
    lines = ["Provenance"]
    for key, value in provenance.items():
        text = _printable(value)
        if key == "config":
            text = _printable(_spaced(value))
        wrapped = textwrap.wrap(text, WIDTH - 20) or [""]
        if len(wrapped) > MOST_LINES_OF_CONFIG:
            wrapped = [*wrapped[: MOST_LINES_OF_CONFIG - 1], "..."]
        lines += [
            f"  {name:16}{line}" for name, line in zip([key, *[""] * len(wrapped)], wrapped, strict=False)
        ]
    return lines


def _table_of_quantiles(found: dict[str, Any]) -> list[str]:
    rows = dict(found["quantiles"])
    cells = found["features"]
    if cells:
        rows["cells of X (sampled)"] = cells["quantiles"]
    if not rows:
        return ["Quantiles: none, for every record is damaged"]
    names = ["min", *(f"{level:.0%}" for level in LEVELS[1:-1]), "max"]
    lines = [
        f"{'Quantiles':24}" + "".join(f"{name:>11}" for name in names),
        *(f"  {name:22}" + "".join(f"{value:>11.4g}" for value in values) for name, values in rows.items()),
    ]
    if cells:
        lines += [
            "",
            f"Cells of X in {cells['sampled']:,} records sampled evenly",
            f"  mean {cells['mean']:.4g}, standard deviation {cells['std']:.4g}, "
            f"missing {cells['missing']:.2%} of cells, constant {cells['constant']:.2%} of columns",
        ]
    return lines


def _records(indices: list[int], count: int) -> str:
    if not indices:
        return f"none of {count:,}"
    return f"{len(indices):,} of {count:,}, namely {_first(map(str, indices))}"


def _first(names: Any) -> str:
    names = list(names)
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _size(num_bytes: int) -> str:
    size, unit = float(num_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"


def _spaced(config: Any) -> Any:
    """A config's JSON with spaces to break lines at, or what was there if it is no JSON."""
    try:
        return json.dumps(json.loads(config))
    except (TypeError, ValueError, RecursionError):
        return config


def _printable(value: Any) -> str:
    """`value` as text without control characters: a file from elsewhere must not steer the terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in str(value))
