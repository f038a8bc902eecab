"""Merge dumps: their records one after the other, in whole blocks, in the memory of a few MB.

A block is a run of consecutive datasets that share a split and a shape, so that they stack into one batch.
If it were cut in two, it would no longer line up with the batches of a reader that takes the first split of a
batch for all of its datasets.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from math import gcd
from pathlib import Path

import numpy as np

from priors.arguments import as_path
from priors.dumps.files import check_target
from priors.dumps.outline import Outline, outline_of, shared_block
from priors.dumps.provenance import checked_hash, derived, names_in, source_entry
from priors.dumps.read import Dump, open_dump
from priors.dumps.records import pieces_of, step_size
from priors.dumps.rewrite import write_records
from priors.dumps.schema import COUNT_KEYS, TWIN_KEYS, DumpError, finite_records


def merge_dumps(paths: Sequence[str | Path], out: str | Path) -> tuple[Outline, list[str]]:
    """Write the records of several dumps one after the other, padded to the largest shape.

    The number of classes is the largest of theirs, the block the largest that divides all of theirs. Kept are
    properties that all dumps have (of one kind), names of columns that are the same in all, and twins if all
    have them.

    Args:
        paths: the dumps, at least two.
        out: the new dump.

    Returns:
        The outline of the new dump, and the names of what was left out: properties, twins.

    Raises:
        DumpError: a file cannot be read or written, or they do not fit together: classification with
            regression, or a file other than the last that ends in a part of a block.
        ValueError: fewer than two files.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.generation.generate import generate_dump
        >>> config = PriorConfig(num_datapoints=20, block_size=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "my.h5"
        ...     _ = generate_dump(path, config, num_datasets=4, seed=0)
        ...     outline, left_out = merge_dumps([path, path], Path(folder) / "twice.h5")
        >>> outline.num_datasets, outline.block_size, left_out
        (8, 2, [])
    """
    if isinstance(paths, str | Path):
        raise TypeError(f"paths must be a list of dumps, got {paths!r}")
    if len(paths) < 2:
        raise ValueError(f"paths must be at least two dumps, got {len(paths)}")
    check_target(as_path("out", out))
    with ExitStack() as stack:
        dumps = [stack.enter_context(open_dump(path)) for path in paths]
        outline = _merged_outline(dumps)
        kept, left_out = _common_properties(dumps)
        write_records(out, outline, _merged(dumps, outline, kept))
    if len({dump.has_twins for dump in dumps}) > 1:
        left_out.update(TWIN_KEYS)
    return outline, sorted(left_out)


def _merged_outline(dumps: list[Dump]) -> Outline:
    """What holds for all records of dumps that fit together."""
    for dump in dumps:
        if dump.problem_type != dumps[0].problem_type:
            raise DumpError(
                f"{dump.path}: is {dump.problem_type}, and {dumps[0].path} is {dumps[0].problem_type}; "
                f"such dumps cannot be merged"
            )
    block = gcd(*(shared_block(dump) for dump in dumps))
    for dump in dumps[:-1]:
        if len(dump) % block:
            raise DumpError(
                f"{dump.path}: its {len(dump)} datasets are not whole blocks of {block}, so that those "
                f"after it would be out of step; name it last, or `priors split` off its end"
            )
    outlines = [outline_of(dump) for dump in dumps]
    hashes = [checked_hash(dump) for dump in dumps]
    return Outline(
        num_datasets=sum(map(len, dumps)),
        max_rows=max(dump.max_rows for dump in dumps),
        max_features=max(dump.max_features for dump in dumps),
        max_num_classes=max((o.max_num_classes for o in outlines if o.max_num_classes), default=None),
        block_size=block,
        allow_missing=any(dump.allow_missing for dump in dumps),
        attributes=names_in(*dumps) | derived("merge", list(map(source_entry, dumps, hashes))),
    )


def _common_properties(dumps: list[Dump]) -> tuple[set[str], set[str]]:
    """Names of the properties that all dumps have, of one kind, and of the others."""
    kinds = [_property_kinds(dump) for dump in dumps]
    kept = {name for name, kind in kinds[0].items() if all(other.get(name) == kind for other in kinds)}
    return kept, {name for names in kinds for name in names} - kept


def _merged(dumps: list[Dump], outline: Outline, kept: set[str]) -> Iterator[dict[str, np.ndarray]]:
    """The records of all dumps, padded alike, with the properties, and the twins, that all have."""
    pairs = [("X", "y"), TWIN_KEYS][: 1 + all(dump.has_twins for dump in dumps)]
    step = step_size(outline.max_rows, outline.max_features, outline.block_size)
    for dump in dumps:
        start = 0
        for piece in pieces_of(dump, step):
            padded = {}
            for x_key, y_key in pairs:
                x, y = piece[x_key], piece[y_key]  # (n, R, F), (n, R)
                if outline.allow_missing and not dump.allow_missing:
                    sound = finite_records(x, y, piece["num_features"], piece["num_datapoints"])
                    if not sound.all():
                        raise DumpError(
                            f"{dump.path}: record {start + int(sound.argmin())} is damaged (not finite), and "
                            f"could not be distinguished from the missing values that other dumps have"
                        )
                n, rows, features = x.shape
                padded[x_key] = np.zeros((n, outline.max_rows, outline.max_features), np.float32)
                padded[x_key][:, :rows, :features] = x
                padded[y_key] = np.zeros((n, outline.max_rows), np.float32)
                padded[y_key][:, :rows] = y
            names = [*COUNT_KEYS, *(f"properties/{name}" for name in sorted(kept))]
            yield padded | {name: piece[name] for name in names}
            start += n


def _property_kinds(dump: Dump) -> dict[str, str]:
    kinds = {"f": "number", "i": "integer", "u": "integer", "b": "integer"}
    arrays = {name: dump.arrays[f"properties/{name}"] for name in dump.properties}
    return {name: kinds.get(array.dtype.kind, "text") for name, array in arrays.items()}
