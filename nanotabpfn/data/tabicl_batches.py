"""A dump as the files that TabICL trains on: batches in `batch_000000.pt` and so on, read by its loader.

Each file is a dict, written by `torch.save` and read with `weights_only`; B datasets, R rows and F features
of one of them:

    X             (sum of R x F,) float32: row by row, dataset by dataset, without padding
    y             (B, R) float32
    d             (B,) int64, features of each dataset
    seq_lens      (B,) int64, rows of each dataset
    train_sizes   (B,) int64, training rows of each dataset
    batch_size    B, an integer

If datasets of one file differ in rows, X and y are nested tensors, of (R, F) and (R,). `metadata.json` says
what is in the files; the loader shows it.

References:
    TabICL, prior/genload.py: SavePriorDataset and LoadPriorDataset
"""

import json
import os
import shutil
import warnings
from collections.abc import Sequence
from io import BytesIO
from math import gcd
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from nanotabpfn.data.readers import DumpReader, Record
from priors.arguments import as_path, check_integer
from priors.dumps.outline import shared_block
from priors.dumps.provenance import checked_hash, short, source_entry
from priors.dumps.read import Dump, open_dump
from priors.dumps.schema import DumpError

TABICL_BATCH_SIZE = 512
"""Datasets in a file: those of one step of TabICL's published training."""

METADATA_FILE = "metadata.json"


class TabICLBatches(NamedTuple):
    """What `write_tabicl_batches` wrote.

    Examples:
        >>> TabICLBatches(Path("batches"), 2, 512, 32, num_left_out=0, num_damaged=0).num_batches
        2
    """

    folder: Path
    num_batches: int
    batch_size: int
    """Datasets in each file; TabICL's `--batch_size` must be the same."""
    micro_batch_size: int
    """TabICL's `--micro_batch_size` must divide it: that many datasets in a row share rows and split."""
    num_left_out: int
    """Datasets at the end of the dump, too few for another file."""
    num_damaged: int
    """Datasets with cells that are not finite, in whose place there is another one of their block."""


def write_tabicl_batches(
    dump: str | Path, folder: str | Path, batch_size: int = TABICL_BATCH_SIZE
) -> TabICLBatches:
    """Write the datasets of a dump, in their order, as files for TabICL's loader.

    Args:
        dump: the file.
        folder: for the batches; it must not exist, or be empty.
        batch_size: datasets in a file. TabICL must train with the same: its loader cannot join files whose
            datasets have other numbers of rows or features.

    Raises:
        DumpError: the dump cannot be read, has labels that are no classes, or missing cells, for which
            TabICL's training has no treatment; or the folder cannot be written.
        ValueError: `batch_size` is below 1, or there are fewer datasets.

    Examples:
        >>> import tempfile
        >>> from priors import PRESETS, generate_dump
        >>> with tempfile.TemporaryDirectory() as place:
        ...     _ = generate_dump(f"{place}/my.h5", PRESETS["default"], num_datasets=64, seed=0)
        ...     written = write_tabicl_batches(f"{place}/my.h5", f"{place}/batches", batch_size=32)
        ...     batch = torch.load(written.folder / "batch_000001.pt", weights_only=True)
        >>> written.num_batches, batch["y"].shape, batch["X"].shape, batch["d"].unique()
        (2, torch.Size([32, 150]), torch.Size([24000]), tensor([5]))
    """
    folder = as_path("folder", folder)
    check_integer("batch_size", batch_size)
    with open_dump(dump) as opened:
        if not 1 <= batch_size <= len(opened):
            raise ValueError(
                f"batch_size must be in 1..{len(opened)}, the datasets of {dump}, got {batch_size}"
            )
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DumpError(f"{folder}: must be a folder that does not exist, or is empty")
        if not folder.parent.is_dir():
            raise DumpError(f"{folder}: cannot be written: there is no folder {folder.parent}")
        num_batches, num_left_out = divmod(len(opened), batch_size)
        micro_batch_size = gcd(shared_block(opened), batch_size)
        metadata = _metadata(opened, batch_size, micro_batch_size, num_batches)
    reader = DumpReader(dump, len(opened))
    partial, num_damaged = folder.parent / f".{folder.name}.{os.getpid()}.partial", 0
    try:
        partial.mkdir()
        for number in range(num_batches):
            indices = list(range(number * batch_size, (number + 1) * batch_size))
            found = reader[indices, slice(None)]
            if isinstance(found, Exception):
                raise found
            records, damaged = found
            num_damaged += len(damaged)
            content = BytesIO()  # written to a full disk by PyTorch itself, it would be no OSError
            torch.save(_batch(dump, records), content)
            (partial / f"batch_{number:06}.pt").write_bytes(content.getbuffer())
        text = json.dumps(metadata, indent=2, default=str)
        (partial / METADATA_FILE).write_text(text + "\n", encoding="utf-8")
        os.replace(partial, folder)
    except OSError as error:
        raise DumpError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        reader.close()
        shutil.rmtree(partial, ignore_errors=True)
    return TabICLBatches(folder, num_batches, batch_size, micro_batch_size, num_left_out, num_damaged)


def _batch(dump: str | Path, records: Sequence[Record]) -> dict[str, Any]:
    """The content of one file."""
    for record in records:
        if np.isnan(record.x).any():
            raise DumpError(
                f"{dump}: record {record.index} has missing cells, for which TabICL's training has no "
                "treatment"
            )
    seq_lens = torch.tensor([len(record.y) for record in records])
    if len(seq_lens.unique()) == 1:
        x = torch.from_numpy(np.concatenate([record.x.ravel() for record in records]))
        y = torch.from_numpy(np.stack([record.y for record in records]))
    else:
        x = _nested([record.x for record in records])
        y = _nested([record.y for record in records])
    return {
        "X": x,
        "y": y,
        "d": torch.tensor([record.x.shape[1] for record in records]),
        "seq_lens": seq_lens,
        "train_sizes": torch.tensor([record.single_eval_pos for record in records]),
        "batch_size": len(records),
    }


def _nested(arrays: Sequence[np.ndarray]) -> torch.Tensor:
    with warnings.catch_warnings():  # PyTorch warns that nested tensors may still change
        warnings.simplefilter("ignore")
        return torch.nested.nested_tensor([torch.from_numpy(np.ascontiguousarray(one)) for one in arrays])


def _metadata(dump: Dump, batch_size: int, micro_batch_size: int, num_batches: int) -> dict[str, Any]:
    """The settings that TabICL's loader shows, and where the datasets are from."""
    rows, features, splits = dump.num_datapoints, dump.num_features, dump.single_eval_pos
    return {
        "regression": dump.problem_type == "regression",
        "prior_type": short(dump.attributes.get("generator", "unknown")),
        "batch_size": batch_size,
        "batch_size_per_gp": micro_batch_size,
        "min_features": int(features.min()),
        "max_features": int(features.max()),
        "max_classes": dump.max_num_classes,
        "min_seq_len": int(rows.min()),
        "max_seq_len": int(rows.max()),
        "seq_len_per_gp": bool(rows.min() < rows.max()),
        "min_train_size": int(splits.min()),
        "max_train_size": int(splits.max()),
        "num_batches": num_batches,
        "source": source_entry(dump, checked_hash(dump)),
    }
