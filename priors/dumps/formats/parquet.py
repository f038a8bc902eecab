"""A dump as a Parquet file of long rows, and back: one row per datapoint, without properties and twins.

D datasets in a file, R rows and F features of one dataset; arrays are padded to max_rows and max_features.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from priors.dumps.files import replaced_when_done
from priors.dumps.outline import Outline
from priors.dumps.records import Records, check_sizes, stated_outline
from priors.dumps.schema import COUNT_KEYS, READ_ERRORS, DumpError, as_dump_error, column_names

OUTLINE_KEY = "prior_dump"
"""Of the file's metadata: what does not fit into its rows."""

LONG_COLUMNS = ("dataset", "row", "is_train", "y")
"""The columns in front of those of the features."""

ROWS_PER_GROUP = 2**18
"""Rows that a reader must hold at a time."""


def write_parquet(path: Path, records: Records) -> None:
    """Write one row per datapoint; a feature that a dataset does not have is null, a missing value NaN.

    Raises:
        DumpError: the file cannot be written, or the records cannot be read; or pyarrow is not installed.

    Examples:
        >>> outline = Outline(1, max_rows=4, max_features=2, max_num_classes=2, block_size=1)
        >>> record = {"X": np.ones((1, 4, 2)), "y": np.array([[0, 1, 0, 1]])}
        >>> record |= {"num_features": np.array([2]), "num_datapoints": np.array([4])}
        >>> record |= {"single_eval_pos": np.array([2])}
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "mine.parquet"
        ...     write_parquet(path, Records(outline, lambda: [record]))
        ...     with read_parquet(path) as records:
        ...         [piece] = records.pieces()
        >>> piece["y"].tolist()
        [[0.0, 1.0, 0.0, 1.0]]
    """
    pa, pq = _pyarrow()
    outline = records.outline
    schema = _long_schema(outline)
    with (
        as_dump_error(path, "cannot be written", (OSError, pa.ArrowException)),
        replaced_when_done(path) as partial,
        pq.ParquetWriter(partial, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        start = 0
        for piece in records.pieces():
            x, y, rows = piece["X"], piece["y"], piece["num_datapoints"]  # (n, R, F), (n, R), (n,)
            own = np.arange(y.shape[1]) < rows[:, None]  # (n, R)
            dataset, row = np.nonzero(own)
            absent = np.arange(x.shape[2]) >= piece["num_features"][:, None]  # (n, F)
            columns = [
                pa.array(start + dataset, pa.int64()),
                pa.array(row, pa.int32()),
                pa.array(row < piece["single_eval_pos"][dataset]),
                pa.array(y[own]),
            ]
            x, absent = x[own], absent[dataset]  # (rows of all, F)
            columns += [pa.array(x[:, i].copy(), mask=absent[:, i].copy()) for i in range(x.shape[1])]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=ROWS_PER_GROUP)
            start += len(y)


def _long_schema(outline: Outline) -> Any:
    pa, _ = _pyarrow()
    fields = {name: getattr(outline, name) for name in Outline.__dataclass_fields__}
    types = [pa.int64(), pa.int32(), pa.bool_(), pa.float32()]
    names = [*LONG_COLUMNS, *feature_columns(outline)]
    types += [pa.float32()] * outline.max_features
    return pa.schema(list(zip(names, types, strict=True)), {OUTLINE_KEY: json.dumps(fields)})


def feature_columns(outline: Outline) -> list[str]:
    """The features' own names, if they have such and none is taken; else x0, x1 ...

    Examples:
        >>> feature_columns(Outline(1, max_rows=4, max_features=2, max_num_classes=2, block_size=1))
        ['x0', 'x1']
    """
    names = column_names(outline.attributes, outline.max_features)
    if names and len({*LONG_COLUMNS, *names}) == len(LONG_COLUMNS) + len(names):
        return [*names]
    return [f"x{i}" for i in range(outline.max_features)]


@contextmanager
def read_parquet(path: Path) -> Iterator[Records]:
    """The records of a Parquet file that `write_parquet` wrote, read piece by piece.

    Raises:
        DumpError: it is damaged, or was not written by `write_parquet`; or pyarrow is not installed.
    """
    _, pq = _pyarrow()
    with ExitStack() as stack:
        with as_dump_error(path, "cannot be read", _parquet_errors()):
            file = pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)
            stack.enter_context(file)
            text = (file.schema_arrow.metadata or {}).get(OUTLINE_KEY.encode())
            if text is None:
                raise DumpError(
                    f"{path}: was not written by `priors convert`: its metadata lacks {OUTLINE_KEY!r}"
                )
            outline = stated_outline(path, json.loads(text))
            width = len(file.schema_arrow.names) - len(LONG_COLUMNS)
            if width != outline.max_features or not file.schema_arrow.equals(_long_schema(outline)):
                raise DumpError(f"{path}: must have the columns {', '.join(LONG_COLUMNS)} and its features")
        yield Records(outline, lambda: _pieces(path, file, outline))


def _pieces(path: Path, file: Any, outline: Outline) -> Iterator[dict[str, np.ndarray]]:
    pa, _ = _pyarrow()
    start, rest = 0, None
    with as_dump_error(path, "cannot be read", _parquet_errors()):
        for batch in file.iter_batches(ROWS_PER_GROUP, use_threads=False):
            table = pa.Table.from_batches([batch] if rest is None else [*rest.to_batches(), batch])
            dataset = table["dataset"].to_numpy()
            changes = np.flatnonzero(np.diff(dataset))
            whole = int(changes[-1]) + 1 if changes.size else 0  # rows of datasets that came to their end
            if len(table) - whole > outline.max_rows:
                raise DumpError(f"{path}: dataset {dataset[-1]} has more than {outline.max_rows} rows")
            if whole:
                piece = _piece(path, table[:whole], start, outline)
                yield piece
                start += len(piece["y"])
            rest = table[whole:]
        if rest is not None and len(rest):
            piece = _piece(path, rest, start, outline)
            yield piece
            start += len(piece["y"])
        if start != outline.num_datasets:
            raise DumpError(f"{path}: must hold {outline.num_datasets} datasets, got {start}")


def _parquet_errors() -> tuple[type[Exception], ...]:
    pa, _ = _pyarrow()
    return (*READ_ERRORS, pa.ArrowException)


def _piece(path: Path, table: Any, start: int, outline: Outline) -> dict[str, np.ndarray]:
    """The whole datasets of `table`, whose first must be number `start`."""
    for name in LONG_COLUMNS:
        if table[name].null_count:
            raise DumpError(f"{path}: {name} must not be null")
    dataset, row, is_train, y = (table[name].to_numpy() for name in LONG_COLUMNS)
    firsts = np.flatnonzero(np.diff(dataset, prepend=start - 1))  # of the rows of each dataset
    rows = np.diff(firsts, append=len(dataset))
    local = np.repeat(np.arange(len(firsts)), rows)
    if not np.array_equal(dataset, start + local):
        raise DumpError(f"{path}: dataset must count 0, 1, 2 ..., all rows of one together")
    if not np.array_equal(row, np.arange(len(row)) - firsts[local]):
        raise DumpError(f"{path}: row must count 0, 1, 2 ... in each dataset")
    split = np.add.reduceat(is_train.astype(np.int64), firsts)
    if not np.array_equal(is_train, row < split[local]):
        raise DumpError(f"{path}: is_train must be true for the first rows of each dataset, and only there")
    columns = [table[name] for name in feature_columns(outline)]
    present = np.stack([column.is_valid().to_numpy() for column in columns], axis=1)  # (rows of all, F)
    features = present[firsts].sum(axis=1)
    if not np.array_equal(present, np.arange(outline.max_features) < features[local][:, None]):
        raise DumpError(f"{path}: x must be null in the features that a dataset has not, and only there")
    piece = {
        "X": np.zeros((len(rows), outline.max_rows, outline.max_features), np.float32),
        "y": np.zeros((len(rows), outline.max_rows), np.float32),
    } | dict(zip(COUNT_KEYS, (features, rows, split), strict=True))
    check_sizes(path, piece, start, outline)
    piece["y"][local, row] = y
    for i, column in enumerate(columns):
        piece["X"][local, row, i] = np.where(present[:, i], column.to_numpy(), np.float32(0))
    return piece


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DumpError(
            "Parquet needs the package pyarrow: pip install 'nanotabpfn-priors[parquet]'"
        ) from error
    return pyarrow, pyarrow.parquet
