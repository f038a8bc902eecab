"""Whether a dump is what its own config and seed give: some records are made again and compared to the bit.

D datasets in a file, R rows and F features of one dataset.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np

from priors.arguments import check_integer
from priors.config import PriorConfig
from priors.dataset import Dataset
from priors.dumps.hash import content_hash
from priors.dumps.provenance import generator_name, recorded_hash, short
from priors.dumps.read import Dump, open_dump
from priors.dumps.recorded_prior import origin_of
from priors.dumps.schema import COUNT_KEYS, TWIN_KEYS, DumpError, reason_of
from priors.dumps.validate import Report, numbered, without_path
from priors.sampling.blocks import sample_block


def verify(path: str | Path, num_records: int, trust: bool = False) -> Report:
    """Make some records again from the file's own config and seed, and compare them to the bit.

    The contents are checked against the recorded hash too, so damage to any other record is found. Only the
    compared records are sampled, whatever block the file says that they belong to.

    Args:
        path: the dump.
        num_records: how many, spread evenly over the file; the first and the last are among them.
        trust: whether to import and run families of other packages that the config names: code of the
            file's choice.

    Returns:
        The number of records compared, and what differs.

    Raises:
        UnverifiableError: the file says too little of its origin, or its config cannot be run.
        ValueError: fewer than one record.

    Examples:
        >>> import tempfile
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "my.h5"
        ...     _ = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     verify(path, num_records=2)
        Report(num_datasets=2, findings=[], notes=[])
    """
    check_integer("num_records", num_records)
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
            notes = _version_notes(dump)
            if findings:
                return Report(0, findings, notes)
            spread = np.linspace(0, len(dump) - 1, min(num_records, len(dump)))
            records = np.unique(spread.round().astype(np.int64)).tolist()
            differing = _differing(dump, config, seed, first, records)
    except DumpError as error:
        return Report(0, [without_path(error, path)], [])
    findings = [
        f"{what}: not what its config and seed give: {numbered(wrong)}" for what, wrong in differing.items()
    ]
    return Report(len(records), findings, notes)


def _version_notes(dump: Dump) -> list[str]:
    made_by = short(dump.attributes["generator"])
    if made_by == generator_name():
        return []
    return [
        f"made by {made_by}, and this is {generator_name()}: only the same version, on the same kind of "
        f"machine, promises the same bits"
    ]


def _differing(
    dump: Dump, config: PriorConfig, seed: int, first: int, records: list[int]
) -> dict[str, list[int]]:
    """Which of `records` differ from those of (config, seed), by what differs."""
    differing: dict[str, list[int]] = defaultdict(list)
    for record in records:
        block, place = divmod(first + record, config.block_size)
        try:
            [expected] = sample_block(config, seed, block, num_datasets=1, first=place)
        except Exception as error:  # whatever this config makes the prior raise
            differing[f"nothing to compare with ({reason_of(error):.80})"].append(record)
            continue
        for what in _differences(dump, record, expected):
            differing[what].append(record)
    return differing


def _differences(dump: Dump, record: int, expected: Dataset) -> list[str]:
    """The keys of the file in which a record is not the expected dataset."""
    rows, features = expected.x.shape
    sizes = tuple(int(getattr(dump, name)[record]) for name in COUNT_KEYS)
    found = []
    (x,), (y,) = dump.read(record, record + 1)  # (R, F), (R,)
    tables = [("X", x, expected.x), ("y", y, expected.y)]
    if dump.has_twins and expected.twin is not None:
        twin = dump.read_twins(record, record + 1)
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
    """The sizes of the file that are not those of a dump that `generate` makes with `config`."""
    pairs = [
        ("twins", dump.has_twins, config.twins),
        ("max_rows", dump.max_rows, config.num_datapoints),
        ("max_features", dump.max_features, config.num_features[1]),
        ("max_num_classes", dump.max_num_classes, config.most_classes),
        ("original_batch_size", dump.block_size or config.block_size, config.block_size),
    ]
    return [f"{name}: is {held}, its config gives {given}" for name, held, given in pairs if held != given]
