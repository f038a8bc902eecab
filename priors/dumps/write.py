"""Write freshly sampled datasets as a dump, as they come, in the memory of one block.

D datasets in a file, R rows and F features of one dataset; arrays are padded to max_rows and max_features.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from priors.arguments import as_path
from priors.dumps.files import new_hdf5
from priors.dumps.new_arrays import NewArrays, write_attributes, write_scalars
from priors.dumps.outline import Outline
from priors.dumps.provenance import generator_name
from priors.dumps.schema import (
    COUNT_KEYS,
    FORMAT_VERSION,
    MOST_BYTES,
    MOST_DATASETS,
    TEXT,
    TEXT_BYTES,
    DumpError,
    as_dump_error,
    column_names,
)

if TYPE_CHECKING:  # a reader of dumps need not load the prior that made them
    from priors.dataset import Dataset

# The kinds of a property, in the order in which they are tried: what is accepted, and how it is stored.
ACCEPTED = {
    int: (int, np.integer, np.bool_),
    float: (float, int, np.floating, np.integer),
    str: (str,),
}
STORED_AS = {int: np.int64, float: np.float64, str: TEXT}


def write_dump(
    path: str | Path,
    blocks: "Iterable[Iterable[Dataset]]",
    outline: Outline,
    *,
    twins: bool = False,
) -> str:
    """Write datasets to `path` as they come, in the memory of one block.

    How the datasets are spread over `blocks` makes no difference to the file. The file appears under its name
    when it is complete; after any exception, also one that `blocks` raises, there is no new file, and an
    older file of that name is as it was.

    Args:
        path: the file to write; its folder must exist.
        blocks: lists of datasets, each x (R, F), y (R,), single_eval_pos and properties (name -> int, float
            or str, the same names and types in every dataset).
        outline: what holds for all of them; its attributes come from `origin_attributes`.
        twins: whether each dataset has a twin (x and y of its shape), which is written too.

    Returns:
        The content hash that the file carries, as `content_hash` would compute it.

    Raises:
        ValueError: a value of `outline` is out of its range.
        DumpError: the file cannot be written, a dataset breaks the schema (the message names the record), or
            `blocks` holds fewer or more datasets than `outline` says.

    Examples:
        >>> import tempfile
        >>> from priors.dumps.outline import origin_attributes
        >>> from priors.dumps.read import open_dump
        >>> from priors.dataset import Dataset
        >>> x, y = np.zeros((4, 2), np.float32), np.array([0, 1, 0, 1])
        >>> outline = Outline(1, 4, 2, max_num_classes=2, block_size=1, attributes=origin_attributes("{}", 0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = write_dump(Path(folder) / "my.h5", [[Dataset(x, y, 2, {})]], outline)
        ...     with open_dump(Path(folder) / "my.h5") as dump:
        ...         dump.single_eval_pos.tolist(), dump.attributes["seed"]
        ([2], '0')
    """
    path = as_path("path", path)
    _check_outline(outline)
    with new_hdf5(path) as file:
        arrays = NewArrays(path, file, outline.block_size)
        _create_tables(arrays, outline, twins)
        for start, block in _regrouped(path, blocks, outline):
            if start == 0:
                types = _property_types(path, block[0].properties)
                for name, kind in types.items():
                    arrays.create(f"properties/{name}", (outline.num_datasets,), STORED_AS[kind])
            _check_block(path, start, block, types, outline, twins)
            arrays.write(start, _stacked(block, types, outline, twins))
        content = arrays.content_hash(outline.max_num_classes)
        attributes = {
            "format_version": FORMAT_VERSION,
            "generator": generator_name(),
            **outline.attributes,
            "allow_missing": bool(outline.allow_missing),
            "content_hash": content,
        }
        with as_dump_error(path, "cannot be written"):
            write_scalars(file, outline.max_num_classes, outline.block_size)
            write_attributes(file, attributes)
    return content


def _check_outline(outline: Outline) -> None:
    for name, least, most in [
        ("num_datasets", 1, MOST_DATASETS),
        ("max_rows", 2, MOST_BYTES),
        ("max_features", 1, MOST_BYTES),
        ("block_size", 1, MOST_DATASETS),
        ("max_num_classes", 1, outline.max_rows),
    ]:
        value = getattr(outline, name)
        if value is not None and not least <= value <= most:
            raise ValueError(f"{name} must be at least {least} and at most {most}, got {value}")
    names = outline.attributes.get("feature_names")
    if names is not None and column_names(outline.attributes, outline.max_features) is None:
        raise ValueError(f"feature_names must be max_features={outline.max_features} names, got {names}")


def _create_tables(arrays: NewArrays, outline: Outline, twins: bool) -> None:
    count = outline.num_datasets
    for x, y in [("X", "y"), ("X_do", "y_do")][: 1 + twins]:
        arrays.create(x, (count, outline.max_rows, outline.max_features), np.float32)
        arrays.create(y, (count, outline.max_rows), np.float32)
    for name in COUNT_KEYS:
        arrays.create(name, (count,), np.int32)


def _regrouped(
    path: Path, blocks: "Iterable[Iterable[Dataset]]", outline: Outline
) -> "Iterator[tuple[int, list[Dataset]]]":
    """The blocks of `outline`, so that whole chunks are written: (number of the first dataset, datasets)."""
    datasets, start, count = chain.from_iterable(blocks), 0, outline.num_datasets
    while block := list(islice(datasets, outline.block_size)):
        if start + len(block) > count:
            raise DumpError(f"{path}: blocks must hold num_datasets={count} datasets, got more")
        yield start, block
        start += len(block)
    if start < count:
        raise DumpError(f"{path}: blocks must hold num_datasets={count} datasets, got {start}")


def _check_block(
    path: Path, start: int, block: "list[Dataset]", types: dict[str, type], outline: Outline, twins: bool
) -> None:
    """Stop at the first dataset of a block that breaks the schema's rules for a writer."""
    for i, dataset in enumerate(block):
        try:
            _check_dataset(dataset, outline)
            _check_properties(dataset.properties, types)
            if twins:
                _check_twin(dataset, outline.allow_missing)
            if _counts(dataset) != _counts(block[0]):
                raise DumpError(
                    f"a block of {outline.block_size} must share features, rows and single_eval_pos: "
                    f"record {start} has {_counts(block[0])}, got {_counts(dataset)}"
                )
        except DumpError as error:
            raise DumpError(f"{path}: record {start + i}: {error}") from None


def _counts(dataset: "Dataset") -> tuple[int, int, int]:
    """The values of COUNT_KEYS."""
    rows, features = np.shape(dataset.x)
    return features, rows, int(dataset.single_eval_pos)


def _stacked(
    block: "list[Dataset]", types: dict[str, type], outline: Outline, twins: bool
) -> dict[str, np.ndarray]:
    """The padded arrays of a block, (n, ...) by key."""
    values = {}
    tables = {"": block, "_do": [dataset.twin for dataset in block] if twins else ()}
    for suffix, datasets in list(tables.items())[: 1 + twins]:
        x = np.zeros((len(block), outline.max_rows, outline.max_features), np.float32)
        y = np.zeros((len(block), outline.max_rows), np.float32)
        for i, dataset in enumerate(datasets):
            rows, features = np.shape(dataset.x)
            x[i, :rows, :features] = dataset.x
            y[i, :rows] = dataset.y
        values |= {f"X{suffix}": x, f"y{suffix}": y}
    counts = np.array([_counts(dataset) for dataset in block])  # (n, 3)
    values |= dict(zip(COUNT_KEYS, counts.T, strict=True))
    for name, kind in types.items():
        column: list[Any] = [kind(dataset.properties[name]) for dataset in block]
        values[f"properties/{name}"] = np.array(column, object if kind is str else kind)
    return values


# ------------------------------------------------------------------------------------------ rules of writers


def _check_dataset(dataset: "Dataset", outline: Outline) -> None:
    """Stop at a table or a split that the schema does not allow."""
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes inf, and is refused as such below
        x = np.asarray(dataset.x).astype(np.float32, copy=False)
        y = np.asarray(dataset.y).astype(np.float32, copy=False)
    split = dataset.single_eval_pos
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise DumpError(f"x must be (R, F) and y (R,), got {x.shape} and {y.shape}")
    rows, features = x.shape
    if not 2 <= rows <= outline.max_rows:
        raise DumpError(f"rows must be in 2..{outline.max_rows}, got {rows}")
    if not 1 <= features <= outline.max_features:
        raise DumpError(f"features must be in 1..{outline.max_features}, got {features}")
    if not 0 < split < rows:
        raise DumpError(f"single_eval_pos must be in 1..{rows - 1}, got {split}")
    if outline.allow_missing:
        if np.isinf(x).any():
            raise DumpError(f"x must be finite or NaN, got {np.isinf(x).sum()} infinite cells")
    elif not np.isfinite(x).all():
        raise DumpError(f"x must be finite, got {(~np.isfinite(x)).sum()} other cells")
    if not np.isfinite(y).all():
        raise DumpError(f"y must be finite, got {(~np.isfinite(y)).sum()} other values")
    if outline.max_num_classes is not None:
        _check_labels(y, split, outline.max_num_classes)


def _check_labels(y: np.ndarray, split: int, max_num_classes: int) -> None:
    classes = np.unique(y)
    if not np.array_equal(classes, np.arange(len(classes))):
        shown = ", ".join(f"{label:g}" for label in classes[:10])
        raise DumpError(f"labels must be 0..K-1 without a gap, got {shown}")
    if len(classes) > max_num_classes:
        raise DumpError(f"labels must be below max_num_classes={max_num_classes}, got {len(classes)} classes")
    if len(np.unique(y[:split])) < len(classes):
        unseen = np.setdiff1d(classes, y[:split])[0]
        raise DumpError(f"class {unseen:g} must be among the {split} training rows")


def _check_twin(dataset: "Dataset", allow_missing: bool) -> None:
    """Stop at a twin that does not have its dataset's shape, or has cells or labels that no twin may have."""
    if dataset.twin is None:
        raise DumpError("must have a twin, got none")
    x_do, y_do = (np.asarray(values) for values in dataset.twin)
    shapes = np.shape(dataset.x), np.shape(dataset.y)
    if (x_do.shape, y_do.shape) != shapes:
        raise DumpError(f"twin must be {shapes[0]} and {shapes[1]}, got {x_do.shape} and {y_do.shape}")
    if not np.isfinite(y_do).all() or not (np.isfinite(x_do) | (allow_missing & np.isnan(x_do))).all():
        raise DumpError("twin must be finite")


def _property_types(path: Path, properties: dict) -> dict[str, type]:
    """int, float or str for each property, from the first dataset's."""
    types = {}
    for name, value in properties.items():
        if not isinstance(name, str) or not name.strip(".") or "/" in name or "\0" in name:
            raise DumpError(f"{path}: record 0: a property's name must be a word without '/', got {name!r}")
        types[name] = next((kind for kind, accepted in ACCEPTED.items() if isinstance(value, accepted)), None)
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
        if not isinstance(value, ACCEPTED[kind]):
            raise DumpError(f"property {name!r} must be {kind.__name__} as in record 0, got {value!r}")
        if kind is str and (len(value.encode()) > TEXT_BYTES or "\0" in value):
            raise DumpError(
                f"property {name!r} must be at most {TEXT_BYTES} bytes of UTF-8 without NUL, got {value!r}"
            )
        if kind is int and not -(2**63) <= value < 2**63:
            raise DumpError(f"property {name!r} must fit into 64 bits, got {value}")
