"""A dump as another kind of file, and back: HDF5 in our or the published layout, npz, Parquet of long rows.

D datasets in a file, R rows and F features of one dataset; arrays are padded to max_rows and max_features.
Records keep their order and their bits, so a converted file still says from which config and seed they are.
"""

import hashlib
import json
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from priors.dumps.derive import (
    ORIGIN,
    STEPS,
    checked_hash,
    derived,
    outline_of,
    pieces_of,
    source_entry,
    step_size,
)
from priors.dumps.dump import (
    COUNT_KEYS,
    MOST_BYTES,
    MOST_DATASETS,
    NAMES,
    SPLIT_KEYS,
    TWIN_KEYS,
    DumpError,
    Outline,
    check_target,
    column_names,
    open_dump,
    replaced_when_done,
    write_records,
)

LAYOUTS = {"ours": None, "published": SPLIT_KEYS[0], "renamed": SPLIT_KEYS[1]}
"""Layouts of HDF5, and the name of the split where only the six published keys are written."""

ENDINGS = (".h5", ".hdf5", ".npz", ".parquet")
OUTLINE_KEY = "prior_dump"  # of a Parquet file's metadata: what does not fit into its rows
LONG_COLUMNS = ("dataset", "row", "is_train", "y")  # and x0, x1, ...
ROWS_PER_GROUP = 2**18  # of a Parquet file: what its reader must hold at a time

# What the libraries raise for files that are broken or hostile; they follow no rule.
_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,
    SyntaxError,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    OverflowError,
    MemoryError,
)

Pieces = Iterable[dict[str, np.ndarray]]


class Records(NamedTuple):
    """The records of a file of any kind."""

    outline: Outline
    pieces: Callable[[], Pieces]
    """Reads them from the first on, as `write_records` takes them."""
    has_twins: bool = False


def convert(source: str | Path, out: str | Path, layout: str = "ours") -> Outline:
    """Write the records of `source` to `out`; the kinds of file follow from the endings of their names.

    HDF5 (.h5, .hdf5) in our layout and npz hold all that a dump holds. The published layout has no
    properties and no twins; Parquet, one row per datapoint, has neither these nor padding. Every kind carries
    the provenance.

    Args:
        layout: of LAYOUTS; for an `out` in HDF5.

    Returns:
        What holds for all records.

    Raises:
        DumpError: a file cannot be read or written; or Parquet is asked for and pyarrow is not there.
        ValueError: an unknown ending or layout.
    """
    source, out = Path(source), Path(out)
    for path in (source, out):
        if path.suffix not in ENDINGS:
            raise ValueError(f"{path}: must end in {', '.join(ENDINGS)}, which says what kind of file it is")
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be {', '.join(LAYOUTS)}, got {layout!r}")
    check_target(out)
    readers = {".npz": _read_npz, ".parquet": _read_parquet}
    with readers.get(source.suffix, _read_hdf5)(source) as records:
        if out.suffix == ".npz":
            _write_npz(out, records)
        elif out.suffix == ".parquet":
            _write_parquet(out, records)
        else:
            write_records(out, records.outline, records.pieces(), published_split=LAYOUTS[layout])
    return records.outline


@contextmanager
def _read_hdf5(path: Path) -> Iterator[Records]:
    with open_dump(path) as dump:
        outline = outline_of(dump)
        outline.attributes.update(derived("convert", [source_entry(dump, checked_hash(dump))]))
        step = step_size(dump.max_rows, dump.max_features, outline.block_size)
        yield Records(outline, lambda: pieces_of(dump, step), dump.has_twins)


def _outline(path: Path, fields: Any) -> Outline:
    """The outline of a file that is not HDF5 from what it says of itself, if it can be one."""
    if not isinstance(fields, dict) or fields.keys() != Outline.__dataclass_fields__.keys():
        raise DumpError(f"{path}: must say {', '.join(Outline.__dataclass_fields__)}")
    for name, least, most in [
        ("num_datasets", 1, MOST_DATASETS),
        ("max_rows", 2, MOST_BYTES),
        ("max_features", 1, MOST_BYTES),
        ("max_num_classes", 1, 2**62),
        ("block_size", 1, 2**62),
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
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    origin = {name: value for name, value in known.items() if name not in NAMES}
    source = {"file": path.name, "sha256": digest, "num_datasets": fields["num_datasets"]} | origin
    return Outline(**fields | {"attributes": known | derived("convert", [source])})


def _check_sizes(path: Path, piece: dict[str, np.ndarray], start: int, outline: Outline) -> None:
    features, rows, split = (piece[name] for name in COUNT_KEYS)
    right = (features >= 1) & (features <= outline.max_features) & (rows >= 2) & (rows <= outline.max_rows)
    right &= (split >= 1) & (split < rows)
    if not right.all():
        i = int(right.argmin())
        raise DumpError(
            f"{path}: record {start + i}: sizes out of range: {features[i]} features, {rows[i]} rows, "
            f"split {split[i]}"
        )


# --------------------------------------------------------------------------------------------------- npz


def _write_npz(path: Path, records: Records) -> None:
    """As `numpy.savez_compressed` does, but never with a whole array in memory."""
    outline = records.outline
    shapes = {}
    for x_key, y_key in [("X", "y"), TWIN_KEYS][: 1 + records.has_twins]:
        shapes[x_key] = (outline.num_datasets, outline.max_rows, outline.max_features)
        shapes[y_key] = (outline.num_datasets, outline.max_rows)
    small: dict[str, list[np.ndarray]] = {}
    with (
        _one_line(path, "cannot be written", OSError),
        replaced_when_done(path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, shape in shapes.items():  # one member can be open at a time
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                for piece in records.pieces():
                    member.write(np.ascontiguousarray(piece[name], "<f4").data)
                    if name == "y":
                        for key in piece.keys() - shapes.keys():
                            small.setdefault(key, []).append(piece[key])
        arrays = {key: np.concatenate(columns) for key, columns in small.items()}
        for key, column in arrays.items():
            if column.dtype.kind == "O":
                arrays[key] = column.astype(str)
            elif key in COUNT_KEYS:
                arrays[key] = column.astype(np.int32)
        if outline.max_num_classes is not None:
            arrays["max_num_classes"] = np.array([outline.max_num_classes], np.int64)
        arrays["original_batch_size"] = np.array([outline.block_size], np.int64)
        arrays["allow_missing"] = np.array(outline.allow_missing)
        # By which a reader sees that a member's name was damaged: zip has no checksum for names.
        names = sorted([*shapes, *arrays, "attributes"])
        arrays["attributes"] = np.array(json.dumps(outline.attributes | {"arrays": names}))
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


@contextmanager
def _read_npz(path: Path) -> Iterator[Records]:
    with ExitStack() as stack:
        with _one_line(path, "cannot be read", _ERRORS):
            archive = stack.enter_context(zipfile.ZipFile(path))
            outline, columns = _npz_outline(path, archive)
            has_twins = {f"{key}.npy" for key in TWIN_KEYS} <= {*archive.namelist()}
        yield Records(outline, lambda: _npz_pieces(path, archive, outline, columns, has_twins), has_twins)


def _npz_outline(path: Path, archive: zipfile.ZipFile) -> tuple[Outline, dict[str, np.ndarray]]:
    """What holds for all records, and the columns (D,) that are held whole."""
    names = {name.removesuffix(".npy") for name in archive.namelist()}

    def integer(name: str) -> int | None:
        return int(_small(path, archive, name, "iu", (1,))[0]) if name in names else None

    with _npy(path, archive, "X", "iuf") as (_, shape, _):
        if len(shape) != 3:
            raise DumpError(f"{path}: X must have a shape (D, max_rows, max_features), got {shape}")
    text = str(_small(path, archive, "attributes", "U", ())) if "attributes" in names else "{}"
    attributes = json.loads(text)
    if isinstance(attributes, dict) and attributes.get("arrays", sorted(names)) != sorted(names):
        raise DumpError(f"{path}: does not hold the arrays that were written")
    outline = _outline(
        path,
        {
            "num_datasets": shape[0],
            "max_rows": shape[1],
            "max_features": shape[2],
            "max_num_classes": integer("max_num_classes"),
            "block_size": integer("original_batch_size") or 1,
            "allow_missing": "allow_missing" in names
            and bool(_small(path, archive, "allow_missing", "b", ())),
            "attributes": attributes,
        },
    )
    columns = {key: _small(path, archive, key, "iu", shape[:1]).astype(np.int64) for key in COUNT_KEYS}
    for name in sorted(name for name in names if name.startswith("properties/")):
        columns[name] = _small(path, archive, name, "iufbU", shape[:1])
    return outline, columns


def _npz_pieces(
    path: Path,
    archive: zipfile.ZipFile,
    outline: Outline,
    columns: dict[str, np.ndarray],
    has_twins: bool,
) -> Iterator[dict[str, np.ndarray]]:
    count, rows, features = outline.num_datasets, outline.max_rows, outline.max_features
    step = step_size(rows, features, outline.block_size)
    with _one_line(path, "cannot be read", _ERRORS), ExitStack() as stack:
        tables = {}
        for x_key, y_key in [("X", "y"), TWIN_KEYS][: 1 + has_twins]:
            for key, kinds, shape in [(x_key, "iuf", (rows, features)), (y_key, "iufb", (rows,))]:
                file, stored, dtype = stack.enter_context(_npy(path, archive, key, kinds))
                if stored != (count, *shape):
                    raise DumpError(f"{path}: {key} must have the shape {(count, *shape)}, got {stored}")
                tables[key] = file, shape, dtype
        for start in range(0, count, step):
            stop = min(start + step, count)
            piece = {name: column[start:stop] for name, column in columns.items()}
            _check_sizes(path, piece, start, outline)
            for name, (file, shape, dtype) in tables.items():
                values = _values(path, name, file, (stop - start, *shape), dtype)
                with np.errstate(over="ignore"):  # float64 beyond float32 becomes inf: a damaged record
                    piece[name] = values.astype(np.float32, copy=False)
            yield piece
        for name, (file, _, _) in tables.items():
            if file.read(1):  # at the end of the file its checksum is looked at
                raise DumpError(f"{path}: {name} is longer than its shape says")


@contextmanager
def _npy(path: Path, archive: zipfile.ZipFile, name: str, kinds: str) -> Iterator[tuple[Any, tuple, Any]]:
    """The open member of `archive` that holds array `name`, after its header; its shape and its dtype."""
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        if version == (1, 0):
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(member)
        else:
            shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(member)
        if dtype.kind not in kinds or (fortran_order and len(shape) > 1):
            raise DumpError(
                f"{path}: {name} must be of kind {' or '.join(kinds)} and in C order, got {dtype}"
                f"{' in Fortran order' if fortran_order else ''}"
            )
        yield member, shape, dtype


def _values(path: Path, name: str, member: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    num_bytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
    data = member.read(num_bytes)
    if len(data) < num_bytes:
        raise DumpError(f"{path}: {name} is shorter than its shape says")
    return np.frombuffer(data, dtype).reshape(shape)


def _small(
    path: Path, archive: zipfile.ZipFile, name: str, kinds: str, expected: tuple[int, ...]
) -> np.ndarray:
    """An array that is read whole."""
    with _npy(path, archive, name, kinds) as (member, shape, dtype):
        if shape != expected:
            raise DumpError(f"{path}: {name} must have the shape {expected}, got {shape}")
        if int(np.prod(shape, dtype=object)) * dtype.itemsize > 2 * MOST_BYTES:
            raise DumpError(f"{path}: {name} may take at most {2 * MOST_BYTES:,} bytes")
        values = _values(path, name, member, shape, dtype)
        return values.astype(object) if dtype.kind == "U" and shape else values


# ----------------------------------------------------------------------------------------------- Parquet


def _write_parquet(path: Path, records: Records) -> None:
    """One row per datapoint; a feature that a dataset does not have is null, a missing value NaN."""
    pa, pq = _pyarrow()
    outline = records.outline
    schema = _long_schema(outline)
    with (
        _one_line(path, "cannot be written", (OSError, pa.ArrowException)),
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
    names = [*LONG_COLUMNS, *_feature_columns(outline)]
    types += [pa.float32()] * outline.max_features
    return pa.schema(list(zip(names, types, strict=True)), {OUTLINE_KEY: json.dumps(fields)})


def _feature_columns(outline: Outline) -> list[str]:
    """The features' own names, if they have such and none is taken; else x0, x1 ..."""
    names = column_names(outline.attributes, outline.max_features)
    if names and len({*LONG_COLUMNS, *names}) == len(LONG_COLUMNS) + len(names):
        return [*names]
    return [f"x{i}" for i in range(outline.max_features)]


@contextmanager
def _read_parquet(path: Path) -> Iterator[Records]:
    _, pq = _pyarrow()
    with ExitStack() as stack:
        with _one_line(path, "cannot be read", _parquet_errors()):
            file = pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)
            stack.enter_context(file)
            text = (file.schema_arrow.metadata or {}).get(OUTLINE_KEY.encode())
            if text is None:
                raise DumpError(
                    f"{path}: was not written by `priors convert`: its metadata lacks {OUTLINE_KEY!r}"
                )
            outline = _outline(path, json.loads(text))
            width = len(file.schema_arrow.names) - len(LONG_COLUMNS)
            if width != outline.max_features or not file.schema_arrow.equals(_long_schema(outline)):
                raise DumpError(f"{path}: must have the columns {', '.join(LONG_COLUMNS)} and its features")
        yield Records(outline, lambda: _parquet_pieces(path, file, outline))


def _parquet_pieces(path: Path, file: Any, outline: Outline) -> Iterator[dict[str, np.ndarray]]:
    pa, _ = _pyarrow()
    start, rest = 0, None
    with _one_line(path, "cannot be read", _parquet_errors()):
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
    return (*_ERRORS, pa.ArrowException)


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
    columns = [table[name] for name in _feature_columns(outline)]
    present = np.stack([column.is_valid().to_numpy() for column in columns], axis=1)  # (rows of all, F)
    features = present[firsts].sum(axis=1)
    if not np.array_equal(present, np.arange(outline.max_features) < features[local][:, None]):
        raise DumpError(f"{path}: x must be null in the features that a dataset has not, and only there")
    piece = {
        "X": np.zeros((len(rows), outline.max_rows, outline.max_features), np.float32),
        "y": np.zeros((len(rows), outline.max_rows), np.float32),
    } | dict(zip(COUNT_KEYS, (features, rows, split), strict=True))
    _check_sizes(path, piece, start, outline)
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


@contextmanager
def _one_line(path: Path, problem: str, errors: Any) -> Iterator[None]:
    """Whatever a library raises, as a DumpError of one line."""
    try:
        yield
    except errors as error:
        reason = (str(error).splitlines() or [""])[0].strip() or type(error).__name__
        raise DumpError(f"{path}: {problem}: {reason}") from error
