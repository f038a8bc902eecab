"""A dump as an npz file of numpy, and back: with all that a dump holds.

D datasets in a file, R rows and F features of one dataset; arrays are padded to max_rows and max_features.
"""

import json
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from priors.dumps.files import replaced_when_done
from priors.dumps.outline import Outline
from priors.dumps.records import Records, check_sizes, stated_outline, step_size
from priors.dumps.schema import COUNT_KEYS, MOST_BYTES, READ_ERRORS, TWIN_KEYS, DumpError, as_dump_error


def write_npz(path: Path, records: Records) -> None:
    """Write what `numpy.savez_compressed` would write, but never with a whole array in memory.

    Raises:
        DumpError: the file cannot be written, or the records cannot be read.

    Examples:
        >>> outline = Outline(1, max_rows=4, max_features=2, max_num_classes=2, block_size=1)
        >>> record = {"X": np.ones((1, 4, 2)), "y": np.array([[0, 1, 0, 1]])}
        >>> record |= {"num_features": np.array([2]), "num_datapoints": np.array([4])}
        >>> record |= {"single_eval_pos": np.array([2])}
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "mine.npz"
        ...     write_npz(path, Records(outline, lambda: [record]))
        ...     with read_npz(path) as records:
        ...         [piece] = records.pieces()
        >>> piece["y"].tolist()
        [[0.0, 1.0, 0.0, 1.0]]
    """
    outline = records.outline
    shapes = {}
    for x_key, y_key in [("X", "y"), TWIN_KEYS][: 1 + records.has_twins]:
        shapes[x_key] = (outline.num_datasets, outline.max_rows, outline.max_features)
        shapes[y_key] = (outline.num_datasets, outline.max_rows)
    small: dict[str, list[np.ndarray]] = {}
    with (
        as_dump_error(path, "cannot be written", (OSError,)),
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
def read_npz(path: Path) -> Iterator[Records]:
    """The records of an npz file, read piece by piece; no Python objects in it are unpickled.

    Raises:
        DumpError: it is damaged, or not the npz file of a dump.
    """
    with ExitStack() as stack:
        with as_dump_error(path, "cannot be read", READ_ERRORS):
            archive = stack.enter_context(zipfile.ZipFile(path))
            outline, columns = _read_outline(path, archive)
            has_twins = {f"{key}.npy" for key in TWIN_KEYS} <= {*archive.namelist()}
        yield Records(outline, lambda: _pieces(path, archive, outline, columns, has_twins), has_twins)


def _read_outline(path: Path, archive: zipfile.ZipFile) -> tuple[Outline, dict[str, np.ndarray]]:
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
    outline = stated_outline(
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


def _pieces(
    path: Path,
    archive: zipfile.ZipFile,
    outline: Outline,
    columns: dict[str, np.ndarray],
    has_twins: bool,
) -> Iterator[dict[str, np.ndarray]]:
    count, rows, features = outline.num_datasets, outline.max_rows, outline.max_features
    step = step_size(rows, features, outline.block_size)
    with as_dump_error(path, "cannot be read", READ_ERRORS), ExitStack() as stack:
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
            check_sizes(path, piece, start, outline)
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
