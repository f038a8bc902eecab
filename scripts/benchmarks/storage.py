"""`benchmark.py dump`: time and bytes of each compression of a dump."""

import tempfile
import time
from pathlib import Path
from statistics import median

import click
import h5py
import numpy as np

from priors.dumps.read import open_dump
from priors.generation.generate import generate_dump
from priors.presets import PRESETS

FILTERS = {
    "none": {},
    "lzf": {"compression": "lzf"},
    "gzip-1": {"compression": "gzip", "compression_opts": 1},
    "gzip-4": {"compression": "gzip", "compression_opts": 4},
}


@click.command()
@click.option("--num-datasets", default=4096, show_default=True, help="Of 150 rows and 5 features.")
@click.option("--repeats", default=5, show_default=True, help="The median of so many is shown.")
def dump(num_datasets: int, repeats: int) -> None:
    """Time and bytes of each compression, for X and y of a dump in chunks of one block.

    Times are CPU time of this process per dataset. Files are in the page cache. All have
    fletcher32 checksums.
    """
    kinds = [(name, shuffle) for name in FILTERS for shuffle in (False, True)]
    seconds: dict[tuple, list[tuple[float, float, float]]] = {kind: [] for kind in kinds}
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        arrays, chunks, block = _source(Path(folder, "source.h5"), num_datasets)
        for _ in range(repeats):
            for kind in kinds:
                path = Path(folder, "measured.h5")
                options = {"shuffle": kind[1], "fletcher32": True, **FILTERS[kind[0]]}
                seconds[kind].append(_write_and_read(path, arrays, chunks, block, options))
                sizes[kind] = path.stat().st_size
                path.unlink()
    click.echo("| compression | shuffle | write, µs | read in order, µs | read shuffled, µs | bytes |")
    click.echo("|---|---|---|---|---|---|")
    for kind in kinds:
        columns = [f"{median(times) / num_datasets * 1e6:.1f}" for times in zip(*seconds[kind], strict=True)]
        size = f"{sizes[kind] / num_datasets:,.0f}"
        click.echo(f"| {kind[0]} | {'yes' if kind[1] else 'no'} | {' | '.join(columns)} | {size} |")


def _source(path: Path, num_datasets: int) -> tuple[dict[str, np.ndarray], dict[str, tuple], int]:
    """X and y of a new dump of the default prior, their chunks, and the size of a block."""
    generate_dump(path, PRESETS["default"], num_datasets, seed=0)
    with open_dump(path) as opened:
        x, y = opened.read(0, num_datasets)
        chunks = {key: opened.arrays[key].chunks for key in ("X", "y")}
        return {"X": x, "y": y}, chunks, opened.block_size


def _write_and_read(
    path: Path, arrays: dict[str, np.ndarray], chunks: dict[str, tuple], block: int, options: dict
) -> tuple[float, float, float]:
    """CPU-seconds to write the blocks, to read them in order, and to read them shuffled."""
    starts = np.arange(0, len(arrays["X"]), block)
    begun = time.process_time()
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        for key, values in arrays.items():
            array = file.create_dataset(key, values.shape, np.float32, chunks=chunks[key], **options)
            for start in starts:
                array[start : start + block] = values[start : start + block]
    written = time.process_time()
    _read(path, starts, block)
    in_order = time.process_time()
    _read(path, np.random.default_rng(0).permutation(starts), block)
    return written - begun, in_order - written, time.process_time() - in_order


def _read(path: Path, starts: np.ndarray, block: int) -> None:
    with h5py.File(path) as file:
        for start in starts:
            file["X"][start : start + block]
            file["y"][start : start + block]
