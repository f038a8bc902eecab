"""Batches of datasets: from a dump, live from a prior, or from several of these mixed by weight.

Datasets come in order, and batch k of a loader depends on its settings and k alone: that is why a position is
one number, and why any number of worker processes gives the same batches. Every batch is full.

A batch whose datasets share rows, features and split is a dict with `x`, `y`, `train_test_split_index` and
`datasets`, as published. One whose datasets differ has in their place `parts`, a list of such dicts: nothing
is ever padded, or cut to another dataset's split. Blocks of a dump are uniform, so this is rare where the
batch size divides the block size, and the rule where it does not.

Of several processes that train together, each has loaders of the same settings but for its rank, and gets its
share of the datasets of every batch.

Axis letters: D datasets in a dump, B datasets in a batch, R rows, F features.
"""

import hashlib
import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from math import ceil, isfinite
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader

from nanotabpfn.model.architecture import TrainedRange, get_default_device
from priors.config import ConfigError, PriorConfig
from priors.dumps.dump import Dump, DumpError, finite_records, open_dump
from priors.sampling.blocks import sample_block
from priors.streams import TRAIN, stream

DEFAULT_BLOCK_SIZE = 32
"""Of a dump that does not say its own: the published dump's."""

NUM_PRIOR_DATASETS = 2**32
"""Datasets of one (config, seed); those held out are the last of them, which training never comes to."""

MIXTURE = 0  # stream(seed, TRAIN, MIXTURE, step); the orders of dumps have the shorter key (TRAIN, epoch)


class PriorError(Exception):
    """A prior that gives no datasets."""


class Record(NamedTuple):
    """One dataset of a batch, without padding."""

    x: np.ndarray  # (R, F) float32
    y: np.ndarray  # (R,) float32
    single_eval_pos: int
    index: int  # its number in the dump or in the prior's sequence


class MixedBatch(dict):
    """A batch in `parts`; says so where the keys of a uniform batch are asked for."""

    def __missing__(self, key: str) -> None:
        raise KeyError(f"{key}: the datasets of this batch differ in shape or split; see its `parts`")


def collate(records: Sequence[Record], device: str | torch.device) -> dict[str, Any]:
    """The batch of some records.

    Returns:
        For records of one shape and split: `x` (B, R, F) and `y` (B, R), float32 on `device`,
        `train_test_split_index`, and `datasets`, the records' numbers. For others a `MixedBatch`: `parts`,
        such a dict for each shape and split in the order of their first records, and `datasets`, part by
        part.
    """
    kinds: dict[tuple[int, int, int], list[Record]] = {}
    for record in records:
        kinds.setdefault((*record.x.shape, record.single_eval_pos), []).append(record)
    parts = [
        {
            # Row by row, however a record lies in memory: the model's rounding depends on it.
            "x": torch.from_numpy(np.ascontiguousarray(np.stack([record.x for record in part]))).to(device),
            "y": torch.from_numpy(np.stack([record.y for record in part])).to(device),
            "train_test_split_index": part[0].single_eval_pos,
            "datasets": [record.index for record in part],
        }
        for part in kinds.values()
    ]
    if len(parts) == 1:
        return parts[0]
    return MixedBatch(parts=parts, datasets=[index for part in parts for index in part["datasets"]])


# ------------------------------------------------------------------------------------------------ reading


class DumpReader:
    """Datasets of a dump by their numbers. Opens the file where it is first asked: in a worker, if there is
    one, for an open HDF5 file does not survive the way into another process.

    Args:
        num_datasets: only the first so many are there.
    """

    def __init__(self, filename: str | Path, num_datasets: int):
        self.filename = filename
        self.num_datasets = num_datasets
        self._dump: Dump | None = None

    def close(self) -> None:
        if self._dump is not None:
            self._dump.close()
            self._dump = None

    def __getitem__(self, batch: tuple[list[int], slice]) -> tuple[list[Record], list[int]] | DumpError:
        """The records of a share of a batch, and which of the indices of the whole are damaged.

        In the place of a damaged record stands the next sound one of its block: the batch stays full, most
        often of one split, and the batches after it stay where they are. All of the batch is read, whatever
        the share, since it lies in one chunk of the file; so all processes know of the same damage. An error
        is returned, not raised: on its way out of a worker process it would gather a traceback.
        """
        indices, share = batch
        try:
            if self._dump is None:
                self._dump = open_dump(self.filename)
            records = self._read(self._dump, indices)
            damaged = [index for index, record in zip(indices, records, strict=True) if record is None]
            return [
                self._substitute(self._dump, index) if record is None else record
                for index, record in zip(indices[share], records[share], strict=True)
            ], damaged
        except DumpError as error:
            return error

    def _read(self, dump: Dump, indices: Sequence[int]) -> list[Record | None]:
        """The records, None for those with cells that are not finite."""
        indices = np.asarray(indices)
        x, y = dump.read_records(indices)  # (B, max_rows, max_features), (B, max_rows)
        rows, features = dump.num_datapoints[indices], dump.num_features[indices]
        finite = finite_records(x, y, features, rows, dump.allow_missing)
        if dump.max_num_classes is not None:
            own_rows = np.arange(dump.max_rows) < rows[:, None]
            wrong = own_rows & ~np.isin(y, np.arange(dump.max_num_classes))
            mislabelled = np.flatnonzero(finite & wrong.any(axis=1))
            if mislabelled.size:
                raise DumpError(
                    f"{self.filename}: y: record {indices[mislabelled[0]]} has labels that are not 0 to "
                    f"{dump.max_num_classes - 1} (max_num_classes is {dump.max_num_classes})"
                )
        splits = dump.single_eval_pos[indices]
        return [
            Record(x[i, : rows[i], : features[i]], y[i, : rows[i]], int(splits[i]), int(indices[i]))
            if finite[i]
            else None
            for i in range(len(indices))
        ]

    def _substitute(self, dump: Dump, index: int) -> Record:
        """The next sound record of the block of `index`, read as a ring; if none, of the blocks after."""
        size = dump.block_size or DEFAULT_BLOCK_SIZE
        first = index - index % size
        last = min(first + size, self.num_datasets)
        for start, stop in [(index + 1, last), (first, index), (last, self.num_datasets), (0, first)]:
            for low in range(start, stop, DEFAULT_BLOCK_SIZE):
                for record in self._read(dump, range(low, min(low + DEFAULT_BLOCK_SIZE, stop))):
                    if record is not None:
                        return record
        raise DumpError(f"{self.filename}: every record holds cells that are not finite")

    def sound(self, start: int, stop: int) -> list[Record]:
        """Those of the records from `start` to `stop` that are not damaged, held out or not."""
        with open_dump(self.filename) as dump:
            return [record for record in self._read(dump, range(start, stop)) if record is not None]


class PriorReader:
    """Datasets of (config, seed) by their numbers, sampled when asked for."""

    def __init__(self, config: PriorConfig, seed: int):
        self.config = config
        self.seed = seed

    def close(self) -> None:
        pass

    def __getitem__(self, batch: tuple[list[int], slice]) -> tuple[list[Record], list[int]] | PriorError:
        """The records of a share of a batch, and none that are damaged; an error is returned, as above."""
        indices, share = batch
        try:
            return self.read(indices[share]), []
        except PriorError as error:
            return error

    def read(self, indices: Sequence[int]) -> list[Record]:
        """The records of `indices`, block by block, and no others of their blocks."""
        size = self.config.block_size
        records = []
        for block, own in groupby(indices, lambda index: index // size):
            numbers = list(own)
            try:
                datasets = sample_block(self.config, self.seed, block, len(numbers), numbers[0] % size)
            except RuntimeError as error:  # nothing but degenerate draws
                raise PriorError(str(error).partition(": ")[0]) from error
            records += [
                Record(dataset.x, dataset.y.astype(np.float32), dataset.single_eval_pos, index)
                for index, dataset in zip(numbers, datasets, strict=True)
            ]
        return records


# ------------------------------------------------------------------------------------------------ loaders


def prior_range(config: PriorConfig) -> TrainedRange:
    """What tables a prior has."""
    classes = config.num_classes if config.problem_type == "classification" else None
    return TrainedRange(config.split_range, config.num_features, classes)


def dump_range(dump: Dump, num_datasets: int) -> TrainedRange:
    """What tables a dump has: as its prior says, or where it doesn't tell, as its first datasets are."""
    with suppress(KeyError, ConfigError):  # of other generators, or of another version of this one
        return prior_range(PriorConfig.from_json(dump.attributes["config"]))
    splits, features = dump.single_eval_pos[:num_datasets], dump.num_features[:num_datasets]
    return TrainedRange(
        rows=(int(splits.min()), int(splits.max())),
        features=(int(features.min()), int(features.max())),
        classes=None if dump.max_num_classes is None else (2, max(2, dump.max_num_classes)),
    )


def widest_range(ranges: Sequence[TrainedRange]) -> TrainedRange:
    """From the smallest to the largest of some ranges, at least one, of one problem type."""

    def spread(bounds: Sequence[tuple[int, int]]) -> tuple[int, int]:
        return min(low for low, _ in bounds), max(high for _, high in bounds)

    return TrainedRange(
        spread([part.rows for part in ranges]),
        spread([part.features for part in ranges]),
        None if ranges[0].classes is None else spread([part.classes for part in ranges]),
    )


class Loader(Protocol):
    """What `MixedDataLoader` mixes: any of the loaders of this module, itself included."""

    problem_type: str
    max_num_classes: int | None
    trained_range: TrainedRange
    num_skipped: int

    def __iter__(self) -> Iterator[dict[str, Any]]: ...

    def held_out_batches(self) -> list[dict[str, Any]]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class _BatchLoader:
    """What the loaders of a dump and of a prior share: iterating, the position and its state.

    Args:
        reader: gives the records of a share of a list of numbers.
        settings: whatever else decides the batches, as plain values by name; a state carries them.
    """

    problem_type: str
    max_num_classes: int | None
    trained_range: TrainedRange

    def __init__(
        self,
        reader: DumpReader | PriorReader,
        num_steps: int,
        batch_size: int,
        device: str | torch.device | None,
        num_workers: int,
        held_out: int,
        rank: int,
        num_ranks: int,
        settings: dict[str, Any],
    ):
        _check_settings(num_steps=num_steps, batch_size=batch_size, num_workers=num_workers)
        _check_settings(held_out=held_out, seed=settings["seed"], rank=rank, num_ranks=num_ranks)
        if rank >= num_ranks:
            raise ValueError(f"rank must be below num_ranks={num_ranks}, got {rank}")
        if batch_size < num_ranks:
            raise ValueError(f"batch_size must be at least num_ranks={num_ranks}, got {batch_size}")
        self.num_steps = num_steps
        self.batch_size = batch_size
        self.device = device or get_default_device()
        self.num_workers = num_workers
        self.held_out = held_out
        self._share = slice(rank * batch_size // num_ranks, (rank + 1) * batch_size // num_ranks)
        self._is_part = num_ranks > 1
        self._reader = reader
        self._settings = {"batch_size": batch_size, **settings}
        self._position = 0  # batches handed out
        self._skipped: set[int] = set()

    @property
    def num_skipped(self) -> int:
        """How many datasets were skipped so far because a cell of theirs is not finite."""
        return len(self._skipped)

    def __len__(self) -> int:
        return self.num_steps

    def __iter__(self) -> Iterator[dict[str, Any]]:
        first = self._position
        # PyTorch's loader reads ahead; it is given a generator, or it would draw from the global one.
        readings = DataLoader(
            self._reader,
            batch_size=None,
            sampler=((self._indices(step), self._share) for step in range(first, first + self.num_steps)),
            num_workers=self.num_workers,
            collate_fn=_as_it_is,
            worker_init_fn=_ignore_signals,
            generator=torch.Generator(),
        )
        try:
            for step, reading in enumerate(readings, start=first):
                if isinstance(reading, DumpError | PriorError):
                    raise reading
                records, damaged = reading
                self._skipped.update(damaged)
                self._position = step + 1
                batch = collate(records, self.device)
                if self._is_part:
                    batch["num_datasets"] = self.batch_size
                yield batch
        finally:
            self._reader.close()

    def _indices(self, step: int) -> list[int]:
        """Numbers of the datasets of batch `step`, counted from the first ever."""
        first = step * self.batch_size
        return list(range(first, first + self.batch_size))

    def held_out_batches(self) -> list[dict[str, Any]]:
        """The datasets held out, in batches of at most `batch_size`, on the CPU; damaged ones are left out.
        All of them, whatever the rank.

        Raises:
            DumpError: the file cannot be read.
            PriorError: the prior gives none.
        """
        records = self._held_out_records() if self.held_out else []
        starts = range(0, len(records), self.batch_size)
        return [collate(records[start : start + self.batch_size], "cpu") for start in starts]

    def _held_out_records(self) -> list[Record]:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """The position after the batch handed out last, as plain values (JSON can hold them).

        A loader of the same data, seed and batch size that loads it goes on with the batch after that one,
        for `num_steps` batches of its own; the number of workers and the device are free.
        """
        return {**self._settings, "position": self._position, "skipped": sorted(self._skipped)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, from the next iteration, where the loader stood that gave `state`.

        Raises:
            ValueError: it is no such state, or one of other data, another seed or batch size. Nothing has
                changed then.
        """
        _check_state(state, self._settings)
        skipped = state.get("skipped")
        if not isinstance(skipped, list):
            raise ValueError(f"skipped of the state must be a list, got {skipped!r}")
        self._position, self._skipped = state["position"], set(skipped)


class PriorDumpDataLoader(_BatchLoader):
    """Batches from a prior dump; iterating again goes on where the last iteration stopped.

    The published call. A pass over the dump is ceil(D / batch_size) batches. When it ends the next begins;
    the last batch is filled up with the datasets that the next pass begins with. Records with cells that are
    not finite (the published dump has five) are skipped, and counted in `num_skipped`; in the place of each
    comes the next sound record of its block.

    Args:
        filename: the dump, in our layout or the published one.
        num_steps: batches of one iteration.
        batch_size: datasets of a batch.
        device: where the batches go; `get_default_device()` by default.
        seed: shuffles the dump, anew in each pass: batch by batch where the batch size divides the block
            size, else block by block. File order by default, as published.
        num_workers: processes that read ahead; 0 reads in this one. The batches are the same.
        held_out: the last so many datasets of the dump are not in its batches, but in `held_out_batches`.
        rank: of the processes that train together, which this is: from 0.
        num_ranks: how many there are. Each gets its share of every batch, which carries the key
            `num_datasets` then: the datasets of the whole batch.

    Attributes:
        problem_type: `classification` or `regression`, as the file says, or shows by its classes.
        max_num_classes: most classes of any dataset; None in regression.
        trained_range: of the prior, if the dump tells it, else of the datasets of its batches, with classes
            from 2, as a dump does not tell its fewest.

    Raises:
        ValueError: a number of steps or a batch size below 1, a negative seed or number of workers, nothing
            left beside what is held out, more ranks than datasets in a batch.
        DumpError: the file cannot be read, or says classification and not of how many classes.
    """

    def __init__(
        self,
        filename: str | Path,
        num_steps: int,
        batch_size: int,
        device: str | torch.device | None = None,
        seed: int | None = None,
        num_workers: int = 0,
        held_out: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
    ):
        self.filename = filename
        self.seed = seed
        with open_dump(filename) as dump:
            if dump.problem_type == "classification" and dump.max_num_classes is None:
                raise DumpError(f"{filename}: is of classification datasets, but has no max_num_classes")
            self.problem_type = dump.problem_type
            self.max_num_classes = dump.max_num_classes
            if held_out >= dump.num_datasets:
                raise ValueError(
                    f"held_out must be below the {dump.num_datasets} datasets of {filename}, got {held_out}"
                )
            self._num_datasets = dump.num_datasets - held_out
            self.trained_range = dump_range(dump, self._num_datasets)
            block_size = dump.block_size or DEFAULT_BLOCK_SIZE
            settings = {"dump": _fingerprint(dump), "seed": seed, "held_out": held_out}
        reader = DumpReader(filename, self._num_datasets)
        super().__init__(
            reader, num_steps, batch_size, device, num_workers, held_out, rank, num_ranks, settings
        )
        self._unit = batch_size if block_size % batch_size == 0 else block_size  # what is shuffled
        self._shuffled: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def _held_out_records(self) -> list[Record]:
        return self._reader.sound(self._num_datasets, self._num_datasets + self.held_out)

    def _indices(self, step: int) -> list[int]:
        epoch, number = divmod(step, ceil(self._num_datasets / self.batch_size))
        first, indices = number * self.batch_size, []
        while len(indices) < self.batch_size:
            stop = min(first + self.batch_size - len(indices), self._num_datasets)
            positions = np.arange(first, stop)
            starts = self._unit_starts(epoch)
            indices += (starts[positions // self._unit] + positions % self._unit).tolist()
            epoch, first = epoch + 1, 0
        return indices

    def _unit_starts(self, epoch: int) -> np.ndarray:
        """The first dataset of each unit, in the order of this pass. A short one, at the end of the file,
        stays the last, or it would shift all after it against the borders of the batches."""
        if self._shuffled[0] != epoch:
            starts = np.arange(0, self._num_datasets, self._unit)
            if self.seed is not None:
                whole = self._num_datasets // self._unit
                starts[:whole] = stream(self.seed, TRAIN, epoch).permutation(starts[:whole])
            self._shuffled = (epoch, starts)
        return self._shuffled[1]


class PriorDataLoader(_BatchLoader):
    """Batches sampled live from a prior: those of a dump of the same config and seed, without the file.

    Args:
        config: the prior.
        num_steps: batches of one iteration; iterating again goes on with the next datasets.
        batch_size: datasets of a batch.
        device: where the batches go; `get_default_device()` by default.
        seed: of the datasets.
        num_workers: processes that sample ahead; 0 samples in this one. The batches are the same.
        held_out: how many datasets `held_out_batches` gives: the last ones that the seed has.
        rank: of the processes that train together, which this is; see `PriorDumpDataLoader`.
        num_ranks: how many there are. Each samples its share alone.

    Attributes:
        problem_type: `classification` or `regression`, the config's.
        max_num_classes: most classes of any dataset; None in regression.
        trained_range: of the prior's datasets.

    Raises:
        ValueError: a number of steps or a batch size below 1, a negative seed or number of workers, more
            ranks than datasets in a batch.
    """

    def __init__(
        self,
        config: PriorConfig,
        num_steps: int,
        batch_size: int,
        device: str | torch.device | None = None,
        seed: int = 0,
        num_workers: int = 0,
        held_out: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
    ):
        fields = json.loads(config.to_json())
        settings = {"seed": seed, **{f"config.{name}": value for name, value in fields.items()}}
        reader = PriorReader(config, seed)
        super().__init__(
            reader, num_steps, batch_size, device, num_workers, held_out, rank, num_ranks, settings
        )
        self.config = config
        self.seed = seed
        self.problem_type = config.problem_type
        self.max_num_classes = config.most_classes
        self.trained_range = prior_range(config)

    def _held_out_records(self) -> list[Record]:
        return self._reader.read(range(NUM_PRIOR_DATASETS - self.held_out, NUM_PRIOR_DATASETS))


class MixedDataLoader:
    """Batches of several loaders: each comes from one of them, drawn by weight.

    Its batches carry the key `loader` besides, the number of the loader that they come from.

    Args:
        loaders: of dumps or live priors; each goes on from its own position, whatever its `num_steps`.
        weights: how often each is drawn, relative to the others.
        num_steps: batches of one iteration; iterating again goes on.
        seed: of the draws.

    Attributes:
        problem_type: `classification` or `regression`, the same for all loaders.
        max_num_classes: most classes of any loader; None in regression.
        trained_range: of all of them together.

    Raises:
        ValueError: no loader, loaders of both problem types, not one finite weight above 0 for each, fewer
            than one step, a negative seed.
    """

    def __init__(self, loaders: Sequence[Loader], weights: Sequence[float], num_steps: int, seed: int = 0):
        _check_settings(num_steps=num_steps, seed=seed)
        if not loaders:
            raise ValueError("loaders must hold at least one, got none")
        if len(weights) != len(loaders):
            raise ValueError(f"weights must be {len(loaders)}, one for each loader, got {len(weights)}")
        for weight in weights:
            if not (isfinite(weight) and weight > 0):
                raise ValueError(f"weights must be finite and above 0, got {weight}")
        problem_types = sorted({loader.problem_type for loader in loaders})
        if len(problem_types) > 1:
            raise ValueError(f"loaders must be of one problem type, got {' and '.join(problem_types)}")
        self.loaders = list(loaders)
        self.weights = [float(weight) for weight in weights]
        self.num_steps = num_steps
        self.seed = seed
        [self.problem_type] = problem_types
        is_regression = self.problem_type == "regression"
        self.max_num_classes = None if is_regression else max(loader.max_num_classes for loader in loaders)
        self.trained_range = widest_range([loader.trained_range for loader in loaders])
        self._position = 0

    @property
    def num_skipped(self) -> int:
        """How many datasets were skipped so far because a cell of theirs is not finite."""
        return sum(loader.num_skipped for loader in self.loaders)

    def __len__(self) -> int:
        return self.num_steps

    def __iter__(self) -> Iterator[dict[str, Any]]:
        batches = [_endless(loader) for loader in self.loaders]
        shares = np.array(self.weights) / sum(self.weights)
        for step in range(self._position, self._position + self.num_steps):
            drawn = int(stream(self.seed, TRAIN, MIXTURE, step).choice(len(batches), p=shares))
            batch = next(batches[drawn])
            batch["loader"] = drawn
            self._position = step + 1
            yield batch

    def held_out_batches(self) -> list[dict[str, Any]]:
        """Those of all loaders, one after the other."""
        return [batch for loader in self.loaders for batch in loader.held_out_batches()]

    def state_dict(self) -> dict[str, Any]:
        """The position and those of all loaders, as plain values; see `PriorDumpDataLoader.state_dict`."""
        return {
            "seed": self.seed,
            "weights": self.weights,
            "position": self._position,
            "loaders": [loader.state_dict() for loader in self.loaders],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, from the next iteration, where the mixture stood that gave `state`.

        Raises:
            ValueError: it is no such state, or one of another mixture. Nothing has changed then.
        """
        _check_state(state, {"seed": self.seed, "weights": self.weights})
        states = state.get("loaders")
        if not isinstance(states, list) or len(states) != len(self.loaders):
            raise ValueError(f"loaders of the state must be a list of {len(self.loaders)}, got {states!r}")
        before = [loader.state_dict() for loader in self.loaders]
        for number, loader in enumerate(self.loaders):
            try:
                loader.load_state_dict(states[number])
            except ValueError as error:
                for changed, old in zip(self.loaders[:number], before, strict=False):
                    changed.load_state_dict(old)
                raise ValueError(f"loader {number}: {error}") from error
        self._position = state["position"]


def _endless(loader: Loader) -> Iterator[dict[str, Any]]:
    while True:
        yield from loader


def _as_it_is(reading: Any) -> Any:
    """In the place of PyTorch's collating, which makes tensors in the worker, for shared memory; arrays go
    through a pipe, which no container limits."""
    return reading


def _ignore_signals(worker: int) -> None:
    """A terminal's Ctrl-C and a cluster's SIGTERM reach every process; the one that trains decides, and
    worker processes end when it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _fingerprint(dump: Dump) -> str:
    """What tells a dump from others: its content hash, or one of its counts and first record."""
    if "content_hash" in dump.attributes:
        return str(dump.attributes["content_hash"])
    digest = hashlib.sha256()
    for array in (dump.num_features, dump.num_datapoints, dump.single_eval_pos, *dump.read(0, 1)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _check_settings(**settings: int | None) -> None:
    for name, value in settings.items():
        least = 1 if name in ("num_steps", "batch_size", "num_ranks") else 0
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


def _check_state(state: dict[str, Any], settings: dict[str, Any]) -> None:
    """A state must be of a loader with the same settings, and hold a position."""
    if not isinstance(state, dict):
        raise ValueError(f"state must be a dict from state_dict(), got {state!r}")
    for name, value in settings.items():
        if name not in state:
            raise ValueError(f"state must hold {name}, got {', '.join(map(str, state)) or 'nothing'}")
        if state[name] != value:
            raise ValueError(f"{name} of the state must be this loader's, {value!r}, got {state[name]!r}")
    position = state.get("position")
    if type(position) is not int or position < 0:
        raise ValueError(f"position of the state must be a whole number from 0, got {position!r}")
