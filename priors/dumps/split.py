"""Split a dump into files of whole blocks, the datasets that share a split, in the memory of a few MB."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from priors.arguments import check_integer
from priors.dumps.files import check_target
from priors.dumps.outline import outline_of, shared_block
from priors.dumps.provenance import checked_hash, derived, first_dataset, source_entry
from priors.dumps.read import Dump, open_dump
from priors.dumps.records import pieces_of, step_size
from priors.dumps.rewrite import write_records
from priors.dumps.schema import DumpError


def equal_sizes(dump: Dump, num_parts: int) -> list[int]:
    """Sizes of `num_parts` parts of whole blocks, as equal as possible; the last has the end of the dump.

    Raises:
        DumpError: fewer blocks than parts.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.generation.generate import generate_dump
        >>> config = PriorConfig(num_datapoints=20, block_size=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "my.h5"
        ...     _ = generate_dump(path, config, num_datasets=4, seed=0)
        ...     with open_dump(path) as dump:
        ...         equal_sizes(dump, 2)
        [2, 2]
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
    """NAME-1-of-3.h5 and so on, with as many digits as they need to sort.

    Examples:
        >>> part_names("runs/my.h5", 2)
        ['my-1-of-2.h5', 'my-2-of-2.h5']
    """
    stem, width = Path(path).stem, len(str(num_parts))
    return [f"{stem}-{part:0{width}}-of-{num_parts}.h5" for part in range(1, num_parts + 1)]


def split_dump(path: str | Path, out_dir: str | Path, sizes: Sequence[int]) -> list[Path]:
    """Write consecutive parts of a dump as files of their own, each complete when it appears.

    A part keeps config and seed; its attribute `first_dataset` is the number of its first dataset.

    Args:
        path: the dump.
        out_dir: the folder of the parts.
        sizes: datasets of each part, whole blocks all but the last; together those of the dump.

    Returns:
        The files, `part_names` in `out_dir`.

    Raises:
        DumpError: a file cannot be read or written, or `sizes` do not fit.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.generation.generate import generate_dump
        >>> config = PriorConfig(num_datapoints=20, block_size=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "my.h5"
        ...     _ = generate_dump(path, config, num_datasets=4, seed=0)
        ...     [part.name for part in split_dump(path, folder, sizes=[2, 2])]
        ['my-1-of-2.h5', 'my-2-of-2.h5']
    """
    with open_dump(path) as dump:
        block = shared_block(dump)
        for size in sizes:
            check_integer("each of sizes", size)
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
