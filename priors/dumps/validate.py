"""Whether a dump keeps the schema's rules.

D datasets in a file, R rows and F features of one dataset, K classes.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from priors.config import ConfigError
from priors.dumps.hash import content_hash
from priors.dumps.provenance import ORIGIN, first_dataset, is_own, other_version, recorded_hash, short
from priors.dumps.read import Dump, open_dump
from priors.dumps.recorded_prior import UnverifiableError, stored_config, stored_seed
from priors.dumps.schema import COUNT_KEYS, SPLIT_KEYS, TWIN_KEYS, DumpError, finite_records

MOST_PARTS = 5
"""Runs of record numbers that one line names."""

DTYPES = {
    "X": np.float32,
    "y": np.float32,
    **dict.fromkeys(TWIN_KEYS, np.float32),
    "num_features": np.int32,
    "num_datapoints": np.int32,
    "single_eval_pos": np.int32,
    "train_test_split_index": np.int32,
    "max_num_classes": np.int64,
    "original_batch_size": np.int64,
}
"""What a writer writes; a reader takes other widths."""


class Report(NamedTuple):
    """What was found in a dump.

    Examples:
        >>> validate("absent.h5")
        Report(num_datasets=0, findings=['no such file'], notes=[])
    """

    num_datasets: int
    findings: list[str]
    """What is wrong, one line each; empty where all is right."""
    notes: list[str]
    """What could not be looked at, or is worth knowing; one line each."""


def numbered(records: Iterable[int]) -> str:
    """Some record numbers, in order, as a text of bounded length.

    Examples:
        >>> numbered([7, 3, 12, 13, 14])
        'records 3, 7, 12-14'
    """
    records = np.unique(np.fromiter(records, np.int64))
    runs = np.split(records, np.flatnonzero(np.diff(records) > 1) + 1)
    parts: list[str] = []
    shown = 0
    for run in runs:
        texts = [f"{run[0]}-{run[-1]}"] if len(run) > 2 else [str(record) for record in run]
        if len(parts) + len(texts) > MOST_PARTS:
            break
        parts += texts
        shown += len(run)
    more = f" and {len(records) - shown:,} more" if shown < len(records) else ""
    return f"record{'s' * (len(records) > 1)} {', '.join(parts)}{more}"


def without_path(error: DumpError, path: str | Path) -> str:
    """The message of `error` without the name of the file that it is about.

    Examples:
        >>> without_path(DumpError("mine.h5: X is missing"), "mine.h5")
        'X is missing'
    """
    for name in (path, Path(path).resolve()):  # an index of shards is opened, and named, by its real path
        if str(error).startswith(f"{name}: "):
            return str(error).removeprefix(f"{name}: ")
    return str(error)


# ---------------------------------------------------------------------------------------------- validate


def validate(path: str | Path) -> Report:
    """Check a dump against the whole schema, in bounded memory.

    Returns:
        What is wrong, and what cannot be checked. A file that cannot be opened is a finding too.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.generation.generate import generate_dump
        >>> config = PriorConfig(num_datapoints=20, block_size=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "my.h5"
        ...     _ = generate_dump(path, config, num_datasets=4, seed=0)
        ...     validate(path)
        Report(num_datasets=4, findings=[], notes=[])
    """
    try:
        with open_dump(path, check_sizes=False) as dump:
            return _report(dump)
    except DumpError as error:
        return Report(0, [without_path(error, path)], [])


def _report(dump: Dump) -> Report:
    findings, notes = _schema(dump)
    fits, wrong_sizes = fitting_sizes(dump)  # (D,)
    unreadable: dict[str, list[int]] = defaultdict(list)
    bad = _bad_tables(dump, fits, unreadable)
    _read_properties(dump, unreadable)
    findings += wrong_sizes
    findings += [f"{problem}: {numbered(records)}" for problem, records in unreadable.items()]
    findings += [f"{problem}: {numbered(records)}" for problem, records in bad.items() if records]
    findings += _blocks(dump)

    recorded = recorded_hash(dump)
    if recorded is None:
        notes.append("no content hash: that it holds what was written cannot be checked")
    elif not unreadable and not wrong_sizes and recorded != content_hash(dump.path):
        findings.append("content_hash: the contents are not those that were written")
    for checked in (_origin_findings, _sources_findings):
        more_findings, more_notes = checked(dump)
        findings += more_findings
        notes += more_notes
    return Report(len(dump), findings, notes)


def _bad_tables(dump: Dump, fits: np.ndarray, unreadable: dict[str, list[int]]) -> dict[str, list[int]]:
    """For each rule about tables and twins, the records that break it.

    Args:
        dump: the file.
        fits: (D,) whether a record's sizes are right; only those that fit are checked.
        unreadable: gets the records that cannot be read, by what is wrong.
    """
    bad: dict[str, list[int]] = defaultdict(list)
    for start, stop in dump.spans():
        for low, high, x, y in readable(dump, start, stop, unreadable):
            chosen = np.flatnonzero(fits[low:high])
            records, table = low + chosen, (x[chosen], y[chosen])
            broken = list(_tables(dump, records, *table).items())
            if dump.has_twins:
                try:
                    x_do, y_do = dump.read_twins(low, high)
                    broken += _twins(dump, records, *table, x_do[chosen], y_do[chosen]).items()
                except DumpError as error:
                    unreadable[_without_records(error, dump)] += range(low, high)
            for problem, wrong in broken:
                bad[problem] += records[wrong].tolist()
    return bad


def _read_properties(dump: Dump, unreadable: dict[str, list[int]]) -> None:
    """Read all properties, chunk by chunk; `unreadable` gets the records for which that fails."""
    for name in dump.properties:
        chunk = (dump.arrays[f"properties/{name}"].chunks or (1,))[0]
        for low in range(0, len(dump), chunk):
            high = min(low + chunk, len(dump))
            try:
                dump.read_property(name, low, high)
            except DumpError as error:
                unreadable[_without_records(error, dump)] += range(low, high)


def _schema(dump: Dump) -> tuple[list[str], list[str]]:
    findings, notes = [], []
    for name, dtype in DTYPES.items():
        if name in dump.arrays and dump.arrays[name].dtype != dtype:
            findings.append(f"{name}: must be {np.dtype(dtype)}, got {dump.arrays[name].dtype}")
    if "num_datapoints" not in dump.arrays:
        findings.append("num_datapoints: is missing")
    if dump.problem_type == "classification" and dump.max_num_classes is None:
        findings.append("max_num_classes: is missing")
    if SPLIT_KEYS[1] in dump.arrays:
        notes.append(f"the split is called {SPLIT_KEYS[1]}; the published loader needs {SPLIT_KEYS[0]}")
    plain = [
        name
        for name, array in dump.arrays.items()
        if array.shape[:1] == (len(dump),) and not array.fletcher32 and not array.is_virtual
    ]
    if plain:
        notes.append(f"no checksums in {', '.join(plain)}: damage shows only where it breaks a rule")
    return findings, notes


def fitting_sizes(dump: Dump) -> tuple[np.ndarray, list[str]]:
    """Which records have sizes and a split within the array, (D,) bool, and what is wrong with the others.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "my.h5"
        ...     _ = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     with open_dump(path) as dump:
        ...         dump.num_features[1] = 9
        ...         fits, findings = fitting_sizes(dump)
        >>> fits.tolist(), findings
        ([True, False, True], ['num_features: not in 1..5: record 1'])
    """
    split_key = SPLIT_KEYS[1] if SPLIT_KEYS[1] in dump.arrays else SPLIT_KEYS[0]
    fits, findings = np.ones(len(dump), bool), []
    for name, values, low, high in [
        ("num_features", dump.num_features, 1, dump.max_features),
        ("num_datapoints", dump.num_datapoints, 2, dump.max_rows),
        (split_key, dump.single_eval_pos, 1, dump.num_datapoints - 1),
    ]:
        wrong = (values < low) | (values > high)
        if wrong.any():
            bound = "num_datapoints - 1" if isinstance(high, np.ndarray) else high
            findings.append(f"{name}: not in {low}..{bound}: {numbered(np.flatnonzero(wrong))}")
        fits &= ~wrong
    return fits, findings


def readable(dump: Dump, start: int, stop: int, unreadable: dict[str, list[int]]) -> Iterable[tuple]:
    """(start, stop, x, y) of what can be read of the records start..stop-1; the rest goes to `unreadable`.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "my.h5"
        ...     _ = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     with open_dump(path) as dump:
        ...         for start, stop, x, y in readable(dump, 0, 3, unreadable={}):
        ...             print(start, stop, x.shape, y.shape)
        0 3 (3, 20, 5) (3, 20)
    """
    try:
        yield start, stop, *dump.read(start, stop)
        return
    except DumpError:
        pass
    chunk = min((array.chunks or (1,))[0] for array in (dump.arrays["X"], dump.arrays["y"]))
    for low in range(start, stop, chunk):
        high = min(low + chunk, stop)
        try:
            yield low, high, *dump.read(low, high)
        except DumpError as error:
            unreadable[_without_records(error, dump)] += range(low, high)


def _without_records(error: DumpError, dump: Dump) -> str:
    """`KEY: cannot be read (REASON)`, of what `Dump` says of one damaged piece."""
    key, _, rest = without_path(error, dump.path).partition(": ")
    return f"{key}: cannot be read ({rest.partition(': ')[2]})"


def _tables(dump: Dump, records: np.ndarray, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """For each rule about a table, which of these records break it, (n,) bool.

    Args:
        records: (n,) their numbers.
        x: (n, R, F).
        y: (n, R).
    """
    features, rows, split = (getattr(dump, name)[records] for name in COUNT_KEYS)
    own_rows = np.arange(dump.max_rows) < rows[:, None]  # (n, R)
    own_features = np.arange(dump.max_features) < features[:, None]  # (n, F)
    sound = finite_records(x, y, features, rows, dump.allow_missing)
    padding = ((x != 0) & ~own_features[:, None, :]).any(axis=(1, 2))
    padding |= ((x != 0).any(axis=2) & ~own_rows).any(axis=1) | ((y != 0) & ~own_rows).any(axis=1)
    infinite = "infinite cells" if dump.allow_missing else "cells that are not finite"
    found = {f"X, y: {infinite}": ~sound, "X, y: padding that is not 0": padding}
    if dump.problem_type == "regression":
        return found

    with np.errstate(invalid="ignore"):
        labels = np.where(own_rows & np.isfinite(y), y, 0)
    whole = ((labels >= 0) & (labels < dump.max_rows) & (labels == np.floor(labels))).all(axis=1)
    width = int(labels[whole].max(initial=0)) + 1  # K, at most R
    seen, seen_in_training = np.zeros((2, len(y), width), bool)  # (n, K)
    record, row = np.nonzero(own_rows & whole[:, None])
    label = labels[record, row].astype(np.int64)
    seen[record, label] = True
    training = row < split[record]
    seen_in_training[record[training], label[training]] = True
    num_classes = seen.sum(axis=1)
    highest = width - seen[:, ::-1].argmax(axis=1)  # the largest label plus 1
    found["y: labels that are not 0..K-1 without a gap"] = sound & ~(whole & (num_classes == highest))
    found["y: a class that no training row has"] = sound & whole & (seen & ~seen_in_training).any(axis=1)
    if dump.max_num_classes is not None:
        found[f"y: more than max_num_classes={dump.max_num_classes} classes"] = (
            sound & whole & (highest > dump.max_num_classes)
        )
    return found


def _twins(
    dump: Dump, records: np.ndarray, x: np.ndarray, y: np.ndarray, x_do: np.ndarray, y_do: np.ndarray
) -> dict[str, np.ndarray]:
    """For each rule about a twin, which of these records break it, (n,) bool.

    Args:
        records: (n,) their numbers.
        x: (n, R, F), as `x_do`.
        y: (n, R), as `y_do`.
    """
    features, rows, _ = (getattr(dump, name)[records] for name in COUNT_KEYS)
    own_rows = np.arange(dump.max_rows) < rows[:, None]  # (n, R)
    own_cells = own_rows[:, :, None] & (np.arange(dump.max_features) < features[:, None])[:, None, :]
    wrong_cells = ~np.isfinite(x_do) & ~(np.isnan(x_do) & np.isnan(x)) & own_cells
    padding = ((x_do != 0) & ~own_cells).any(axis=(1, 2)) | ((y_do != 0) & ~own_rows).any(axis=1)
    found = {
        "X_do, y_do: cells that are not finite": wrong_cells.any(axis=(1, 2))
        | ~np.isfinite(y_do).all(axis=1),
        "X_do, y_do: padding that is not 0": padding,
    }
    if dump.problem_type == "classification":
        with np.errstate(invalid="ignore"):
            labels = (y_do >= 0) & (y_do <= y.max(axis=1, keepdims=True)) & (y_do == np.floor(y_do))
        found["y_do: labels that y does not have"] = (~labels & own_rows & np.isfinite(y_do)).any(axis=1)
    return found


def _blocks(dump: Dump) -> list[str]:
    if dump.block_size is None:
        return []
    block = min(dump.block_size, len(dump))
    first = np.arange(len(dump)) // block * block
    counts = np.stack([getattr(dump, name) for name in COUNT_KEYS])  # (3, D)
    differs = (counts != counts[:, first]).any(axis=0)
    if not differs.any():
        return []
    records = numbered(np.flatnonzero(differs))
    return [f"original_batch_size: not the shape and split of the first of their block of {block}: {records}"]


def _origin_findings(dump: Dump) -> tuple[list[str], list[str]]:
    if "feature_names" in dump.attributes and dump.feature_names is None:
        return [f"feature_names: is not a JSON list of {dump.max_features} names"], []
    missing = [name for name in ORIGIN[:3] if name not in dump.attributes]
    if len(missing) == 3 or ("sources" in dump.attributes and "config" not in dump.attributes):
        if "sources" in dump.attributes:
            return [], ["made from other files, which it names; it has no config and seed of its own"]
        return [], ["no provenance: it does not say which prior, config or seed it was made with"]
    if missing:
        return [f"provenance: {', '.join(missing)} missing"], []
    try:
        first_dataset(dump)
        differs = other_version(dump) if is_own(dump) else None
        if differs is not None:
            return [], [differs]  # whose configs have other rules
        stored_config(str(dump.attributes["config"]), trust=False)
        stored_seed(dump.attributes["seed"])
    except UnverifiableError as error:
        return [], [str(error)]
    except (ConfigError, DumpError, ValueError) as error:
        return [f"provenance: {short(without_path(error, dump.path))}"], []
    return [], []


def _sources_findings(dump: Dump) -> tuple[list[str], list[str]]:
    if "sources" not in dump.attributes:
        return [], []
    try:
        sources = json.loads(dump.attributes["sources"])
        hashes = [source.get("content_hash", source.get("sha256")) for source in sources]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ["provenance: sources is not a JSON list of objects"], []
    if not hashes or not all(isinstance(content, str) for content in hashes):
        return ["provenance: sources lacks a hash"], []
    return [], []
