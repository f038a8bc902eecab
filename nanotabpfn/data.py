"""Batches of datasets, from a dump or live from a prior.

Every batch holds datasets of one shape and one split, and is full: datasets wait, in order, until there are
enough of their kind. Nothing is therefore ever padded, cut to another dataset's split, or dropped.
Axis letters: B datasets in a batch, R rows, F features.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from nanotabpfn.model import get_default_device
from priors.config import PriorConfig
from priors.dump import Dump, DumpError, finite_records, open_dump
from priors.generate import sample_block
from priors.streams import TRAIN, stream

RECORDS_PER_READ = 32
"""Read at a time where a dump does not say its block size: the published dump's chunk."""


class Record(NamedTuple):
    """One dataset of a batch, without padding."""

    x: np.ndarray  # (R, F) float32
    y: np.ndarray  # (R,) float32
    single_eval_pos: int
    index: int  # its number in the dump or in the prior's sequence


class Batcher:
    """Collects records by shape and split, and hands out full batches in the order in which they fill."""

    def __init__(self, batch_size: int):
        self.batch_size = batch_size
        self.waiting: dict[tuple[int, int, int], list[Record]] = {}
        self.ready: deque[list[Record]] = deque()

    def add(self, record: Record) -> None:
        kind = (*record.x.shape, record.single_eval_pos)
        records = self.waiting.setdefault(kind, [])
        records.append(record)
        if len(records) == self.batch_size:
            self.ready.append(self.waiting.pop(kind))


def stack(records: list[Record], device: str | torch.device) -> dict[str, Any]:
    """The batch of some records of one kind, as the published loader gives it.

    Returns:
        `x` (B, R, F) float32, `y` (B, R) float32, both on `device`, `train_test_split_index`, and
        `datasets`, the records' numbers.
    """
    return {
        "x": torch.from_numpy(np.stack([record.x for record in records])).to(device),
        "y": torch.from_numpy(np.stack([record.y for record in records])).to(device),
        "train_test_split_index": records[0].single_eval_pos,
        "datasets": [record.index for record in records],
    }


class PriorDumpDataLoader:
    """Batches from a prior dump; iterating again goes on where the last iteration stopped.

    The published call. When the dump ends it begins again. Records with cells that are not finite (the
    published dump has five) are skipped, and counted in `num_skipped`.

    Args:
        filename: the dump, in our layout or the published one.
        num_steps: batches of one iteration.
        batch_size: datasets of a batch.
        device: where the batches go; `get_default_device()` by default.
        seed: shuffles the blocks of the dump, anew each time it begins; file order by default, as published.

    Attributes:
        max_num_classes: most classes of any dataset.

    Raises:
        ValueError: a number of steps or a batch size below 1.
        DumpError: the file cannot be read, or is not a dump of classification datasets.
    """

    def __init__(
        self,
        filename: str | Path,
        num_steps: int,
        batch_size: int,
        device: str | torch.device | None = None,
        seed: int | None = None,
    ):
        _check_sizes(num_steps, batch_size)
        self.filename = filename
        self.num_steps = num_steps
        self.batch_size = batch_size
        self.device = device or get_default_device()
        self.seed = seed
        with open_dump(filename) as dump:
            if dump.max_num_classes is None:
                raise DumpError(
                    f"{filename}: has no max_num_classes: it is no dump of classification datasets"
                )
            self.max_num_classes = dump.max_num_classes
        self._batcher = Batcher(batch_size)
        self._spans = self._spans_forever()
        self._skipped: set[int] = set()

    @property
    def num_skipped(self) -> int:
        """How many records of the dump were skipped so far because a cell of theirs is not finite."""
        return len(self._skipped)

    def __len__(self) -> int:
        return self.num_steps

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with open_dump(self.filename) as dump:
            for _ in range(self.num_steps):
                while not self._batcher.ready:
                    start, stop = next(self._spans)
                    for record in self._read(dump, start, stop):
                        self._batcher.add(record)
                yield stack(self._batcher.ready.popleft(), self.device)

    def _spans_forever(self) -> Iterator[tuple[int, int]]:
        """(start, stop) of each read: all blocks of the dump, again and again."""
        with open_dump(self.filename) as dump:
            num_datasets, size = dump.num_datasets, dump.block_size or RECORDS_PER_READ
        starts = np.arange(0, num_datasets, size)
        for epoch in count():
            order = starts if self.seed is None else stream(self.seed, TRAIN, epoch).permutation(starts)
            for start in order.tolist():
                yield start, min(start + size, num_datasets)

    def _read(self, dump: Dump, start: int, stop: int) -> Iterator[Record]:
        x, y = dump.read(start, stop)
        rows, features = dump.num_datapoints[start:stop], dump.num_features[start:stop]
        finite = finite_records(x, y, features, rows, dump.allow_missing)
        self._skipped.update((start + np.flatnonzero(~finite)).tolist())
        if self.num_skipped == dump.num_datasets:
            raise DumpError(f"{self.filename}: every record holds cells that are not finite")
        for offset in np.flatnonzero(finite).tolist():
            index = start + offset
            labels = y[offset, : rows[offset]]
            if not np.isin(labels, np.arange(self.max_num_classes)).all():
                raise DumpError(
                    f"{self.filename}: y: record {index} has labels that are not 0 to "
                    f"{self.max_num_classes - 1} (max_num_classes is {self.max_num_classes})"
                )
            table = x[offset, : rows[offset], : features[offset]]
            yield Record(table, labels, int(dump.single_eval_pos[index]), index)


class PriorDataLoader:
    """Batches sampled live from a prior: those of a dump of the same config and seed, without the file.

    Args:
        config: the prior.
        num_steps: batches of one iteration; iterating again goes on with the next datasets.
        batch_size: datasets of a batch.
        device: where the batches go; `get_default_device()` by default.
        seed: of the datasets.

    Attributes:
        max_num_classes: most classes of any dataset.

    Raises:
        ValueError: a number of steps or a batch size below 1.
    """

    def __init__(
        self,
        config: PriorConfig,
        num_steps: int,
        batch_size: int,
        device: str | torch.device | None = None,
        seed: int = 0,
    ):
        _check_sizes(num_steps, batch_size)
        self.config = config
        self.num_steps = num_steps
        self.batch_size = batch_size
        self.device = device or get_default_device()
        self.seed = seed
        self.max_num_classes = config.num_classes[1]
        self._batcher = Batcher(batch_size)
        self._blocks = count()

    def __len__(self) -> int:
        return self.num_steps

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for _ in range(self.num_steps):
            while not self._batcher.ready:
                for record in self._sample(next(self._blocks)):
                    self._batcher.add(record)
            yield stack(self._batcher.ready.popleft(), self.device)

    def _sample(self, block: int) -> Iterable[Record]:
        first = block * self.config.block_size
        for index, dataset in enumerate(sample_block(self.config, self.seed, block), start=first):
            yield Record(dataset.x, dataset.y.astype(np.float32), dataset.single_eval_pos, index)


def _check_sizes(num_steps: int, batch_size: int) -> None:
    for name, size in (("num_steps", num_steps), ("batch_size", batch_size)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
