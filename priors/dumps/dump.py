"""The HDF5 schema of a prior dump: write, join, open, check.

D datasets in a file, R rows and F features of one dataset; arrays are padded to max_rows and max_features.
"""

import hashlib
import json
import os
import re
import shutil
import socket
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, islice, product
from math import ceil, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:  # a reader of dumps need not load the prior that made them
    from priors.sampling.dataset import Dataset

FORMAT_VERSION = 1
"""Version of the schema that `write_dump` writes and the newest that `open_dump` reads."""

CHUNK_BYTES = 2**20  # HDF5's smallest default chunk cache: a larger chunk would be decoded for every record
RECORDS_PER_CHUNK = 4096  # of the (D,) arrays, which are read whole
TEXT_BYTES = (
    128  # strings have a fixed width: unlike HDF5's variable ones they are compressed and checksummed
)
SPARE_BYTES = 2**23  # of the disk left free: more than HDF5 keeps back until the file is closed
READ_BYTES = 2**24  # what one pass over a whole file holds at a time
READ_RECORDS = 2**14  # and how many records, for their properties take memory too
# More than this no honest dump has in one file, and a hostile one, a few MB well compressed, could fill any
# memory: datasets in a file, and bytes of a record or a chunk.
MOST_DATASETS = 2**24
MOST_BYTES = 2**27

SPLIT_KEYS = ("single_eval_pos", "train_test_split_index")  # ours, and a later public writer's name for it
COUNT_KEYS = ("num_features", "num_datapoints", SPLIT_KEYS[0])
TWIN_KEYS = ("X_do", "y_do")  # X and y of each dataset's twin, where they have such
NAMES = ("feature_names", "target_name")  # attributes: the columns' own, a JSON list, and the target's
PROBLEM_TYPES = ("classification", "regression")
STORAGE = {"compression": "lzf", "shuffle": True, "fletcher32": True}
# HDF5 1.10 (2016) and later read it. Before it, the file's own structure carries no checksums, and HDF5 can
# crash or hang on what a flipped byte there makes of it.
LIBRARY_VERSIONS = ("v110", "v110")

SHARDS_SUFFIX = ".shards"  # the folder of the shards of the dump NAME is NAME.shards, beside it
SHARD_NAME = re.compile(r"shard-[0-9]{6,}\.h5")
VIRTUAL_KEYS = ("X", "y", *TWIN_KEYS)  # what an index of shards does not hold itself
MAX_INDEXED_SHARDS = 512  # HDF5 keeps all of them open, and 1,024 is a usual limit of open files

# A property's type: the values that are taken for it, in the order asked, and what they are stored as.
_ACCEPTED = {
    int: (int, np.integer, np.bool_),
    float: (float, int, np.floating, np.integer),
    str: (str,),
}
_STORED_AS = {int: np.int64, float: np.float64, str: h5py.string_dtype("utf-8", TEXT_BYTES)}

# What h5py raises for files that are broken, hostile or on a full disk; its classes follow no rule.
_H5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)


class DumpError(Exception):
    """A dump that cannot be written or read; the message names the file, and the key or the record."""


# ----------------------------------------------------------------------------------------------- writing


def write_dump(
    path: str | Path,
    blocks: "Iterable[Iterable[Dataset]]",
    *,
    num_datasets: int,
    max_rows: int,
    max_features: int,
    max_num_classes: int | None,
    block_size: int,
    config_json: str,
    seed: int,
    allow_missing: bool = False,
    first_dataset: int = 0,
    twins: bool = False,
    feature_names: Sequence[str] | None = None,
    target_name: str | None = None,
) -> str:
    """Write `num_datasets` datasets to `path` as they come, in the memory of one block.

    How the datasets are spread over `blocks` makes no difference to the file. The file appears under its name
    when it is complete; after any exception, `blocks`' own included, there is nothing new, and an older file
    of that name is as it was.

    Args:
        path: the file to write; its folder must exist.
        blocks: lists of datasets, each x (R, F), y (R,), single_eval_pos and properties (name -> int, float
            or str, the same names and types in every dataset).
        num_datasets: D, how many datasets `blocks` holds in all.
        max_rows: most rows of any dataset.
        max_features: most features of any dataset.
        max_num_classes: most classes of any dataset; None says regression.
        block_size: how many consecutive datasets share a split and a shape, counted from the first dataset;
            1 if they share none.
        config_json: the config of the prior, as JSON.
        seed: the seed that the datasets were drawn from, of any size.
        allow_missing: whether x may hold NaN, a missing value.
        first_dataset: the number that record 0 has among all datasets of (config, seed): above 0 in a shard.
        twins: whether each dataset has a twin (x and y of its shape), to be written beside it.
        feature_names: of the `max_features` columns of X, where all datasets have the same.
        target_name: of y.

    Returns:
        The content hash that the file carries, as `content_hash` would compute it.

    Raises:
        ValueError: an argument out of its range.
        DumpError: the file cannot be written, a dataset breaks the schema (the message names the record), or
            `blocks` holds fewer or more than `num_datasets`.
    """
    path = Path(path)
    for name, value, least in [
        ("num_datasets", num_datasets, 1),
        ("max_rows", max_rows, 2),
        ("max_features", max_features, 1),
        ("block_size", block_size, 1),
        ("first_dataset", first_dataset, 0),
        ("max_num_classes", 1 if max_num_classes is None else max_num_classes, 1),
    ]:
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    if feature_names is not None and len(feature_names) != max_features:
        raise ValueError(f"feature_names must be max_features={max_features} names, got {feature_names}")
    try:
        json.loads(config_json)
    except ValueError as error:
        raise ValueError(f"config_json must be JSON: {error}, got {config_json!r}") from error

    arrays: dict[str, h5py.Dataset] = {}
    hashes: dict[str, Any] = {}
    property_types: dict[str, type] = {}

    with _written_beside(path) as file:

        def create(name: str, shape: tuple[int, ...], dtype: Any) -> None:
            arrays[name] = _create(file, name, shape, dtype, block_size)
            hashes[name] = hashlib.sha256()

        with _one_line(path, "cannot be written"):
            create("X", (num_datasets, max_rows, max_features), np.float32)
            create("y", (num_datasets, max_rows), np.float32)
            if twins:
                create("X_do", (num_datasets, max_rows, max_features), np.float32)
                create("y_do", (num_datasets, max_rows), np.float32)
            for name in COUNT_KEYS:
                create(name, (num_datasets,), np.int32)

        # Regrouped, so that every write is of whole chunks however the datasets come.
        datasets = chain.from_iterable(blocks)
        start = 0
        while block := list(islice(datasets, block_size)):
            stop = start + len(block)
            if stop > num_datasets:
                raise DumpError(f"{path}: blocks must hold num_datasets={num_datasets} datasets, got more")
            if start == 0:
                property_types = _property_types(path, block[0].properties)
                with _one_line(path, "cannot be written"):
                    for name, kind in property_types.items():
                        create(f"properties/{name}", (num_datasets,), _STORED_AS[kind])

            values = {
                "X": np.zeros((len(block), max_rows, max_features), np.float32),
                "y": np.zeros((len(block), max_rows), np.float32),
            }
            if twins:
                values |= {"X_do": np.zeros_like(values["X"]), "y_do": np.zeros_like(values["y"])}
            counts = []
            for i, dataset in enumerate(block):
                try:
                    x, y = _checked_dataset(dataset, max_rows, max_features, max_num_classes, allow_missing)
                    _check_properties(dataset.properties, property_types)
                    if twins:
                        _check_twin(dataset, y, allow_missing)
                    counts.append((x.shape[1], x.shape[0], int(dataset.single_eval_pos)))
                    if counts[i] != counts[0]:
                        raise DumpError(
                            f"a block of {block_size} must share features, rows and single_eval_pos: "
                            f"record {start} has {counts[0]}, got {counts[i]}"
                        )
                except DumpError as error:
                    raise DumpError(f"{path}: record {start + i}: {error}") from None
                values["X"][i, : x.shape[0], : x.shape[1]] = x
                values["y"][i, : x.shape[0]] = y
                if twins:
                    values["X_do"][i, : x.shape[0], : x.shape[1]] = dataset.twin.x
                    values["y_do"][i, : x.shape[0]] = dataset.twin.y
            values |= dict(zip(COUNT_KEYS, np.array(counts).T, strict=True))
            for name, kind in property_types.items():
                column = [kind(dataset.properties[name]) for dataset in block]
                values[f"properties/{name}"] = np.array(column, object if kind is str else kind)

            with _one_line(path, "cannot be written"):
                _check_space(path, values["X"].nbytes + values["y"].nbytes)
                for name, array in arrays.items():
                    array[start:stop] = values[name]
            for name in arrays:
                hashes[name].update(_canonical_bytes(name, values[name]))
            start = stop
        if start < num_datasets:
            raise DumpError(f"{path}: blocks must hold num_datasets={num_datasets} datasets, got {start}")

        shapes = {name: array.shape for name, array in arrays.items()}
        content = _combined(shapes, hashes, max_num_classes)
        attributes = {
            "format_version": FORMAT_VERSION,
            "generator": generator_name(),
            "config": config_json,
            "seed": str(seed),  # as text: seeds may exceed 64 bits
            "allow_missing": bool(allow_missing),
            "first_dataset": first_dataset,
            "content_hash": content,
        }
        if feature_names is not None:
            attributes["feature_names"] = json.dumps(list(feature_names))
        if target_name is not None:
            attributes["target_name"] = target_name
        with _one_line(path, "cannot be written"):
            _write_scalars(file, max_num_classes, block_size, attributes)
    return content


def _create(file: h5py.File, name: str, shape: tuple[int, ...], dtype: Any, block_size: int) -> h5py.Dataset:
    chunks = (min(shape[0], RECORDS_PER_CHUNK),) if len(shape) == 1 else _chunk_shape(shape, block_size)
    return file.create_dataset(name, shape, dtype, chunks=chunks, **STORAGE)


def _write_scalars(
    file: h5py.File, max_num_classes: int | None, block_size: int, attributes: dict[str, Any]
) -> None:
    if max_num_classes is not None:
        _write_integer(file, "max_num_classes", max_num_classes)
    file["problem_type"] = PROBLEM_TYPES[max_num_classes is None]
    _write_integer(file, "original_batch_size", block_size)
    _write_attributes(file, attributes)


def _write_integer(file: h5py.File, name: str, value: int) -> None:
    # As a chunk: HDF5 has checksums for chunks alone.
    file.create_dataset(name, data=np.array([value], np.int64), chunks=(1,), fletcher32=True)


def _write_attributes(file: h5py.File, attributes: dict[str, Any]) -> None:
    created = datetime.now(UTC).isoformat(timespec="seconds")
    for name, value in (attributes | {"created": created}).items():
        if isinstance(value, str):
            # Of a fixed width, and so in the header, which has a checksum; others lie in a heap without one.
            value = np.array(value.encode(), h5py.string_dtype("utf-8", max(1, len(value.encode()))))
        file.attrs[name] = value


@contextmanager
def replaced_when_done(path: Path) -> Iterator[Path]:
    """The name of a file to write beside `path`: it takes that name if all goes well, and is removed if not.

    Raises:
        DumpError: as `check_target`, or the file cannot take its name.
    """
    check_target(path)
    # Of this writer alone, on whichever machine: two may be at work on one shard in a folder that they share.
    partial = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.partial")
    try:
        yield partial
        with _one_line(path, "cannot be written"):
            os.replace(partial, path)
    finally:
        with suppress(OSError):  # gone, for it took its name; or what went wrong is told by the exception
            partial.unlink()


@contextmanager
def _written_beside(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file that takes the name `path` if all goes well, and leaves nothing behind if not."""
    with replaced_when_done(path) as partial:
        with _one_line(path, "cannot be written"):
            file = h5py.File(partial, "w", libver=LIBRARY_VERSIONS)
        try:
            yield file
        finally:
            with _one_line(path, "cannot be written"):
                file.close()


def check_target(path: Path) -> None:
    """Stop before any work where no file of that name can be written.

    Raises:
        DumpError: `path` is a folder, or its folder does not exist.
    """
    if path.is_dir():
        raise DumpError(f"{path}: cannot be written: it is a folder")
    if not path.parent.is_dir():
        raise DumpError(f"{path}: cannot be written: there is no folder {path.parent}")


def _check_space(path: Path, num_bytes: int) -> None:
    """Stop in good time: after a write that the disk refused, HDF5 may take the whole process down."""
    free = shutil.disk_usage(path.parent).free
    if free < num_bytes + SPARE_BYTES:
        raise DumpError(f"{path}: cannot be written: the disk is full ({free // 2**20} MiB left)")


def _chunk_shape(shape: tuple[int, ...], block_size: int) -> tuple[int, ...]:
    """One block of records, or the largest even part of it within CHUNK_BYTES, or a part of one record."""
    row_bytes = 4 * prod(shape[2:])  # float32
    fitting = max(1, CHUNK_BYTES // (row_bytes * shape[1]))
    records = next(n for n in range(min(fitting, block_size), 0, -1) if block_size % n == 0)
    rows = min(shape[1], max(1, CHUNK_BYTES // row_bytes))
    return (min(records, shape[0]), rows, *shape[2:])


def _checked_dataset(
    dataset: "Dataset", max_rows: int, max_features: int, max_num_classes: int | None, allow_missing: bool
) -> tuple[np.ndarray, np.ndarray]:
    """x (R, F) and y (R,) as float32, if they keep the schema's rules for a writer; DumpError if not."""
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes inf, and is refused as such below
        x = np.asarray(dataset.x).astype(np.float32, copy=False)
        y = np.asarray(dataset.y).astype(np.float32, copy=False)
    split = dataset.single_eval_pos
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise DumpError(f"x must be (R, F) and y (R,), got {x.shape} and {y.shape}")
    rows, features = x.shape
    if not 2 <= rows <= max_rows:
        raise DumpError(f"rows must be in 2..{max_rows}, got {rows}")
    if not 1 <= features <= max_features:
        raise DumpError(f"features must be in 1..{max_features}, got {features}")
    if not 0 < split < rows:
        raise DumpError(f"single_eval_pos must be in 1..{rows - 1}, got {split}")
    if allow_missing:
        if np.isinf(x).any():
            raise DumpError(f"x must be finite or NaN, got {np.isinf(x).sum()} infinite cells")
    elif not np.isfinite(x).all():
        raise DumpError(f"x must be finite, got {(~np.isfinite(x)).sum()} other cells")
    if not np.isfinite(y).all():
        raise DumpError(f"y must be finite, got {(~np.isfinite(y)).sum()} other values")
    if max_num_classes is not None:
        classes = np.unique(y)
        if not np.array_equal(classes, np.arange(len(classes))):
            shown = ", ".join(f"{label:g}" for label in classes[:10])
            raise DumpError(f"labels must be 0..K-1 without a gap, got {shown}")
        if len(classes) > max_num_classes:
            raise DumpError(
                f"labels must be below max_num_classes={max_num_classes}, got {len(classes)} classes"
            )
        if len(np.unique(y[:split])) < len(classes):
            unseen = np.setdiff1d(classes, y[:split])[0]
            raise DumpError(f"class {unseen:g} must be among the {split} training rows")
    return x, y


def _check_twin(dataset: "Dataset", y: np.ndarray, allow_missing: bool) -> None:
    """Stop at a twin that is not of its dataset's shape, or has cells or labels that it could not have."""
    if dataset.twin is None:
        raise DumpError("must have a twin, got none")
    x_do, y_do = (np.asarray(values) for values in dataset.twin)
    if (x_do.shape, y_do.shape) != (np.shape(dataset.x), y.shape):
        raise DumpError(
            f"twin must be {np.shape(dataset.x)} and {y.shape}, got {x_do.shape} and {y_do.shape}"
        )
    if not np.isfinite(y_do).all() or not (np.isfinite(x_do) | (allow_missing & np.isnan(x_do))).all():
        raise DumpError("twin must be finite")


def _property_types(path: Path, properties: dict) -> dict[str, type]:
    """int, float or str for each property, from the first dataset's."""
    types = {}
    for name, value in properties.items():
        if not isinstance(name, str) or not name.strip(".") or "/" in name or "\0" in name:
            raise DumpError(f"{path}: record 0: a property's name must be a word without '/', got {name!r}")
        types[name] = next(
            (kind for kind, accepted in _ACCEPTED.items() if isinstance(value, accepted)), None
        )
        if types[name] is None:
            raise DumpError(
                f"{path}: record 0: property {name!r} must be an int, float or str, got {value!r}"
            )
    return types


def _check_properties(properties: dict, types: dict[str, type]) -> None:
    if properties.keys() != types.keys():
        raise DumpError(f"properties must be those of record 0, {sorted(types)}, got {sorted(properties)}")
    for name, kind in types.items():
        value = properties[name]
        if not isinstance(value, _ACCEPTED[kind]):
            raise DumpError(f"property {name!r} must be {kind.__name__} as in record 0, got {value!r}")
        if kind is str and (len(value.encode()) > TEXT_BYTES or "\0" in value):
            raise DumpError(
                f"property {name!r} must be at most {TEXT_BYTES} bytes of UTF-8 without NUL, got {value!r}"
            )
        if kind is int and not -(2**63) <= value < 2**63:
            raise DumpError(f"property {name!r} must fit into 64 bits, got {value}")


def generator_name() -> str:
    """What `write_dump` calls itself in a file: this package and its version."""
    try:
        return f"nanotabpfn-priors {version('nanotabpfn-priors')}"
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "nanotabpfn-priors unknown"


# ----------------------------------------------------------------------------------------------- joining

# What the pieces of one dump have in common.
_COMMON_ATTRIBUTES = ("format_version", "generator", "config", "seed", "allow_missing", *NAMES)
_COMMON_LAYOUT = ("max_rows", "max_features", "max_num_classes", "block_size", "properties", "has_twins")


def join_shards(
    path: str | Path, shards: Sequence[Path], num_datasets: int, index_of: str | None = None
) -> str:
    """Write the dump that `shards` are the pieces of, in the memory of a few MB.

    Its contents, and so its content hash, are those of the dump that was never cut.

    Args:
        path: the file to write, as by `write_dump`.
        shards: dumps by `write_dump`, in order, of whole blocks; the last may end in a shorter one.
        num_datasets: D, how many datasets they hold together.
        index_of: if given, X and y stay in the shards, and the file is an index of HDF5 virtual datasets, to
            be moved to that name beside the folder ``<index_of>.shards`` that holds them.

    Returns:
        The content hash that the file carries.

    Raises:
        DumpError: a shard is damaged or does not continue the one before it (the message names it), there are
            too many for an index, or the file cannot be written.
    """
    path = Path(path)
    if index_of is not None and len(shards) > MAX_INDEXED_SHARDS:
        raise DumpError(
            f"{path}: an index holds at most {MAX_INDEXED_SHARDS} shards, got {len(shards)}; make them larger"
        )
    arrays: dict[str, h5py.Dataset] = {}
    layouts: dict[str, h5py.VirtualLayout] = {}
    hashes: dict[str, Any] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    common: dict[str, Any] = {}
    start = 0

    with _written_beside(path) as file:
        for shard_path in shards:
            with open_dump(shard_path) as shard:
                found = {name: shard.attributes.get(name) for name in _COMMON_ATTRIBUTES}
                found |= {name: getattr(shard, name) for name in _COMMON_LAYOUT}
                found["first_dataset"] = shard.attributes.get("first_dataset", 0) - start
                common = common or found
                if found != common or start + len(shard) > num_datasets:
                    raise DumpError(f"{shard_path}: does not continue {shards[0]}: it is of another dump")

                if not shapes:
                    shapes = _hashed_shapes(shard, num_datasets)
                    hashes = {name: hashlib.sha256() for name in shapes}
                    for name, shape in shapes.items():
                        if index_of is not None and name in VIRTUAL_KEYS:
                            layouts[name] = h5py.VirtualLayout(shape, np.float32)
                            continue
                        kind = dict.fromkeys(VIRTUAL_KEYS, np.float32) | dict.fromkeys(COUNT_KEYS, np.int32)
                        dtype = kind[name] if name in kind else shard.arrays[name].dtype
                        with _one_line(path, "cannot be written"):
                            arrays[name] = _create(file, name, shape, dtype, common["block_size"])
                for name, layout in layouts.items():
                    # As seen from the index; by "/", whatever the system's own separator is.
                    source = f"{index_of}{SHARDS_SUFFIX}/{shard_path.name}"
                    shape = (len(shard), *shapes[name][1:])
                    layout[start : start + len(shard)] = h5py.VirtualSource(source, name, shape)
                for low, high, values in _pieces(shard):
                    with _one_line(path, "cannot be written"):
                        _check_space(path, values["X"].nbytes + values["y"].nbytes)
                        for name, array in arrays.items():
                            if not _copied(shard.arrays[name], array, low, high, start):
                                array[start + low : start + high] = values[name]
                    for name in hashes:
                        hashes[name].update(_canonical_bytes(name, values[name]))
                start += len(shard)
        if start < num_datasets:
            raise DumpError(f"{path}: the shards must hold {num_datasets} datasets, got {start}")

        content = _combined(shapes, hashes, common["max_num_classes"])
        known = [name for name in (*_COMMON_ATTRIBUTES, "first_dataset") if common[name] is not None]
        attributes = {name: common[name] for name in known}
        with _one_line(path, "cannot be written"):
            for name, layout in layouts.items():
                # NaN is what HDF5 gives where it cannot open a shard, in silence; `Dump.read` looks for it.
                file.create_virtual_dataset(name, layout, fillvalue=np.nan)
            attributes["content_hash"] = content
            _write_scalars(file, common["max_num_classes"], common["block_size"], attributes)
    return content


def _copied(source: h5py.Dataset, target: h5py.Dataset, low: int, high: int, start: int) -> bool:
    """Copy records low..high-1 of `source` to `start` + low on, as they are stored: a tenth of the work of
    compressing them again. Not done, and False, if their chunks do not line up or are of different kinds.
    """
    kinds = [(a.dtype, a.chunks, a.compression, a.shuffle, a.fletcher32) for a in (source, target)]
    step = target.chunks[0]
    if kinds[0] != kinds[1] or low % step or start % step or (high % step and high < len(source)):
        return False
    grid = [range(0, size, chunk) for size, chunk in zip(target.shape, target.chunks, strict=True)]
    for offset in product(range(low, high, step), *grid[1:]):
        mask, content = source.id.read_direct_chunk(offset)
        target.id.write_direct_chunk((start + offset[0], *offset[1:]), content, mask)
    return True


# --------------------------------------------------------------------------------------------- rewriting


@dataclass(frozen=True)
class Outline:
    """What holds for all records of a dump, in whatever kind of file they lie."""

    num_datasets: int
    max_rows: int
    max_features: int
    max_num_classes: int | None
    """None for regression."""
    block_size: int
    allow_missing: bool
    attributes: dict[str, Any]
    """Where the records come from: config, seed and so on."""


def write_records(
    path: str | Path,
    outline: Outline,
    pieces: Iterable[dict[str, np.ndarray]],
    published_split: str | None = None,
) -> str:
    """Write records as they are, good or bad, to `path`: a dump that is made of other files.

    Args:
        path: the file to write, as by `write_dump`.
        outline: what holds for all of them.
        pieces: consecutive records by key: X (n, max_rows, max_features), y (n, max_rows), perhaps X_do and
            y_do alike, the sizes and the split (n,), each properties/NAME (n,); the same keys in all pieces.
        published_split: if given, the file has the six published keys alone, the split under this name.

    Returns:
        The content hash that the file carries.

    Raises:
        DumpError: the file cannot be written, or `pieces` holds fewer or more records than announced.
    """
    path = Path(path)
    count = outline.num_datasets
    arrays: dict[str, h5py.Dataset] = {}
    hashes: dict[str, Any] = {}
    shapes = {
        "X": (count, outline.max_rows, outline.max_features),
        "y": (count, outline.max_rows),
    }
    start = 0
    with _written_beside(path) as file:
        for values in pieces:
            stop = start + len(values["X"])
            if stop > count:
                raise DumpError(f"{path}: must get {count} records, got more")
            if not arrays:
                published = ("X", "y", *COUNT_KEYS)
                names = [name for name in values if published_split is None or name in published]
                with _one_line(path, "cannot be written"):
                    for name in names:
                        shape = shapes.setdefault(name, (count, *values[name].shape[1:]))
                        stored = published_split if published_split and name == SPLIT_KEYS[0] else name
                        dtype = _stored_as(name, values[name])
                        arrays[name] = _create(file, stored, shape, dtype, outline.block_size)
                        hashes[name] = hashlib.sha256()
            for name, array in arrays.items():
                if array.dtype.kind == "S" and any(len(t.encode()) > TEXT_BYTES for t in values[name]):
                    raise DumpError(f"{path}: {name} must be texts of at most {TEXT_BYTES} bytes")
            with _one_line(path, "cannot be written"):
                _check_space(path, values["X"].nbytes + values["y"].nbytes)
                for name, array in arrays.items():
                    array[start:stop] = values[name]
            for name in arrays:
                hashes[name].update(_canonical_bytes(name, values[name]))
            start = stop
        if start < count:
            raise DumpError(f"{path}: must get {count} records, got {start}")
        content = _combined(shapes, hashes, outline.max_num_classes)
        attributes = outline.attributes | {
            "format_version": FORMAT_VERSION,
            "allow_missing": outline.allow_missing,
            "content_hash": content,
        }
        with _one_line(path, "cannot be written"):
            if published_split is None:
                _write_scalars(file, outline.max_num_classes, outline.block_size, attributes)
            else:
                if outline.max_num_classes is not None:
                    _write_integer(file, "max_num_classes", outline.max_num_classes)
                _write_attributes(file, attributes)
    return content


def _stored_as(name: str, values: np.ndarray) -> Any:
    if name in VIRTUAL_KEYS:
        return np.float32
    if name in COUNT_KEYS:
        return np.int32
    return _STORED_AS[{"O": str, "U": str, "f": float}.get(values.dtype.kind, int)]


# -------------------------------------------------------------------------------------------------- hash


def content_hash(path: str | Path) -> str:
    """The sha256 of a dump's contents, whatever its chunks, compression, widths and attributes.

    Every array is hashed on its own in the order of the datasets, padding included: X and y as little-endian
    float32, counts and integer properties as int64, other properties as float64, text as UTF-8 ended by NUL.
    The result is the hash of one line per array (name, shape, hash), sorted by name, and one line for
    max_num_classes.

    Raises:
        DumpError: as `open_dump` and `Dump.read`.
    """
    with open_dump(path) as dump:
        shapes = _hashed_shapes(dump, len(dump))
        hashes = {name: hashlib.sha256() for name in shapes}
        for _, _, values in _pieces(dump):
            for name in hashes:
                hashes[name].update(_canonical_bytes(name, values[name]))
        return _combined(shapes, hashes, dump.max_num_classes)


def _hashed_shapes(dump: "Dump", num_datasets: int) -> dict[str, tuple[int, ...]]:
    """The shape of each array that is hashed, in a dump like `dump` of `num_datasets` datasets."""
    names = [*COUNT_KEYS, *(f"properties/{name}" for name in dump.properties)]
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(names, (num_datasets,))
    for x, y in [("X", "y"), TWIN_KEYS][: 1 + dump.has_twins]:
        shapes |= {x: (num_datasets, dump.max_rows, dump.max_features), y: (num_datasets, dump.max_rows)}
    return shapes


def _pieces(dump: "Dump") -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
    """(start, stop) of each of `dump.spans()`, and all that is hashed of these datasets, by name."""
    for start, stop in dump.spans():
        values = {name: getattr(dump, name)[start:stop] for name in COUNT_KEYS}
        values["X"], values["y"] = dump.read(start, stop)
        if dump.has_twins:
            values["X_do"], values["y_do"] = dump.read_twins(start, stop)
        for name in dump.properties:
            values[f"properties/{name}"] = dump.read_property(name, start, stop)
        yield start, stop, values


def _canonical_bytes(name: str, values: np.ndarray) -> bytes:
    if name in VIRTUAL_KEYS:
        return np.ascontiguousarray(values, "<f4").tobytes()
    if values.dtype.kind in "OU":
        return b"".join(text.encode() + b"\0" for text in values)
    return np.ascontiguousarray(values, "<f8" if values.dtype.kind == "f" else "<i8").tobytes()


def _combined(shapes: dict, hashes: dict, max_num_classes: int | None) -> str:
    lines = [f"{name} {shapes[name]} {hashes[name].hexdigest()}\n" for name in sorted(hashes)]
    return hashlib.sha256("".join([*lines, f"max_num_classes {max_num_classes}\n"]).encode()).hexdigest()


# ----------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, eq=False)
class Dump:
    """An open dump that keeps the schema's rules; `open_dump` makes it. A context manager."""

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
    """Names of what is stored per dataset beside the table; see `read_property`."""
    arrays: dict[str, h5py.Dataset] = field(repr=False)
    """What the file holds of the schema, by its name in the file: for those who look at layouts."""
    unknown_keys: tuple[str, ...]
    """Names in the file that the schema does not know; they are never opened."""
    file: h5py.File = field(repr=False)

    def __len__(self) -> int:
        return self.num_datasets

    def __enter__(self) -> "Dump":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Names of the columns of X; None if the file does not tell as many as there are."""
        return column_names(self.attributes, self.max_features)

    @property
    def target_name(self) -> str | None:
        """Name of y, if the file tells it."""
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
        """The twins of datasets start..stop-1, as `read` gives the datasets.

        Raises:
            IndexError, DumpError: as `read`; or there are no twins.
        """
        if not self.has_twins:
            raise DumpError(f"{self.path}: has no twins ({', '.join(TWIN_KEYS)})")
        return self._read_pair(TWIN_KEYS, start, stop)

    def _read_pair(self, keys: tuple[str, str], start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= start <= stop <= self.num_datasets:
            raise IndexError(f"start and stop must keep 0 <= {start} <= {stop} <= {self.num_datasets}")
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes inf: a damaged record
            x, y = (self._read_array(key, start, stop).astype(np.float32, copy=False) for key in keys)
        return x, y

    def read_records(self, indices: np.ndarray, twins: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Datasets (or twins) of any indices (n,), in that order, repeats allowed; otherwise as `read`."""
        read = self.read_twins if twins else self.read
        records, positions = np.unique(np.asarray(indices, np.int64), return_inverse=True)
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
        return self._read_array(f"properties/{name}", start, self.num_datasets if stop is None else stop)

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
        except _H5_ERRORS as error:
            # Narrow it down to the chunk, the unit that is damaged; this is slow and happens once.
            step = (array.chunks or (1,))[0]
            for first in range(start - start % step, stop, step):
                low, high = max(first, start), min(first + step, stop)
                try:
                    view[low:high]
                except _H5_ERRORS:
                    start, stop = low, high
                    break
            which = f"record {start}" if stop - start == 1 else f"records {start} to {stop - 1}"
            raise DumpError(f"{self.path}: {key}: {which} cannot be read: {_reason(error)}") from error
        if array.is_virtual:
            # HDF5 takes a shard that it cannot open (it is gone, or there are too many open files) for an
            # absent one and gives NaN for it, whole records of it, padding included.
            absent = np.isnan(values.reshape(len(values), -1)).all(axis=1)
            if absent.any():
                record = start + int(absent.argmax())
                raise DumpError(f"{self.path}: {key}: record {record}: its shard cannot be opened any more")
        return values


def open_dump(path: str | Path, check_sizes: bool = True) -> Dump:
    """Open a dump for reading, ours or another writer's, and check everything but the tables themselves.

    Nothing outside the file is ever read: links, virtual arrays and external storage are refused. The one
    exception is an index of shards, ``NAME``, whose X and y lie in ``NAME.shards/shard-000000.h5`` and so on,
    plain files: which ones these are follows from the name that was given, not from what the file says.

    Args:
        check_sizes: whether a record whose sizes or split are out of range is an error; False for those who
            look at them themselves.

    Raises:
        DumpError: no such file, not HDF5, cut off, or against the schema; one line that names the file, the
            key and the first bad record.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise DumpError(f"{path}: is a folder, not a dump")
    if not os.path.exists(path):
        raise DumpError(f"{path}: no such file")
    if not os.path.isfile(path):
        raise DumpError(f"{path}: is not a regular file")
    with _one_line(path, "is not a whole HDF5 file"):
        # The real path: HDF5 looks for the shards of an index beside the name by which it was opened.
        file = h5py.File(os.path.realpath(path), "r")
    try:
        with _one_line(path, "cannot be read"):
            return _checked_dump(path, file, check_sizes)
    except BaseException:
        file.close()
        raise


def _checked_dump(path: Path, file: h5py.File, check_sizes: bool) -> Dump:
    keys = set(file)  # asked for by name, `in file` would follow links
    attributes = {}
    for name in file.attrs:
        try:
            attributes[name] = _plain_value(file.attrs[name])
        except _H5_ERRORS:
            continue  # of a type that h5py does not know: none of ours
    format_version = attributes.get("format_version")
    if isinstance(format_version, int) and format_version > FORMAT_VERSION:
        raise DumpError(
            f"{path}: format_version must be at most {FORMAT_VERSION}, got {format_version}; "
            f"a newer release of this package reads it"
        )

    x = _array(path, file, "X", "iuf", may_be_index=True)
    if x.ndim != 3 or x.shape[0] < 1 or x.shape[1] < 2 or x.shape[2] < 1:
        raise DumpError(
            f"{path}: X must have a shape (D, max_rows, max_features) of at least (1, 2, 1), got {x.shape}"
        )
    num_datasets, max_rows, max_features = x.shape
    y = _array(path, file, "y", "iufb", may_be_index=True)
    if y.shape != (num_datasets, max_rows):
        raise DumpError(f"{path}: y must have the shape {(num_datasets, max_rows)}, got {y.shape}")
    arrays = {"X": x, "y": y} | _twins(path, file, x, y)
    for key, array in arrays.items():
        if not array.is_virtual and array.id.get_storage_size() == 0:
            raise DumpError(f"{path}: {key} was never written")

    split_key = next((key for key in SPLIT_KEYS if key in keys), SPLIT_KEYS[0])
    counts = {}
    for key in ("num_features", "num_datapoints", split_key):
        if key == "num_datapoints" and key not in keys:
            counts[key] = np.full(num_datasets, max_rows, np.int64)
            continue
        arrays[key] = _array(path, file, key, "iu")
        if arrays[key].shape != (num_datasets,):
            raise DumpError(f"{path}: {key} must have the shape {(num_datasets,)}, got {arrays[key].shape}")
        # Asked before it is read: a few bytes can declare an array that no memory holds.
        if not _is_written(arrays[key]):
            raise DumpError(f"{path}: {key} was never written, or not to its end")
        if num_datasets > MOST_DATASETS:
            raise DumpError(
                f"{path}: a file may hold at most {MOST_DATASETS:,} datasets, got {num_datasets:,}"
            )
        counts[key] = _whole(path, key, arrays[key]).astype(np.int64)
    if check_sizes:
        _check_counts(path, "num_features", counts["num_features"], 1, max_features)
        _check_counts(path, "num_datapoints", counts["num_datapoints"], 2, max_rows)
        _check_counts(path, split_key, counts[split_key], 1, counts["num_datapoints"] - 1)
    for key in VIRTUAL_KEYS:
        if key not in arrays:
            continue
        record_bytes = prod(arrays[key].shape[1:]) * max(4, arrays[key].dtype.itemsize)
        if record_bytes > MOST_BYTES:
            raise DumpError(
                f"{path}: a record of {key} may take at most {MOST_BYTES:,} bytes, got {record_bytes:,}"
            )
        if not arrays[key].is_virtual and not _is_written(arrays[key]):
            raise DumpError(f"{path}: {key} was not written to its end")

    max_num_classes = _one_integer(path, file, "max_num_classes", arrays)
    problem_type = PROBLEM_TYPES[max_num_classes is None]
    if "problem_type" in keys:
        arrays["problem_type"] = _array(path, file, "problem_type", "T")
        if arrays["problem_type"].size != 1:
            raise DumpError(f"{path}: problem_type must be one text, got {arrays['problem_type'].shape}")
        problem_type = _plain_value(_whole(path, "problem_type", arrays["problem_type"]))
        if problem_type not in PROBLEM_TYPES:
            raise DumpError(
                f"{path}: problem_type must be {' or '.join(PROBLEM_TYPES)}, got {problem_type!r}"
            )
    if problem_type == "regression":
        max_num_classes = None
    elif max_num_classes is not None and max_num_classes < 1:
        raise DumpError(f"{path}: max_num_classes must be at least 1, got {max_num_classes}")
    block_size = _one_integer(path, file, "original_batch_size", arrays)
    if block_size is not None and block_size < 1:
        raise DumpError(f"{path}: original_batch_size must be at least 1, got {block_size}")

    properties = []
    if isinstance(file.get("properties", getlink=True), h5py.HardLink) and isinstance(
        file["properties"], h5py.Group
    ):
        for name in file["properties"]:
            try:
                array = _array(path, file["properties"], name, "iufbT")
            except DumpError:
                continue  # not in the file itself, or neither numbers nor text: none of ours
            if array.shape == (num_datasets,) and _is_written(array):
                properties.append(name)
                arrays[f"properties/{name}"] = array
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


def _twins(path: Path, file: h5py.File, x: h5py.Dataset, y: h5py.Dataset) -> dict[str, h5py.Dataset]:
    """The arrays of twins, if the file has both, of the shapes of X and y; others are none of ours."""
    try:
        arrays = {key: _array(path, file, key, "iufb", may_be_index=True) for key in TWIN_KEYS}
    except DumpError:
        return {}
    return arrays if [array.shape for array in arrays.values()] == [x.shape, y.shape] else {}


def _array(path: Path, group: h5py.Group, key: str, kinds: str, may_be_index: bool = False) -> h5py.Dataset:
    """The array called `key`, if it lies in the file itself and is of one of `kinds` (numpy's; T is text)."""
    with _one_line(path, f"{key} cannot be read"):
        link = group.get(key, getlink=True)
        if link is None:
            raise DumpError(f"{path}: has no readable key {key!r}; it has {', '.join(group) or 'none'}")
        if not isinstance(link, h5py.HardLink):
            raise DumpError(f"{path}: {key} is a link; only what lies in the file itself is read")
        array = group[key]
        if not isinstance(array, h5py.Dataset):
            raise DumpError(f"{path}: {key} must be an array, got a group")
        # Before its shape is asked for, which may open the files that a virtual array is made of.
        if array.is_virtual and may_be_index:
            _check_shards(path, key, array)
        elif array.is_virtual or array.external:
            raise DumpError(
                f"{path}: {key} is stored in other files; only what lies in the file itself is read"
            )
        if array.shape is None:
            raise DumpError(f"{path}: {key} is empty")
        chunk_bytes = prod(array.chunks or ()) * array.dtype.itemsize
        if chunk_bytes > MOST_BYTES:
            raise DumpError(
                f"{path}: a chunk of {key} may take at most {MOST_BYTES:,} bytes, got {chunk_bytes:,}"
            )
        kind = "T" if h5py.check_string_dtype(array.dtype) else array.dtype.kind
        if kind not in kinds:
            wanted = {"T": "text", "iu": "integers"}.get(kinds, "numbers")
            raise DumpError(f"{path}: {key} must hold {wanted}, got {array.dtype}")
    return array


def _check_shards(path: Path, key: str, array: h5py.Dataset) -> None:
    """Stop unless virtual `array` is made of whole shards of the dump at `path`, one after the other.

    HDF5 opens whatever file a virtual array names, so a hostile file could have any other read. Here each
    name must be the one that follows from the name of the index, which whoever opens it gave: a plain file
    (no link, no pattern of HDF5's) in a plain folder (no link) beside the index. Inside of it the array must
    lie in that file itself, so nothing leads on from there; and the shards must cover `array` without a gap,
    which HDF5 would fill, so a few bytes cannot stand for more than there is.
    """
    path = Path(os.path.realpath(path))
    folder = path.with_name(path.name + SHARDS_SUFFIX)
    if os.path.islink(folder) or not os.path.isdir(folder):
        raise DumpError(f"{path}: {key} is stored in other files; there is no folder {folder.name} beside it")
    sources = array.virtual_sources()
    if not 0 < len(sources) <= MAX_INDEXED_SHARDS:
        raise DumpError(f"{path}: {key} must be of 1..{MAX_INDEXED_SHARDS} shards, got {len(sources)}")
    start = 0
    for source in sources:
        place, slash, name = source.file_name.partition("/")
        if place + slash != f"{folder.name}/" or not SHARD_NAME.fullmatch(name) or source.dset_name != key:
            raise DumpError(f"{path}: {key} is stored in other files; only shards in {folder.name} are read")
        shard = folder / name
        if not shard.exists():
            raise DumpError(f"{path}: its shard {shard} is not there")
        if not stat.S_ISREG(os.lstat(shard).st_mode):
            raise DumpError(f"{path}: its shard {shard} is not a regular file")
        with _one_line(shard, "is not a whole HDF5 file"), h5py.File(shard, "r") as file:
            shape = _array(shard, file, key, "iufb").shape
        low, high = source.vspace.get_select_bounds()
        expected = (start, *(0 for _ in shape[1:])), (start + shape[0] - 1, *(n - 1 for n in shape[1:]))
        whole = source.src_space.get_select_type() == h5py.h5s.SEL_ALL
        if (low, high) != expected or source.vspace.get_select_npoints() != prod(shape) or not whole:
            raise DumpError(f"{path}: {key} must be made of whole shards in order, which {shard} breaks")
        start += shape[0]
    if array.shape != (start, *shape[1:]):
        raise DumpError(f"{path}: {key} has the shape {array.shape}, and its shards hold {start} datasets")


def _whole(path: Path, key: str, array: h5py.Dataset) -> np.ndarray:
    with _one_line(path, f"{key} cannot be read"):
        return np.asarray(array[()])


def _is_written(array: h5py.Dataset) -> bool:
    """Whether all of `array` is there; HDF5 makes up what is missing."""
    if array.chunks is None:
        return array.id.get_storage_size() >= array.nbytes
    chunks = prod(ceil(size / chunk) for size, chunk in zip(array.shape, array.chunks, strict=True))
    return array.id.get_num_chunks() >= chunks


def _one_integer(path: Path, file: h5py.File, key: str, arrays: dict) -> int | None:
    if key not in set(file):
        return None
    arrays[key] = _array(path, file, key, "iu")
    if arrays[key].size != 1:
        raise DumpError(f"{path}: {key} must have the shape (1,), got {arrays[key].shape}")
    return int(_whole(path, key, arrays[key]).reshape(-1)[0])


def _check_counts(path: Path, key: str, values: np.ndarray, low: int, high: int | np.ndarray) -> None:
    """Every value (D,) must lie in low..high; `high` is one bound, or one per record."""
    bad = np.flatnonzero((values < low) | (values > high))
    if bad.size:
        first, bound = bad[0], np.broadcast_to(high, values.shape)[bad[0]]
        more = f" (and {bad.size - 1} more records)" if bad.size > 1 else ""
        raise DumpError(f"{path}: {key}: record {first} must have {low}..{bound}, got {values[first]}{more}")


def _plain_value(value: Any) -> Any:
    """numpy's scalars, bytes and arrays of one element as Python's own values."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, np.generic):
        value = value.item()
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def column_names(attributes: dict[str, Any], max_features: int) -> tuple[str, ...] | None:
    """The names of features in what a file says of itself; None if it does not tell that many."""
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
        allow_missing: whether NaN in x is a missing value and no damage (`Dump.allow_missing`). Infinity is
            always damage, and so is NaN in y.
    """
    bad_x = np.isinf(x) if allow_missing else ~np.isfinite(x)  # (n, R, F)
    bad_y = ~np.isfinite(y)  # (n, R)
    if not bad_x.any() and not bad_y.any():
        return np.ones(len(x), bool)
    own_rows = np.arange(x.shape[1]) < np.asarray(num_datapoints)[:, None]  # (n, R)
    own_features = np.arange(x.shape[2]) < np.asarray(num_features)[:, None]  # (n, F)
    bad = ((bad_x & own_features[:, None, :]).any(axis=2) | bad_y) & own_rows  # (n, R)
    return ~bad.any(axis=1)


@contextmanager
def _one_line(path: Path, problem: str) -> Iterator[None]:
    """Whatever h5py raises, as a DumpError of one line."""
    try:
        yield
    except _H5_ERRORS as error:
        raise DumpError(f"{path}: {problem}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The cause that h5py puts in brackets after what it tried to do, or all of the first line."""
    system = re.search(r"error message = '([^']+)'", str(error))
    text = (str(error).splitlines() or [""])[0].strip().strip("'\"")
    cause = system or re.fullmatch(r"[^(]*\((.+)\)", text)
    return cause.group(1) if cause else text or type(error).__name__
