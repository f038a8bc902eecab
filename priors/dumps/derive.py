"""What dumps made from dumps share: their blocks, their records in any order, where they come from.

D datasets in a dump; arrays are padded to max_rows and max_features.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from priors.dumps.dump import (
    COUNT_KEYS,
    NAMES,
    READ_BYTES,
    READ_RECORDS,
    TWIN_KEYS,
    Dump,
    DumpError,
    Outline,
    content_hash,
    generator_name,
)

OWN_ATTRIBUTES = ("format_version", "allow_missing", "content_hash", "created")
"""What a file says of itself; a file made of it says these anew."""

ORIGIN = ("generator", "config", "seed", "first_dataset")
"""Which datasets of which prior the records are: record i is dataset first_dataset + i of (config, seed)."""

STEPS = ("operation", "operator", "sources")
"""What was done to which files, by which program, since the records were sampled."""

MOST_CHARACTERS = 200
"""Of what one line quotes from a file."""


def short(text: object) -> str:
    """The beginning of a text that a file may have made as long as it likes, in one line."""
    text = " ".join(str(text).split())
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} ..."


def shared_block(dump: Dump) -> int:
    """How many consecutive datasets share a split and a shape: as the file says or, if it doesn't, shows.

    The published file doesn't say, but its chunks are the blocks that it was generated in.
    """
    if dump.block_size is not None:
        return dump.block_size
    chunk = (dump.arrays["X"].chunks or (1,))[0]
    first = np.arange(len(dump)) // chunk * chunk  # the first record of each record's chunk
    counts = np.stack([getattr(dump, name) for name in COUNT_KEYS])  # (3, D)
    return chunk if np.array_equal(counts, counts[:, first]) else 1


def first_dataset(dump: Dump) -> int:
    """The number that record 0 has among the datasets of the config and seed that the file names.

    Raises:
        DumpError: the file says something that is no such number.
    """
    first = dump.attributes.get("first_dataset", 0)
    if not isinstance(first, int) or first < 0:
        raise DumpError(f"{dump.path}: first_dataset must be an int from 0, got {short(first)}")
    return first


def outline_of(dump: Dump, **changes: Any) -> Outline:
    """What holds for all records of `dump`, with its provenance as it is, and `changes`.

    Raises:
        DumpError: a classification dump that does not say how many classes there may be.
    """
    if dump.problem_type == "classification" and dump.max_num_classes is None:
        raise DumpError(f"{dump.path}: has no max_num_classes, without which it cannot be rewritten")
    known = {
        "num_datasets": len(dump),
        "max_rows": dump.max_rows,
        "max_features": dump.max_features,
        "max_num_classes": dump.max_num_classes,
        "block_size": shared_block(dump),
        "allow_missing": dump.allow_missing,
        "attributes": {
            name: value
            for name, value in dump.attributes.items()
            if name in (*ORIGIN, *STEPS, *NAMES) and isinstance(value, str | int)
        },
    }
    return Outline(**(known | changes))


def names_in(first: Dump, *others: Dump) -> dict[str, Any]:
    """What a dump calls its columns, as attributes; of several, if they all call them the same."""
    told = [
        {name: dump.attributes[name] for name in NAMES if name in dump.attributes}
        for dump in (first, *others)
    ]
    return told[0] if all(names == told[0] for names in told) else {}


def recorded_hash(dump: Dump) -> str | None:
    """The content hash that the file carries; None if it carries none."""
    recorded = dump.attributes.get("content_hash")
    return None if recorded is None else str(recorded)


def checked_hash(dump: Dump) -> str:
    """The content hash of `dump`, computed anew.

    Raises:
        DumpError: it is damaged, or not what the file says that it is.
    """
    content = content_hash(dump.path)
    if recorded_hash(dump) not in (None, content):
        raise DumpError(f"{dump.path}: its contents do not have the content hash that it carries; damaged")
    return content


def source_entry(dump: Dump, content: str) -> dict[str, Any]:
    """How `sources` names `dump`, whose content hash is `content`: with all that is known of its origin."""
    known = {name: dump.attributes[name] for name in (*ORIGIN, *STEPS) if name in dump.attributes}
    return {"file": dump.path.name, "content_hash": content, "num_datasets": len(dump)} | known


def derived(operation: str, sources: list[dict[str, Any]]) -> dict[str, str]:
    """Attributes of a file that say what was done to make it, by which program, and from what.

    Args:
        operation: what was done.
        sources: of each source at least its file's name and a hash.
    """
    text = json.dumps(sources, default=str)
    return {"operation": operation, "operator": generator_name(), "sources": text}


def step_size(max_rows: int, max_features: int, block_size: int) -> int:
    """How many records to move at a time: whole blocks if they fit, in the memory of a few MB."""
    fitting = max(1, min(READ_BYTES // (4 * max_rows * max_features), READ_RECORDS))
    return max(fitting // block_size * block_size, 1) if block_size <= fitting else fitting


def pieces_of(dump: Dump, step: int, order: np.ndarray | None = None) -> Iterator[dict[str, np.ndarray]]:
    """The records of `dump` as `write_records` takes them, `step` at a time.

    Args:
        order: (n,) indices of records; all in their order by default. X and y are read as they are needed;
            properties in another order are held whole, a few bytes a record.

    Raises:
        DumpError: the file is damaged; the message names the records.
    """
    names = [f"properties/{name}" for name in dump.properties]
    whole = {} if order is None else {name: dump.read_property(name.split("/")[1]) for name in names}
    for start in range(0, len(dump) if order is None else len(order), step):
        if order is None:
            stop = min(start + step, len(dump))
            chosen: Any = slice(start, stop)
            x, y = dump.read(start, stop)
            twins = dump.read_twins(start, stop) if dump.has_twins else ()
            columns = {name: dump.read_property(name.split("/")[1], start, stop) for name in names}
        else:
            chosen = order[start : start + step]
            x, y = dump.read_records(chosen)
            twins = dump.read_records(chosen, twins=True) if dump.has_twins else ()
            columns = {name: column[chosen] for name, column in whole.items()}
        counts = {name: getattr(dump, name)[chosen] for name in COUNT_KEYS}
        yield {"X": x, "y": y} | dict(zip(TWIN_KEYS, twins, strict=False)) | counts | columns
