"""A dump as another kind of file, and back: HDF5 in our layout or others', npz, Parquet of long rows.

Records keep their order and their bits, so a converted file still says from which config and seed they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from priors.arguments import as_path
from priors.dumps.files import check_target
from priors.dumps.formats.npz import read_npz, write_npz
from priors.dumps.formats.parquet import read_parquet, write_parquet
from priors.dumps.outline import Outline, outline_of
from priors.dumps.provenance import checked_hash, derived, source_entry
from priors.dumps.read import open_dump
from priors.dumps.records import Records, pieces_of, step_size
from priors.dumps.rewrite import LAYOUTS, write_records

ENDINGS = (".h5", ".hdf5", ".npz", ".parquet")
"""Endings of file names: what kind of file it is."""

READERS = {".npz": read_npz, ".parquet": read_parquet}


def convert(source: str | Path, out: str | Path, layout: str = "ours") -> Outline:
    """Write the records of `source` to `out`; the endings of their names say what kind of file each is.

    HDF5 (.h5, .hdf5) in our layout and npz hold all that a dump holds. The other layouts have no properties
    and no twins; Parquet, one row per datapoint, has neither these nor padding. Every kind carries the
    provenance.

    Args:
        source: the file.
        out: the new file.
        layout: of an `out` in HDF5: `ours`, which the published loader and TFM-Playground's read too;
            `published`, its six keys alone; or `tfm-playground`, the keys that TFM-Playground writes.

    Returns:
        What holds for all records.

    Raises:
        DumpError: a file cannot be read or written; or Parquet is asked for and pyarrow is not there.
        ValueError: an unknown ending or layout.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from priors.config import PriorConfig
        >>> from priors.generation.generate import generate_dump
        >>> config = PriorConfig(num_datapoints=20, block_size=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "my.h5"
        ...     _ = generate_dump(path, config, num_datasets=4, seed=0)
        ...     convert(path, Path(folder) / "my.npz").num_datasets
        ...     with np.load(Path(folder) / "my.npz") as arrays:
        ...         arrays["X"].shape
        4
        (4, 20, 5)
    """
    source, out = as_path("source", source), as_path("out", out)
    for path in (source, out):
        _check_ending(path)
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be {', '.join(LAYOUTS)}, got {layout!r}")
    check_target(out)
    with READERS.get(source.suffix, _read_hdf5)(source) as records:
        if out.suffix == ".npz":
            write_npz(out, records)
        elif out.suffix == ".parquet":
            write_parquet(out, records)
        else:
            write_records(out, records.outline, records.pieces(), layout)
    return records.outline


def outline_at(path: Path) -> Outline:
    """What holds for all records of a file in any of the formats.

    Raises:
        DumpError: it cannot be read.
        ValueError: an unknown ending.

    Examples:
        >>> outline_at(Path("mine.csv"))
        Traceback (most recent call last):
        ValueError: mine.csv: must end in .h5, .hdf5, .npz, .parquet, which says what kind of file it is
    """
    _check_ending(path)
    if path.suffix in READERS:
        with READERS[path.suffix](path) as records:
            return records.outline
    with open_dump(path) as dump:
        return outline_of(dump)


def _check_ending(path: Path) -> None:
    if path.suffix not in ENDINGS:
        raise ValueError(f"{path}: must end in {', '.join(ENDINGS)}, which says what kind of file it is")


@contextmanager
def _read_hdf5(path: Path) -> Iterator[Records]:
    with open_dump(path) as dump:
        outline = outline_of(dump)
        outline.attributes.update(derived("convert", [source_entry(dump, checked_hash(dump))]))
        step = step_size(dump.max_rows, dump.max_features, outline.block_size)
        yield Records(outline, lambda: pieces_of(dump, step), dump.has_twins)
