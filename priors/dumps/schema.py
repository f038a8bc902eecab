"""The schema of a prior dump: its keys, its limits, and the one exception that reports a bad file.

D datasets in a file, R rows and F features of one dataset; arrays are padded to max_rows and max_features.
"""

import json
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

FORMAT_VERSION = 1
"""Version of the schema that `write_dump` writes, and the newest that `open_dump` reads."""

SPLIT_KEYS = ("single_eval_pos", "train_test_split_index")
"""Names of the split: ours, and the one that a later public writer uses."""

COUNT_KEYS = ("num_features", "num_datapoints", SPLIT_KEYS[0])
"""The (D,) arrays of sizes: features, rows and training rows of each dataset."""

TWIN_KEYS = ("X_do", "y_do")
"""X and y of each dataset's counterfactual twin, where datasets have twins."""

TABLE_KEYS = ("X", "y", *TWIN_KEYS)
"""The arrays of cells. In an index of shards they are virtual: their values lie in the shards."""

NAMES = ("feature_names", "target_name")
"""Attributes with the names of the columns: a JSON list, and the target's name."""

PROBLEM_TYPES = ("classification", "regression")

TEXT_BYTES = 128
"""Width of a text property. HDF5 compresses and checksums texts only if their width is fixed."""

MOST_TEXT_BYTES = 8 * TEXT_BYTES
"""Width of a text property that is read; a wider one is left out."""

TEXT = h5py.string_dtype("utf-8", TEXT_BYTES)

SHARDS_SUFFIX = ".shards"
"""The shards of the dump NAME lie in the folder NAME.shards, in the same folder as NAME."""

SHARD_NAME = re.compile(r"shard-[0-9]{6,}\.h5")
MAX_INDEXED_SHARDS = 512
"""HDF5 keeps all shards of an index open, and 1,024 is a usual limit of open files."""

READ_BYTES = 2**24
"""Bytes of X that one step of a pass over a whole file holds in memory."""

READ_RECORDS = 2**14
"""Records that one step of a pass holds at most: their properties take memory too."""

MOST_DATASETS = 2**24
"""Datasets in one file. A larger number is refused: a few well compressed MB could claim any number."""

MOST_BYTES = 2**27
"""Bytes of one record or of one chunk. More is refused, for the same reason."""

H5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)
"""What h5py raises for files that are broken or hostile, or on a full disk."""

READ_ERRORS = (
    *H5_ERRORS,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,
    SyntaxError,
    EOFError,
    NotImplementedError,
)
"""What the readers of npz and Parquet raise for such files."""


class DumpError(Exception):
    """A dump that cannot be written or read; the message names the file, and the key or the record.

    Examples:
        >>> from priors.dumps.read import open_dump
        >>> open_dump("absent.h5")
        Traceback (most recent call last):
        priors.dumps.schema.DumpError: absent.h5: no such file
    """


@contextmanager
def as_dump_error(
    path: Path, problem: str, errors: tuple[type[BaseException], ...] = H5_ERRORS
) -> Iterator[None]:
    """Raise whatever a library raises in the body as a `DumpError` of one line.

    Examples:
        >>> with as_dump_error(Path("my.h5"), "cannot be read"):
        ...     raise OSError("Unable to open file (truncated file: eof = 96)")
        Traceback (most recent call last):
        priors.dumps.schema.DumpError: my.h5: cannot be read: truncated file: eof = 96
    """
    try:
        yield
    except errors as error:
        raise DumpError(f"{path}: {problem}: {reason_of(error)}") from error


def reason_of(error: BaseException) -> str:
    """The cause that h5py puts in brackets after what it tried to do; for other errors the first line.

    Examples:
        >>> reason_of(OSError("Unable to open file (truncated file: eof = 96)")), reason_of(MemoryError())
        ('truncated file: eof = 96', 'MemoryError')
    """
    system = re.search(r"error message = '([^']+)'", str(error))
    text = (str(error).splitlines() or [""])[0].strip().strip("'\"")
    cause = system or re.fullmatch(r"(?:Unable to|Can't) [^(]*\((.+)\)", text)
    return cause.group(1) if cause else text or type(error).__name__


def column_names(attributes: dict[str, Any], max_features: int) -> tuple[str, ...] | None:
    """The names of the features in a file's attributes; None if they are not `max_features` names.

    Examples:
        >>> column_names({"feature_names": '["age", "income"]'}, max_features=2)
        ('age', 'income')
        >>> column_names({}, max_features=2)
    """
    try:
        names = json.loads(attributes["feature_names"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names) if len(names) == max_features else None


def finite_records(
    x: np.ndarray,
    y: np.ndarray,
    num_features: np.ndarray,
    num_datapoints: np.ndarray,
    allow_missing: bool = False,
) -> np.ndarray:
    """Which records are sound: (n,) bool, True where all of a record's own cells are finite.

    Args:
        x: (n, R, F), as read; cells past a record's own rows and features are ignored.
        y: (n, R), as read.
        num_features: (n,) own features of each record.
        num_datapoints: (n,) own rows of each record.
        allow_missing: whether NaN in x is a missing value and not damage (`Dump.allow_missing`). Infinity is
            always damage, and so is NaN in y.

    Examples:
        >>> x = np.zeros((2, 3, 1))
        >>> x[1, 0, 0] = np.nan
        >>> finite_records(x, np.zeros((2, 3)), [1, 1], [3, 3]).tolist()
        [True, False]
        >>> finite_records(x, np.zeros((2, 3)), [1, 1], [3, 3], allow_missing=True).tolist()
        [True, True]
    """
    bad_x = np.isinf(x) if allow_missing else ~np.isfinite(x)  # (n, R, F)
    bad_y = ~np.isfinite(y)  # (n, R)
    if not bad_x.any() and not bad_y.any():
        return np.ones(len(x), bool)
    own_rows = np.arange(x.shape[1]) < np.asarray(num_datapoints)[:, None]  # (n, R)
    own_features = np.arange(x.shape[2]) < np.asarray(num_features)[:, None]  # (n, F)
    bad = ((bad_x & own_features[:, None, :]).any(axis=2) | bad_y) & own_rows  # (n, R)
    return ~bad.any(axis=1)
