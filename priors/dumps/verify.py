"""Whether a dump is what its own config and seed give: some records are made again and compared to the bit.

D datasets in a file, R rows and F features of one dataset.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np

from priors.config import PriorConfig
from priors.dumps.hash import content_hash
from priors.dumps.origin import origin_of
from priors.dumps.provenance import generator_name, recorded_hash, short
from priors.dumps.read import Dump, open_dump
from priors.dumps.schema import COUNT_KEYS, TWIN_KEYS, DumpError
from priors.dumps.validate import Report, numbered, without_path
from priors.sampling.blocks import sample_block
from priors.sampling.dataset import Dataset


def verify(path: str | Path, num_records: int, trust: bool = False) -> Report:
    """Make some records anew from the file's own config and seed, and compare them to the bit.

    The contents are checked against the recorded hash too, so that damage to any other record is seen.

    Args:
        num_records: how many, spread evenly over the file; the first and the last are among them.
        trust: whether to import and run families of other packages that the config names: code of the
            file's choice.

    Returns:
        The number of records compared, and what differs.

    Raises:
        UnverifiableError: the file says too little of its origin.
        ValueError: fewer than one record.
    """
    if num_records < 1:
        raise ValueError(f"num_records must be at least 1, got {num_records}")
    try:
        with open_dump(path) as dump:
            recorded = recorded_hash(dump)
            content = content_hash(path)
            config, seed, first = origin_of(dump, trust)
            findings = _unlike_config(dump, config)
            if recorded is not None and recorded != content:
                findings.append("content_hash: the contents are not those that were written")
            made_by = short(dump.attributes["generator"])
            notes = []
            if made_by != generator_name():
                notes.append(
                    f"made by {made_by}, and this is {generator_name()}: only the same version, on the same "
                    f"kind of machine, promises the same bits"
                )
            if findings:
                return Report(0, findings, notes)
            spread = np.linspace(0, len(dump) - 1, min(num_records, len(dump)))
            records = np.unique(spread.round().astype(np.int64))
            differing = _differing(dump, config, seed, first, records)
    except DumpError as error:
        return Report(0, [without_path(error, path)], [])
    findings = [
        f"{what}: not what its config and seed give: {numbered(wrong)}" for what, wrong in differing.items()
    ]
    return Report(len(records), findings, notes)


def _differing(
    dump: Dump, config: PriorConfig, seed: int, first: int, records: np.ndarray
) -> dict[str, list[int]]:
    """Which of `records` (n,) differ from those of (config, seed), by what differs."""
    differing: dict[str, list[int]] = defaultdict(list)
    blocks = (first + records) // config.block_size
    for block in np.unique(blocks):
        own = records[blocks == block]
        begin = int(block) * config.block_size
        try:
            datasets = sample_block(config, seed, int(block), int(first + own[-1]) - begin + 1)
        except Exception as error:  # whatever this config makes the prior raise
            differing[f"nothing to compare with ({str(error).splitlines()[0]:.80})"] += own.tolist()
            continue
        x, y = dump.read_records(own)
        for i, record in enumerate(own):
            expected = datasets[first + record - begin]
            twin = dump.read_twins(int(record), int(record) + 1) if dump.has_twins else None
            for what in _differences(dump, int(record), x[i], y[i], expected, twin):
                differing[what].append(int(record))
    return differing


def _differences(
    dump: Dump,
    record: int,
    x: np.ndarray,
    y: np.ndarray,
    expected: Dataset,
    twin: tuple[np.ndarray, np.ndarray] | None,
) -> list[str]:
    rows, features = expected.x.shape
    sizes = tuple(int(getattr(dump, name)[record]) for name in COUNT_KEYS)
    found = []
    tables = [("X", x, expected.x), ("y", y, expected.y)]
    if twin is not None and expected.twin is not None:
        tables += zip(TWIN_KEYS, (values[0] for values in twin), expected.twin, strict=True)
    for name, stored, values in tables:
        full = np.zeros_like(stored)  # (R, F) or (R,)
        full[tuple(map(slice, values.shape))] = values
        if not np.array_equal(stored.view(np.uint32), full.view(np.uint32)):
            found.append(name)
    if sizes != (features, rows, expected.single_eval_pos):
        found.append(", ".join(COUNT_KEYS))
    for name in dump.properties:
        stored = dump.read_property(name, record, record + 1)[0]
        if name in expected.properties and stored != expected.properties[name]:
            found.append(f"properties/{name}")
    return found


def _unlike_config(dump: Dump, config: PriorConfig) -> list[str]:
    """Where the file is not as `generate` lays out datasets of `config`."""
    pairs = [
        ("twins", dump.has_twins, config.twins),
        ("max_rows", dump.max_rows, config.num_datapoints),
        ("max_features", dump.max_features, config.num_features[1]),
        ("max_num_classes", dump.max_num_classes, config.most_classes),
        ("original_batch_size", dump.block_size or config.block_size, config.block_size),
    ]
    return [f"{name}: is {held}, its config gives {given}" for name, held, given in pairs if held != given]
