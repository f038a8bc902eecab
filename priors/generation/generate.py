"""Many datasets, in order, the same ones whatever number of workers computes them."""

import os
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import joblib

from priors.arguments import as_path, check_integer
from priors.config import ConfigError, PriorConfig
from priors.dataset import Dataset
from priors.dumps.join import join_shards
from priors.dumps.outline import Outline, origin_attributes
from priors.dumps.read import open_dump
from priors.dumps.schema import MAX_INDEXED_SHARDS
from priors.dumps.write import write_dump
from priors.generation.engines import in_folder_of_caller, run_tasks
from priors.generation.shards import (
    JOINED_NAME,
    Plan,
    clear,
    default_shard_size,
    is_whole,
    shard_path,
    shards_of,
)
from priors.presets import check_config
from priors.sampling.blocks import sample_block
from priors.streams import stream

BLOCKS_PER_TASK = 8
"""Blocks that a worker computes at a time: about 0.2 seconds of work, against 1 ms to hand it out."""
TASKS_AHEAD = 16
"""Tasks of each worker that are sampled before they are read; after so many, workers wait for each other."""


def generate_blocks(
    config: PriorConfig, num_datasets: int, seed: int, num_workers: int = 1
) -> Iterator[list[Dataset]]:
    """Yield the first `num_datasets` datasets of (config, seed), block by block; the last may be shorter.

    Dataset i depends on config, seed and i alone.

    Args:
        config: the prior.
        num_datasets: how many datasets.
        seed: of the datasets.
        num_workers: processes; 1 computes in this one.

    Raises:
        ValueError: a negative number of datasets, or fewer than one worker.

    Examples:
        >>> config = PriorConfig(num_datapoints=20, block_size=2)
        >>> [len(block) for block in generate_blocks(config, num_datasets=5, seed=0)]
        [2, 2, 1]
    """
    _check(config, num_datasets)
    if num_datasets < 0:
        raise ValueError(f"num_datasets must not be negative, got {num_datasets}")
    if num_workers < 1:
        raise ValueError(f"num_workers must be at least 1, got {num_workers}")
    stream(seed)  # raises for a value that is no seed
    return _blocks(config, num_datasets, seed, num_workers)


def _blocks(config: PriorConfig, num_datasets: int, seed: int, num_workers: int) -> Iterator[list[Dataset]]:
    num_blocks = -(-num_datasets // config.block_size)
    tasks = (
        (config, seed, range(first, min(first + BLOCKS_PER_TASK, num_blocks)), num_datasets)
        for first in range(0, num_blocks, BLOCKS_PER_TASK)
    )
    if num_workers == 1:
        results = (_sample_blocks(*task) for task in tasks)
    else:
        results = _in_parallel(tasks, num_workers)
    try:
        for result in results:
            yield from result
    finally:
        with warnings.catch_warnings():  # joblib warns if not all results were used
            warnings.simplefilter("ignore", UserWarning)
            results.close()


def _in_parallel(tasks: Iterator[tuple], num_workers: int) -> Iterator[list[list[Dataset]]]:
    """The blocks of each task, in order. joblib alone would sample all of them into memory, read or not."""
    parallel = joblib.Parallel(n_jobs=num_workers, backend="loky", return_as="generator")
    sample = joblib.delayed(in_folder_of_caller(_sample_blocks))
    while ahead := list(islice(tasks, TASKS_AHEAD * num_workers)):
        yield from parallel(sample(*task) for task in ahead)


def generate(config: PriorConfig, num_datasets: int, seed: int, num_workers: int = 1) -> Iterator[Dataset]:
    """Yield the first `num_datasets` datasets of (config, seed) one by one; see `generate_blocks`.

    Examples:
        >>> [dataset.x.shape for dataset in generate(PriorConfig(num_datapoints=20), num_datasets=2, seed=0)]
        [(20, 5), (20, 5)]
    """
    blocks = generate_blocks(config, num_datasets, seed, num_workers)
    return (dataset for block in blocks for dataset in block)


def generate_dump(
    path: str | Path,
    config: PriorConfig,
    num_datasets: int,
    seed: int,
    num_workers: int = 1,
    *,
    backend: str = "loky",
    scheduler: str | None = None,
    shard_size: int | None = None,
    keep_shards: bool = False,
    overwrite: bool = False,
    on_shard: Callable[[int], None] | None = None,
) -> str:
    """Write the first `num_datasets` datasets of (config, seed) to `path`, a prior dump.

    The work is cut into shards, files in the folder ``<path>.shards``, which are joined at the end. A run
    that was stopped or killed leaves that folder, and the same call resumes it: its shards are checked and
    kept, and the dump is the same as that of a run without a stop.

    Args:
        path: the dump; on a cluster, a place that all machines see under that name.
        config: the prior.
        num_datasets: D, how many datasets.
        seed: of the datasets.
        num_workers: processes of this machine; the dump is the same for any number.
        backend: what runs the shards, see `run_tasks`: loky, dask or ray.
        scheduler: address of a running cluster of dask or ray.
        shard_size: datasets in a shard, a multiple of the block size; about 1/256 of the dump by default.
            If a worker dies, the shard that it was writing is lost.
        keep_shards: leave X and y in the shards, and make `path` an index of them.
        overwrite: replace an older file of that name, and discard unfinished work of another plan.
        on_shard: called with the number of datasets of each finished shard, for a progress bar.

    Returns:
        The content hash of the dump.

    Raises:
        ValueError: an argument out of its range.
        DumpError: the file cannot be written, exists, or is being written by another process; the folder
            holds the unfinished work of another config, seed, number or shard size.
        EngineError: the backend is not available.
        WorkerLostError: a worker was killed; the same call resumes the run.

    Examples:
        >>> import tempfile
        >>> from priors.dumps.read import open_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "3_20x5_2.h5"
        ...     _ = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     with open_dump(path) as dump:
        ...         print(len(dump), dump.problem_type)
        3 classification
    """
    path = as_path("path", path)
    plan = _planned(config, num_datasets, seed, shard_size, keep_shards)
    with shards_of(path, plan, overwrite) as (folder, finished):
        if not finished:
            # Absolute: workers may have another current folder.
            shards = [shard_path(folder.absolute(), number) for number in range(plan.num_shards)]
            tasks = [(plan, number, shard) for number, shard in enumerate(shards)]
            for size in run_tasks(write_shard, tasks, backend, num_workers, scheduler):
                if on_shard is not None:
                    on_shard(size)
            os.replace(_joined(path, folder, shards, plan.num_datasets, keep_shards), path)
        with open_dump(path) as dump:
            is_index, content = dump.is_index, dump.attributes["content_hash"]
        clear(folder, keep_shards=is_index)
    return content


def _check(config: PriorConfig, num_datasets: int) -> None:
    check_config(config)
    check_integer("num_datasets", num_datasets)


def _planned(
    config: PriorConfig, num_datasets: int, seed: int, shard_size: int | None, keep_shards: bool
) -> Plan:
    """The plan of a dump, with all its values checked before any work."""
    _check(config, num_datasets)
    check_integer("seed", seed)
    stream(seed)  # raises for a value that is no seed
    if shard_size is not None:
        check_integer("shard_size", shard_size)
    # numpy's integers are no numbers of JSON.
    num_datasets, seed = int(num_datasets), int(seed)
    if shard_size is None:
        shard_size = default_shard_size(num_datasets, config.block_size)
    plan = Plan(config, num_datasets, seed, int(shard_size))
    if keep_shards and plan.num_shards > MAX_INDEXED_SHARDS:
        raise ConfigError(
            f"shard_size must make at most {MAX_INDEXED_SHARDS} shards for an index of them, "
            f"got {shard_size}, which makes {plan.num_shards}"
        )
    return plan


def _joined(path: Path, folder: Path, shards: list[Path], num_datasets: int, keep_shards: bool) -> Path:
    """The file in `folder` that is renamed to `path`: the shards joined, their index, or the only shard."""
    if len(shards) == 1 and not keep_shards:
        return shards[0]
    joined = folder / JOINED_NAME
    join_shards(joined, shards, num_datasets, index_of=path.name if keep_shards else None)
    return joined


def write_shard(plan: Plan, number: int, path: Path) -> int:
    """Write shard `number` of `plan` to `path`, unless it is there and whole.

    Returns:
        How many datasets it holds.
    """
    first, size = plan.shard(number)
    if is_whole(path, plan, first, size):
        return size
    config, step = plan.config, plan.config.block_size
    blocks = (
        sample_block(config, plan.seed, begin // step, min(step, first + size - begin))
        for begin in range(first, first + size, step)
    )
    write_dump(path, blocks, _outline(plan, first, size), twins=config.twins)
    return size


def _outline(plan: Plan, first: int, size: int) -> Outline:
    """What holds for all records of a shard of `size` datasets, of which the first has the number `first`."""
    config = plan.config
    return Outline(
        num_datasets=size,
        max_rows=config.num_datapoints,
        max_features=config.num_features[1],
        max_num_classes=config.most_classes,
        block_size=config.block_size,
        allow_missing=config.missing_fraction[1] > 0,
        attributes=origin_attributes(
            config.to_json(),
            plan.seed,
            first,
            config.graph.feature_names if config.graph else None,
            config.graph.target_name if config.graph else None,
        ),
    )


def _sample_blocks(config: PriorConfig, seed: int, numbers: range, num_datasets: int) -> list[list[Dataset]]:
    """Some blocks of a dump of `num_datasets`."""
    size = config.block_size
    return [sample_block(config, seed, number, min(size, num_datasets - number * size)) for number in numbers]
