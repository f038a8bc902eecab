"""Merge, split and shuffle dumps by whole blocks, in the memory of a few MB.

A block is a run of consecutive datasets that share a split and a shape, so that they stack into one batch.
Cut in two it would no longer line up with the batches of a reader that takes the first split for all of one.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from math import gcd
from pathlib import Path

import numpy as np

from priors.dumps.derive import (
    checked_hash,
    derived,
    first_dataset,
    names_in,
    outline_of,
    pieces_of,
    shared_block,
    source_entry,
    step_size,
)
from priors.dumps.dump import (
    COUNT_KEYS,
    TWIN_KEYS,
    Dump,
    DumpError,
    Outline,
    check_target,
    finite_records,
    open_dump,
    write_records,
)
from priors.streams import SHUFFLE, stream


def merge_dumps(paths: Sequence[str | Path], out: str | Path) -> tuple[Outline, list[str]]:
    """Write the records of several dumps one after the other, padded to the largest shape.

    The number of classes is the largest of theirs, the block the largest that divides all of theirs; only
    properties that all have (of one kind) are kept, names of columns that are the same in all, and twins
    where all have them.

    Returns:
        The outline of the new dump, and the names of what was left out: properties, twins.

    Raises:
        DumpError: a file cannot be read or written, or they do not fit together: classification with
            regression, or a file other than the last that ends in a part of a block.
        ValueError: fewer than two files.
    """
    if len(paths) < 2:
        raise ValueError(f"paths must be at least two dumps, got {len(paths)}")
    check_target(Path(out))
    with ExitStack() as stack:
        dumps = [stack.enter_context(open_dump(path)) for path in paths]
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
        outline = Outline(
            num_datasets=sum(map(len, dumps)),
            max_rows=max(dump.max_rows for dump in dumps),
            max_features=max(dump.max_features for dump in dumps),
            max_num_classes=max((o.max_num_classes for o in outlines if o.max_num_classes), default=None),
            block_size=block,
            allow_missing=any(dump.allow_missing for dump in dumps),
            attributes=names_in(*dumps) | derived("merge", list(map(source_entry, dumps, hashes))),
        )
        kinds = [_property_kinds(dump) for dump in dumps]
        kept = {name for name, kind in kinds[0].items() if all(other.get(name) == kind for other in kinds)}
        write_records(out, outline, _merged(dumps, outline, kept))
    left_out = {name for names in kinds for name in names} - kept
    if len({dump.has_twins for dump in dumps}) > 1:
        left_out.update(TWIN_KEYS)
    return outline, sorted(left_out)


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
                            f"could not be told from missing values, which other dumps have"
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


def equal_sizes(dump: Dump, num_parts: int) -> list[int]:
    """Sizes of `num_parts` parts of whole blocks, as equal as can be; the last has the end of the dump.

    Raises:
        DumpError: fewer blocks than parts.
    """
    block = shared_block(dump)
    num_blocks = -(-len(dump) // block)
    if not 1 <= num_parts <= num_blocks:
        raise DumpError(
            f"{dump.path}: can be split into 1..{num_blocks} parts (blocks of {block} datasets stay whole), "
            f"got {num_parts}"
        )
    bounds = [part * num_blocks // num_parts * block for part in range(num_parts)] + [len(dump)]
    return np.diff(bounds).tolist()


def part_names(path: str | Path, num_parts: int) -> list[str]:
    """NAME-1-of-3.h5 and so on, with as many digits as they need to sort."""
    stem, width = Path(path).stem, len(str(num_parts))
    return [f"{stem}-{part:0{width}}-of-{num_parts}.h5" for part in range(1, num_parts + 1)]


def split_dump(path: str | Path, out_dir: str | Path, sizes: Sequence[int]) -> list[Path]:
    """Write consecutive parts of a dump as files of their own, each complete when it appears.

    A part keeps config and seed, and says by `first_dataset` where it begins among their datasets.

    Args:
        sizes: datasets of each part, whole blocks all but the last; together those of the dump.

    Returns:
        The files, `part_names` in `out_dir`.

    Raises:
        DumpError: a file cannot be read or written, or `sizes` do not fit.
    """
    with open_dump(path) as dump:
        block = shared_block(dump)
        if sum(sizes) != len(dump) or min(sizes, default=0) < 1:
            raise DumpError(
                f"{dump.path}: sizes must be above 0 and sum to its {len(dump)} datasets, got "
                f"{', '.join(map(str, sizes))} (sum {sum(sizes)})"
            )
        for size in sizes[:-1]:
            if size % block:
                raise DumpError(
                    f"{dump.path}: sizes but the last must be multiples of {block}, the datasets of a block "
                    f"that share a split; got {size}"
                )
        parts = [Path(out_dir) / name for name in part_names(path, len(sizes))]
        for part in parts:
            check_target(part)
        content = checked_hash(dump)
        step = step_size(dump.max_rows, dump.max_features, block)
        start = 0
        for part, size in zip(parts, sizes, strict=True):
            attributes = outline_of(dump).attributes | derived(
                f"split, records {start} to {start + size - 1}", [source_entry(dump, content)]
            )
            if "seed" in attributes:
                attributes["first_dataset"] = first_dataset(dump) + start
            outline = outline_of(dump, num_datasets=size, attributes=attributes)
            write_records(part, outline, pieces_of(dump, step, np.arange(start, start + size)))
            start += size
    return parts


def shuffle_dump(path: str | Path, out: str | Path, seed: int) -> int:
    """Write the blocks of a dump in an order drawn from `seed`; inside a block the order stays.

    A last block that is shorter than the others stays last: those after it would be out of step.

    Returns:
        How many blocks there are to order.

    Raises:
        DumpError: a file cannot be read or written.
        ValueError: a seed out of range.
    """
    rng = stream(seed, SHUFFLE)
    check_target(Path(out))
    with open_dump(path) as dump:
        block = min(shared_block(dump), len(dump))
        num_blocks = len(dump) // block
        firsts = rng.permutation(num_blocks) * block
        order = (firsts[:, None] + np.arange(block)).ravel()  # (num_blocks * block,)
        order = np.concatenate([order, np.arange(num_blocks * block, len(dump))])
        attributes = names_in(dump) | derived(
            f"shuffle of blocks of {block}, seed {seed}", [source_entry(dump, checked_hash(dump))]
        )
        step = step_size(dump.max_rows, dump.max_features, block)
        write_records(out, outline_of(dump, attributes=attributes), pieces_of(dump, step, order))
    return num_blocks
