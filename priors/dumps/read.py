"""Read a dump: open it, check everything but the tables, read datasets and their properties.

D datasets in a file; arrays are padded to max_rows and max_features.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import h5py
import numpy as np

from priors.arguments import as_path, check_integer
from priors.dataset import Dataset
from priors.dumps.arrays import is_written, open_array, plain_value, read_whole
from priors.dumps.datasets import datasets_at, html_of, iterate, numbers_at, sample_datasets
from priors.dumps.schema import (
    FORMAT_VERSION,
    H5_ERRORS,
    MOST_BYTES,
    MOST_DATASETS,
    MOST_TEXT_BYTES,
    PROBLEM_TYPES,
    READ_BYTES,
    READ_RECORDS,
    SPLIT_KEYS,
    TABLE_KEYS,
    TWIN_KEYS,
    DumpError,
    as_dump_error,
    column_names,
    reason_of,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Dump:
    """An open dump that keeps the schema's rules; `open_dump` makes it. A context manager, and a sequence of
    datasets: ``dump[3]``, ``len(dump)``, ``for dataset in dump``.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "my.h5"
        ...     _ = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     with open_dump(path) as dump:
        ...         nodes = dump.read_property("num_nodes")
        >>> len(dump), dump.block_size, nodes.shape
        (3, 32, (3,))
    """

    path: Path
    num_datasets: int
    """D."""
    max_rows: int
    max_features: int
    max_num_classes: int | None
    """Most classes of any dataset; None for regression, or where the file does not say."""
    problem_type: str
    """classification or regression; for a file that does not say, regression if it has no max_num_classes."""
    block_size: int | None
    """How many consecutive datasets share a split and a shape, as the writer says; None if it does not."""
    allow_missing: bool
    """Whether NaN is a missing value. Where it is not, NaN is damage, as infinity always is."""
    attributes: dict[str, Any]
    """The file's attributes: of our own files format_version, generator, config (JSON), seed (text), created,
    allow_missing and content_hash; of others often none."""
    num_features: np.ndarray
    """(D,) int64."""
    num_datapoints: np.ndarray
    """(D,) int64."""
    single_eval_pos: np.ndarray
    """(D,) int64, training rows of each dataset."""
    properties: tuple[str, ...]
    """Names of the values that are stored for each dataset; see `read_property`."""
    arrays: dict[str, h5py.Dataset] = field(repr=False)
    """The arrays of the schema by their names in the file: for code that needs chunks and storage."""
    unknown_keys: tuple[str, ...]
    """Names in the file that the schema does not know; they are never opened."""
    file: h5py.File = field(repr=False)

    def __repr__(self) -> str:
        classes = f", at most {self.max_num_classes} classes" if self.max_num_classes else ""
        return (
            f"<Dump {str(self.path)!r}: {self.num_datasets} datasets of at most {self.max_rows} rows x "
            f"{self.max_features} features, {self.problem_type}{classes}>"
        )

    def _repr_html_(self) -> str:
        return html_of(self)

    def __len__(self) -> int:
        return self.num_datasets

    def __iter__(self) -> Iterator[Dataset]:
        return iterate(self)

    @overload
    def __getitem__(self, index: int) -> Dataset: ...

    @overload
    def __getitem__(self, index: slice) -> list[Dataset]: ...

    def __getitem__(self, index: int | slice) -> Dataset | list[Dataset]:
        """Dataset `index` as `sample_dataset` returned it, negative ones from the end; a list for a slice.

        Raises:
            IndexError: there is no such dataset.
            DumpError: the file is damaged there.

        Examples:
            >>> import tempfile
            >>> from priors import PRESETS, generate_dump, open_dump
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     _ = generate_dump(f"{folder}/my.h5", PRESETS["default"], num_datasets=3, seed=0)
            ...     with open_dump(f"{folder}/my.h5") as dump:
            ...         last, first_two, frame = dump[-1], dump[:2], dump.to_pandas(0)
            >>> last, len(first_two), frame.shape
            (<Dataset: 150 rows (83 training) x 5 features, 2 classes>, 2, (150, 6))
        """
        numbers = numbers_at(self.num_datasets, index)
        if isinstance(numbers, range):
            return datasets_at(self, numbers)
        return datasets_at(self, [numbers])[0]

    def sample(self, num_datasets: int, seed: int = 0) -> list[Dataset]:
        """That many different datasets, drawn at random, in their order in the file.

        Raises:
            ValueError: more than there are.
            DumpError: the file is damaged there.
        """
        return sample_datasets(self, num_datasets, seed)

    def to_pandas(self, index: int) -> "pd.DataFrame":
        """Dataset `index` as a data frame (`Dataset.to_frame`), with the names that the file has.

        Raises:
            IndexError, DumpError: as for ``dump[index]``.
            ModuleNotFoundError: pandas is missing, which is an extra.
        """
        dataset, names = self[index], self.feature_names
        return dataset.to_frame(names and names[: dataset.x.shape[1]], self.target_name or "y")

    def __enter__(self) -> "Dump":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()

    @property
    def is_index(self) -> bool:
        """Whether X and y lie in shards, of which the file is the index."""
        return self.arrays["X"].is_virtual

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Names of the columns of X; None if the file does not hold a name for each column."""
        return column_names(self.attributes, self.max_features)

    @property
    def target_name(self) -> str | None:
        """Name of y; None if the file does not hold it."""
        name = self.attributes.get("target_name")
        return name if isinstance(name, str) else None

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Datasets start..stop-1: x (n, max_rows, max_features) and y (n, max_rows), float32, with padding.

        Raises:
            IndexError: not 0 <= start <= stop <= D.
            DumpError: the file is damaged there; the message names the records.
        """
        return self._read_pair(("X", "y"), start, stop)

    @property
    def has_twins(self) -> bool:
        """Whether each dataset has a twin, which `read_twins` reads."""
        return TWIN_KEYS[0] in self.arrays

    def read_twins(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """The twins of datasets start..stop-1, in the arrays that `read` returns for the datasets.

        Raises:
            IndexError, DumpError: as `read`; or there are no twins.
        """
        if not self.has_twins:
            raise DumpError(f"{self.path}: has no twins ({', '.join(TWIN_KEYS)})")
        return self._read_pair(TWIN_KEYS, start, stop)

    def _read_pair(self, keys: tuple[str, str], start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        self._check_span(start, stop)
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes inf: a damaged record
            x, y = (self._read_array(key, start, stop).astype(np.float32, copy=False) for key in keys)
        return x, y

    def _check_span(self, start: int, stop: int) -> None:
        check_integer("start", start)
        check_integer("stop", stop)
        if not 0 <= start <= stop <= self.num_datasets:
            raise IndexError(f"start and stop must keep 0 <= {start} <= {stop} <= {self.num_datasets}")

    def read_records(self, indices: np.ndarray, twins: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Datasets (or twins) of any indices (n,), in that order, repeats allowed; otherwise as `read`."""
        read, numbers = self.read_twins if twins else self.read, np.asarray(indices)
        if len(numbers) and numbers.dtype.kind not in "iu":
            raise TypeError(f"indices must be integers, got {indices!r:.100}")
        records, positions = np.unique(numbers.astype(np.int64), return_inverse=True)
        if not len(records):
            return read(0, 0)
        runs = np.split(records, np.flatnonzero(np.diff(records) > 1) + 1)
        xs, ys = zip(*(read(int(run[0]), int(run[-1]) + 1) for run in runs), strict=True)
        return np.concatenate(xs)[positions], np.concatenate(ys)[positions]

    def read_property(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Property `name` of datasets start..stop-1 (all by default): (n,) numbers, or (n,) str as objects.

        Raises:
            DumpError: there is no such property, or the file is damaged there.
        """
        if name not in self.properties:
            known = ", ".join(self.properties) or "none"
            raise DumpError(f"{self.path}: has no property {name!r}; it has {known}")
        stop = self.num_datasets if stop is None else stop
        self._check_span(start, stop)
        return self._read_array(f"properties/{name}", start, stop)

    def spans(self) -> Iterator[tuple[int, int]]:
        """(start, stop) of consecutive reads that cover the file, of whole chunks and of bounded memory."""
        chunk = (self.arrays["X"].chunks or (1,))[0]
        fitting = min(READ_BYTES // (4 * self.max_rows * self.max_features), READ_RECORDS)
        step = max(1, fitting // chunk * chunk)
        for start in range(0, self.num_datasets, step):
            yield start, min(start + step, self.num_datasets)

    def _read_array(self, key: str, start: int, stop: int) -> np.ndarray:
        array = self.arrays[key]
        view = array.asstr() if h5py.check_string_dtype(array.dtype) else array
        try:
            values = view[start:stop]
        except H5_ERRORS as error:
            # Find the chunk, since damage is per chunk. This is slow, but it happens once.
            step = (array.chunks or (1,))[0]
            for first in range(start - start % step, stop, step):
                low, high = max(first, start), min(first + step, stop)
                try:
                    view[low:high]
                except H5_ERRORS:
                    start, stop = low, high
                    break
            which = f"record {start}" if stop - start == 1 else f"records {start} to {stop - 1}"
            raise DumpError(f"{self.path}: {key}: {which} cannot be read: {reason_of(error)}") from error
        if array.is_virtual:
            # If HDF5 cannot open a shard (it is gone, or there are too many open files), it returns NaN for
            # all of its records, padding included.
            absent = np.isnan(values.reshape(len(values), -1)).all(axis=1)
            if absent.any():
                record = start + int(absent.argmax())
                raise DumpError(f"{self.path}: {key}: record {record}: its shard cannot be opened any more")
        return values


def open_dump(path: str | Path, check_sizes: bool = True) -> Dump:
    """Open a dump, ours or another writer's, and check everything but the tables themselves.

    Nothing outside the file is ever read: links, virtual arrays and external storage are refused. The one
    exception is an index of shards, ``NAME``, whose X and y lie in ``NAME.shards/shard-000000.h5`` and so on,
    plain files: their names follow from the name that was given, not from what the file says.

    Args:
        path: the file.
        check_sizes: whether a record whose sizes or split are out of range is an error. `validate` sets it to
            False and reports these records itself.

    Raises:
        DumpError: no such file, not HDF5, cut off, or against the schema; one line that names the file, the
            key and the first bad record.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "my.h5"
        ...     _ = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     with open_dump(path) as dump:
        ...         x, y = dump.read(0, 3)
        >>> x.shape, y.shape, dump.problem_type, dump.max_num_classes
        ((3, 20, 5), (3, 20), 'classification', 2)
    """
    path = as_path("path", path)
    if os.path.isdir(path):
        raise DumpError(f"{path}: is a folder, not a dump")
    if not os.path.exists(path):
        raise DumpError(f"{path}: no such file")
    if not os.path.isfile(path):
        raise DumpError(f"{path}: is not a regular file")
    with as_dump_error(path, "is not a whole HDF5 file"):
        # The real path: HDF5 looks for the shards of an index in the folder of the name that was opened.
        file = h5py.File(os.path.realpath(path), "r")
    try:
        with as_dump_error(path, "cannot be read"):
            return _checked_dump(path, file, check_sizes)
    except BaseException:
        file.close()
        raise


def _checked_dump(path: Path, file: h5py.File, check_sizes: bool) -> Dump:
    keys = set(file)  # a plain set of names: `key in file` would follow links
    attributes = _attributes(path, file)
    arrays = _tables(path, file)
    num_datasets, max_rows, max_features = arrays["X"].shape
    split_key = next((key for key in SPLIT_KEYS if key in keys), SPLIT_KEYS[0])
    counts = _counts(path, file, split_key, arrays)
    if check_sizes:
        _check_counts(path, "num_features", counts["num_features"], 1, max_features)
        _check_counts(path, "num_datapoints", counts["num_datapoints"], 2, max_rows)
        _check_counts(path, split_key, counts[split_key], 1, counts["num_datapoints"] - 1)
    _check_tables_are_whole(path, arrays)
    problem_type, max_num_classes = _problem(path, file, arrays)
    block_size = _one_integer(path, file, "original_batch_size", arrays)
    if block_size is not None and not 1 <= block_size <= MOST_DATASETS:
        raise DumpError(
            f"{path}: original_batch_size must be at least 1 and at most {MOST_DATASETS}, got {block_size}"
        )
    properties = _properties(path, file, num_datasets)
    arrays |= {f"properties/{name}": array for name, array in properties.items()}
    return Dump(
        path=path,
        num_datasets=num_datasets,
        max_rows=max_rows,
        max_features=max_features,
        max_num_classes=max_num_classes,
        problem_type=problem_type,
        block_size=block_size,
        allow_missing=attributes.get("allow_missing") is True,
        attributes=attributes,
        num_features=counts["num_features"],
        num_datapoints=counts["num_datapoints"],
        single_eval_pos=counts[split_key],
        properties=tuple(properties),
        arrays=arrays,
        unknown_keys=tuple(sorted(keys - arrays.keys() - {"properties"})),
        file=file,
    )


def _attributes(path: Path, file: h5py.File) -> dict[str, Any]:
    attributes = {}
    for name in file.attrs:
        try:
            attributes[name] = plain_value(file.attrs[name])
        except H5_ERRORS:
            continue  # of a type that h5py cannot read: none of ours
    format_version = attributes.get("format_version")
    if isinstance(format_version, int) and format_version > FORMAT_VERSION:
        raise DumpError(
            f"{path}: format_version must be at most {FORMAT_VERSION}, got {format_version}; "
            f"a newer release of this package reads it"
        )
    return attributes


def _tables(path: Path, file: h5py.File) -> dict[str, h5py.Dataset]:
    """X, y and, if the file has them, the twins: of matching shapes."""
    x = open_array(path, file, "X", "iuf", may_be_index=True)
    if x.ndim != 3 or x.shape[0] < 1 or x.shape[1] < 2 or x.shape[2] < 1:
        raise DumpError(
            f"{path}: X must have a shape (D, max_rows, max_features) of at least (1, 2, 1), got {x.shape}"
        )
    y = open_array(path, file, "y", "iufb", may_be_index=True)
    if y.shape != x.shape[:2]:
        raise DumpError(f"{path}: y must have the shape {x.shape[:2]}, got {y.shape}")
    arrays = {"X": x, "y": y} | _twins(path, file, x, y)
    for key, array in arrays.items():
        if not array.is_virtual and array.id.get_storage_size() == 0:
            raise DumpError(f"{path}: {key} was never written")
    return arrays


def _twins(path: Path, file: h5py.File, x: h5py.Dataset, y: h5py.Dataset) -> dict[str, h5py.Dataset]:
    """The arrays of twins, if the file has both, of the shapes of X and y; others are none of ours."""
    try:
        arrays = {key: open_array(path, file, key, "iufb", may_be_index=True) for key in TWIN_KEYS}
    except DumpError:
        return {}
    return arrays if [array.shape for array in arrays.values()] == [x.shape, y.shape] else {}


def _counts(
    path: Path, file: h5py.File, split_key: str, arrays: dict[str, h5py.Dataset]
) -> dict[str, np.ndarray]:
    """Sizes and split of each dataset, (D,) int64 by key; their arrays are added to `arrays`."""
    num_datasets, max_rows, _ = arrays["X"].shape
    keys, counts = set(file), {}
    for key in ("num_features", "num_datapoints", split_key):
        if key == "num_datapoints" and key not in keys:
            counts[key] = np.full(num_datasets, max_rows, np.int64)
            continue
        array = arrays[key] = open_array(path, file, key, "iu")
        if array.shape != (num_datasets,):
            raise DumpError(f"{path}: {key} must have the shape {(num_datasets,)}, got {array.shape}")
        # Checked before it is read: a few bytes can declare an array that no memory holds.
        if not is_written(array):
            raise DumpError(f"{path}: {key} was never written, or not to its end")
        if num_datasets > MOST_DATASETS:
            raise DumpError(
                f"{path}: a file may hold at most {MOST_DATASETS:,} datasets, got {num_datasets:,}"
            )
        counts[key] = read_whole(path, key, array).astype(np.int64)
    return counts


def _check_counts(path: Path, key: str, values: np.ndarray, low: int, high: int | np.ndarray) -> None:
    """Every value (D,) must lie in low..high; `high` is one bound, or one per record."""
    bad = np.flatnonzero((values < low) | (values > high))
    if bad.size:
        first, bound = bad[0], np.broadcast_to(high, values.shape)[bad[0]]
        more = f" (and {bad.size - 1} more records)" if bad.size > 1 else ""
        raise DumpError(f"{path}: {key}: record {first} must have {low}..{bound}, got {values[first]}{more}")


def _check_tables_are_whole(path: Path, arrays: dict[str, h5py.Dataset]) -> None:
    for key in TABLE_KEYS:
        if key not in arrays:
            continue
        record_bytes = prod(arrays[key].shape[1:]) * max(4, arrays[key].dtype.itemsize)
        if record_bytes > MOST_BYTES:
            raise DumpError(
                f"{path}: a record of {key} may take at most {MOST_BYTES:,} bytes, got {record_bytes:,}"
            )
        if not arrays[key].is_virtual and not is_written(arrays[key]):
            raise DumpError(f"{path}: {key} was not written to its end")


def _problem(path: Path, file: h5py.File, arrays: dict[str, h5py.Dataset]) -> tuple[str, int | None]:
    """(problem type, most classes); the arrays that say so are added to `arrays`."""
    max_num_classes = _one_integer(path, file, "max_num_classes", arrays)
    problem_type = PROBLEM_TYPES[max_num_classes is None]
    if "problem_type" in set(file):
        array = arrays["problem_type"] = open_array(path, file, "problem_type", "T")
        if array.size != 1:
            raise DumpError(f"{path}: problem_type must be one text, got {array.shape}")
        problem_type = plain_value(read_whole(path, "problem_type", array))
        if problem_type not in PROBLEM_TYPES:
            raise DumpError(
                f"{path}: problem_type must be {' or '.join(PROBLEM_TYPES)}, got {problem_type!r}"
            )
    if problem_type == "regression":
        return problem_type, None
    max_rows = arrays["X"].shape[1]
    if max_num_classes is not None and not 1 <= max_num_classes <= max_rows:
        raise DumpError(
            f"{path}: max_num_classes must be at least 1 and at most {max_rows}, the rows of a dataset, "
            f"got {max_num_classes}"
        )
    return problem_type, max_num_classes


def _one_integer(path: Path, file: h5py.File, key: str, arrays: dict) -> int | None:
    if key not in set(file):
        return None
    arrays[key] = open_array(path, file, key, "iu")
    if arrays[key].size != 1:
        raise DumpError(f"{path}: {key} must have the shape (1,), got {arrays[key].shape}")
    return int(read_whole(path, key, arrays[key]).reshape(-1)[0])


def _properties(path: Path, file: h5py.File, num_datasets: int) -> dict[str, h5py.Dataset]:
    """The (D,) arrays of the group `properties`; what else is in it is none of ours."""
    link = file.get("properties", getlink=True)
    if not isinstance(link, h5py.HardLink) or not isinstance(file["properties"], h5py.Group):
        return {}
    group, properties = file["properties"], {}
    for name in group:
        try:
            array = open_array(path, group, name, "iufbT")
        except DumpError:
            continue  # not in the file itself, or neither numbers nor text
        if array.dtype.itemsize > MOST_TEXT_BYTES:
            continue  # a few well compressed MB could claim any amount of text
        if array.shape == (num_datasets,) and is_written(array):
            properties[name] = array
    return properties
