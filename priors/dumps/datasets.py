"""The datasets of an open dump as values: one by its number, a random sample, all in order.

D datasets in a file, R rows and F features of one dataset; arrays are padded to max_rows and max_features.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from priors.arguments import check_integer
from priors.dataset import Dataset, Twin
from priors.dumps.schema import DumpError
from priors.notebook import block, facts, folded
from priors.streams import SAMPLE, stream

if TYPE_CHECKING:
    from priors.dumps.read import Dump


def numbers_at(num_datasets: int, index: Any) -> Any:
    """The number of the dataset at an index, negative ones from the end; a range of them for a slice.

    Raises:
        IndexError: there is no such dataset.
        TypeError: something else than an integer or a slice.

    Examples:
        >>> numbers_at(64, -1), numbers_at(64, slice(2))
        (63, range(0, 2))
        >>> numbers_at(64, 64)
        Traceback (most recent call last):
        IndexError: index must be in -64..63, the datasets of the dump, got 64
    """
    try:
        return range(num_datasets)[index]
    except TypeError:
        raise TypeError(f"index must be an integer, or a slice of integers, got {index!r:.100}") from None
    except IndexError:
        raise IndexError(
            f"index must be in {-num_datasets}..{num_datasets - 1}, the datasets of the dump, got {index}"
        ) from None


def datasets_at(dump: "Dump", records: Sequence[int] | np.ndarray) -> list[Dataset]:
    """The datasets of those numbers, each with its own rows, features, properties and twin.

    Raises:
        IndexError, DumpError: as `Dump.read_records`.
    """
    records = np.asarray(records, np.int64)
    if not len(records):
        return []
    tables = dump.read_records(records)
    twins = dump.read_records(records, twins=True) if dump.has_twins else None
    first, stop = int(records.min()), int(records.max()) + 1
    columns = {name: dump.read_property(name, first, stop)[records - first] for name in dump.properties}
    found = []
    for i, record in enumerate(records.tolist()):
        rows, features = int(dump.num_datapoints[record]), int(dump.num_features[record])
        x, y = (values[i] for values in tables)
        twin = None
        if twins is not None:
            twin = Twin(twins[0][i, :rows, :features], _targets(dump, record, twins[1][i, :rows]))
        found.append(
            Dataset(
                x[:rows, :features],
                _targets(dump, record, y[:rows]),
                int(dump.single_eval_pos[record]),
                {name: _plain(column[i]) for name, column in columns.items()},
                twin,
            )
        )
    return found


def sample_datasets(dump: "Dump", num_datasets: int, seed: int) -> list[Dataset]:
    """That many different datasets, drawn at random, in their order in the file.

    Raises:
        ValueError: fewer than none, or more than there are.
        DumpError: the file is damaged there.
    """
    check_integer("num_datasets", num_datasets)
    if not 0 <= num_datasets <= len(dump):
        raise ValueError(
            f"num_datasets must be in 0..{len(dump)}, the datasets of the dump, got {num_datasets}"
        )
    chosen = stream(seed, SAMPLE).choice(len(dump), num_datasets, replace=False)
    return datasets_at(dump, np.sort(chosen))


def iterate(dump: "Dump") -> Iterator[Dataset]:
    """All datasets in order, in bounded memory.

    Raises:
        DumpError: the file is damaged; the message names the records.
    """
    for start, stop in dump.spans():
        yield from datasets_at(dump, range(start, stop))


def _targets(dump: "Dump", record: int, y: np.ndarray) -> np.ndarray:
    """Classes (R,) as int64; real targets as they are."""
    if dump.problem_type == "regression":
        return y
    if not np.array_equal(y, np.round(y)) or not np.isfinite(y).all():
        raise DumpError(f"{dump.path}: y: record {record}: classes must be whole numbers")
    return y.astype(np.int64)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def html_of(dump: "Dump") -> str:
    """What a notebook shows of a dump: its sizes and where it comes from, without reading its tables."""
    attributes = dump.attributes
    low, high = dump.single_eval_pos.min(), dump.single_eval_pos.max()
    main = {
        "rows, features": f"at most {dump.max_rows:,} x {dump.max_features:,}",
        "training rows": f"{low:,}" if low == high else f"{low:,} to {high:,}",
        "problem": dump.problem_type,
        "classes": dump.max_num_classes,
        "block": dump.block_size,
        "missing cells": "allowed" if dump.allow_missing else None,
        "features": ", ".join(dump.feature_names) if dump.feature_names else None,
        "target": dump.target_name,
    }
    origin: dict[str, Any] = {
        name: str(attributes[name])[:100]
        for name in ("generator", "prior_version", "seed", "created")
        if name in attributes
    }
    content = attributes.get("content_hash")
    origin["content hash"] = None if content is None else str(content)[:16]
    properties = folded(f"{len(dump.properties)} properties", escape(", ".join(dump.properties)))
    return block(f"Dump: {len(dump):,} datasets in {dump.path}", facts(main | origin), properties)
