"""Records on their way from one file to another: read in any order, a few MB at a time.

D datasets in a file; arrays are padded to max_rows and max_features.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from priors.dumps.files import file_hash
from priors.dumps.outline import Outline
from priors.dumps.provenance import ORIGIN, STEPS, derived
from priors.dumps.read import Dump
from priors.dumps.schema import (
    COUNT_KEYS,
    MOST_BYTES,
    MOST_DATASETS,
    NAMES,
    READ_BYTES,
    READ_RECORDS,
    TWIN_KEYS,
    DumpError,
)

Pieces = Iterable[dict[str, np.ndarray]]
"""Consecutive records by key, as `write_records` takes them."""


class Records(NamedTuple):
    """The records of a file of any kind."""

    outline: Outline
    pieces: Callable[[], Pieces]
    """Reads them from the first on."""
    has_twins: bool = False


def step_size(max_rows: int, max_features: int, block_size: int) -> int:
    """How many records to move at a time: whole blocks if they fit, in the memory of a few MB.

    Examples:
        >>> step_size(max_rows=150, max_features=5, block_size=32)
        5568
    """
    fitting = max(1, min(READ_BYTES // (4 * max_rows * max_features), READ_RECORDS))
    return max(fitting // block_size * block_size, 1) if block_size <= fitting else fitting


def pieces_of(dump: Dump, step: int, order: np.ndarray | None = None) -> Iterator[dict[str, np.ndarray]]:
    """The records of `dump` as `write_records` takes them, `step` at a time.

    Args:
        dump: the file that is read.
        step: records of a piece.
        order: (n,) indices of records; by default all, in their order. X and y are read piece by piece;
            properties in another order are held whole, a few bytes per record.

    Raises:
        DumpError: the file is damaged; the message names the records.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.dumps.read import open_dump
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/my.h5"
        ...     _ = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     with open_dump(path) as dump:
        ...         [len(piece["y"]) for piece in pieces_of(dump, step=2)]
        [2, 1]
    """
    names = [f"properties/{name}" for name in dump.properties]
    whole = {} if order is None else {name: dump.read_property(name.split("/")[1]) for name in names}
    for start in range(0, len(dump) if order is None else len(order), step):
        if order is None:
            stop = min(start + step, len(dump))
            chosen: Any = slice(start, stop)
            x, y = dump.read(start, stop)
            twins = dump.read_twins(start, stop) if dump.has_twins else ()
            columns = {name: dump.read_property(name.split("/")[1], start, stop) for name in names}
        else:
            chosen = order[start : start + step]
            x, y = dump.read_records(chosen)
            twins = dump.read_records(chosen, twins=True) if dump.has_twins else ()
            columns = {name: column[chosen] for name, column in whole.items()}
        counts = {name: getattr(dump, name)[chosen] for name in COUNT_KEYS}
        yield {"X": x, "y": y} | dict(zip(TWIN_KEYS, twins, strict=False)) | counts | columns


def check_sizes(path: Path, piece: dict[str, np.ndarray], start: int, outline: Outline) -> None:
    """Stop at a record, the first of which has the number `start`, whose sizes or split cannot be.

    Raises:
        DumpError: naming the first such record.

    Examples:
        >>> piece = {"num_features": [5, 9], "num_datapoints": [20, 20], "single_eval_pos": [12, 12]}
        >>> piece = {name: np.array(column) for name, column in piece.items()}
        >>> outline = Outline(64, max_rows=20, max_features=5, max_num_classes=2, block_size=32)
        >>> check_sizes(Path("mine.npz"), piece, start=32, outline=outline)
        Traceback (most recent call last):
        priors.dumps.schema.DumpError: mine.npz: record 33: sizes out of range: 9 features, 20 rows, split 12
    """
    features, rows, split = (piece[name] for name in COUNT_KEYS)
    right = (features >= 1) & (features <= outline.max_features) & (rows >= 2) & (rows <= outline.max_rows)
    right &= (split >= 1) & (split < rows)
    if not right.all():
        i = int(right.argmin())
        raise DumpError(
            f"{path}: record {start + i}: sizes out of range: {features[i]} features, {rows[i]} rows, "
            f"split {split[i]}"
        )


def stated_outline(path: Path, fields: Any) -> Outline:
    """The outline that a file that is not HDF5 states of itself, if a dump can have it.

    Raises:
        DumpError: naming the first field that no dump can have.

    Examples:
        >>> stated_outline(Path("mine.npz"), {"num_datasets": 3})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        priors.dumps.schema.DumpError: mine.npz: must say num_datasets, max_rows, max_features, ...
    """
    if not isinstance(fields, dict) or fields.keys() != Outline.__dataclass_fields__.keys():
        raise DumpError(f"{path}: must say {', '.join(Outline.__dataclass_fields__)}")
    for name, least, most in [
        ("num_datasets", 1, MOST_DATASETS),
        ("max_rows", 2, MOST_BYTES),
        ("max_features", 1, MOST_BYTES),
        ("max_num_classes", 1, fields["max_rows"]),
        ("block_size", 1, MOST_DATASETS),
    ]:
        value = fields[name]
        if value is None and name == "max_num_classes":
            continue
        if type(value) is not int or not least <= value <= most:
            raise DumpError(f"{path}: {name} must be an int in {least}..{most}, got {str(value)[:80]}")
    record_bytes = 4 * fields["max_rows"] * fields["max_features"]
    if record_bytes > MOST_BYTES:
        raise DumpError(f"{path}: a record may take at most {MOST_BYTES:,} bytes, got {record_bytes:,}")
    if type(fields["allow_missing"]) is not bool or not isinstance(fields["attributes"], dict):
        raise DumpError(f"{path}: allow_missing must be true or false, attributes an object")
    known = {name: value for name, value in fields["attributes"].items() if name in (*ORIGIN, *STEPS, *NAMES)}
    if not all(isinstance(value, str | int) for value in known.values()):
        raise DumpError(f"{path}: attributes must be texts and integers")
    origin = {name: value for name, value in known.items() if name not in NAMES}
    source = {"file": path.name, "sha256": file_hash(path), "num_datasets": fields["num_datasets"]} | origin
    return Outline(**fields | {"attributes": known | derived("convert", [source])})
