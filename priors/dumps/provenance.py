"""Where the records of a dump come from: the attributes for it, and the entries for files made of others."""

import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from priors.dumps.hash import content_hash
from priors.dumps.read import Dump
from priors.dumps.schema import NAMES, DumpError
from priors.streams import PRIOR_VERSION

ORIGIN = ("generator", "config", "seed", "first_dataset", "prior_version")
"""Attributes that identify the records: record i is dataset first_dataset + i of (config, seed), as drawn by
that version of the prior."""

STEPS = ("operation", "operator", "sources")
"""Attributes for what was done since the records were sampled: by which program, and to which files."""

MOST_FIRST = 2**62
"""Numbers of datasets stay below it, so that sums of them fit into 64 bits."""

MOST_CHARACTERS = 200
"""Characters that one line quotes from a file."""


def generator_name() -> str:
    """The name and the version of this package, as `write_dump` records them.

    Examples:
        >>> generator_name().split(" ")[0]
        'nanotabpfn-priors'
    """
    try:
        return f"nanotabpfn-priors {version('nanotabpfn-priors')}"
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "nanotabpfn-priors unknown"


def short(text: object) -> str:
    """The beginning of a text, in one line: a text from a file may have any length.

    Examples:
        >>> short("two\\nlines")
        'two lines'
        >>> len(short("x" * 10_000))
        204
    """
    text = " ".join(str(text).split())
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} ..."


def first_dataset(dump: Dump) -> int:
    """The number that record 0 has among the datasets of the config and seed that the file names.

    Raises:
        DumpError: the attribute is no such number.

    Examples:
        >>> import tempfile
        >>> from priors import PRESETS, generate_dump, open_dump, split_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = generate_dump(f"{folder}/my.h5", PRESETS["default"], num_datasets=64, seed=0)
        ...     _, second = split_dump(f"{folder}/my.h5", folder, [32, 32])
        ...     with open_dump(second) as dump:
        ...         first_dataset(dump)
        32
    """
    first = dump.attributes.get("first_dataset", 0)
    if not isinstance(first, int) or not 0 <= first < MOST_FIRST:
        raise DumpError(f"{dump.path}: first_dataset must be an int from 0 to 2**62, got {short(first)}")
    return first


def prior_version(dump: Dump) -> int:
    """The version of the prior that drew the datasets; files of version 1 do not say it.

    Raises:
        DumpError: the attribute is no version.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.dumps.read import open_dump
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = generate_dump(f"{folder}/my.h5", PriorConfig(num_datapoints=20), num_datasets=1, seed=0)
        ...     with open_dump(f"{folder}/my.h5") as dump:
        ...         prior_version(dump) == PRIOR_VERSION
        True
    """
    found = dump.attributes.get("prior_version", 1)
    if not isinstance(found, int) or found < 1:
        raise DumpError(f"{dump.path}: prior_version must be an int from 1, got {short(found)}")
    return found


def other_version(dump: Dump) -> str | None:
    """That another version of the prior than this package's drew the datasets, in words; None if not.

    Raises:
        DumpError: the file does not say its version rightly.
    """
    found = prior_version(dump)
    if found == PRIOR_VERSION:
        return None
    made_by = short(dump.attributes.get("generator"))
    return (
        f"its datasets were drawn by version {found} of the prior ({made_by}); this package has version "
        f"{PRIOR_VERSION} ({generator_name()}), which draws others from the same config and seed: to verify "
        f"it, install a version of the package that has version {found} of the prior"
    )


def is_own(dump: Dump) -> bool:
    """Whether this package, in any version, is the generator that the file names."""
    return str(dump.attributes.get("generator")).split(" ")[0] == generator_name().split(" ")[0]


def names_in(first: Dump, *others: Dump) -> dict[str, Any]:
    """The attributes with the names of the columns, if they are the same in all dumps."""
    names = [
        {name: dump.attributes[name] for name in NAMES if name in dump.attributes}
        for dump in (first, *others)
    ]
    return names[0] if all(other == names[0] for other in names) else {}


def recorded_hash(dump: Dump) -> str | None:
    """The content hash that the file carries; None if it carries none."""
    recorded = dump.attributes.get("content_hash")
    return None if recorded is None else str(recorded)


def checked_hash(dump: Dump) -> str:
    """The content hash of `dump`, computed anew.

    Raises:
        DumpError: the file is damaged: unreadable, or its contents do not have the hash that it carries.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.dumps.read import open_dump
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/my.h5"
        ...     _ = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     with open_dump(path) as dump:
        ...         checked_hash(dump) == recorded_hash(dump)
        True
    """
    content = content_hash(dump.path)
    if recorded_hash(dump) not in (None, content):
        raise DumpError(f"{dump.path}: its contents do not have the content hash that it carries; damaged")
    return content


def source_entry(dump: Dump, content: str) -> dict[str, Any]:
    """The entry of `dump` in `sources`: its name, its content hash `content`, and what its attributes say.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.dumps.read import open_dump
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/my.h5"
        ...     _ = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     with open_dump(path) as dump:
        ...         entry = source_entry(dump, recorded_hash(dump))
        >>> entry["file"], entry["num_datasets"], entry["seed"]
        ('my.h5', 3, '0')
    """
    known = {name: dump.attributes[name] for name in (*ORIGIN, *STEPS) if name in dump.attributes}
    return {"file": dump.path.name, "content_hash": content, "num_datasets": len(dump)} | known


def derived(operation: str, sources: list[dict[str, Any]]) -> dict[str, str]:
    """Attributes of a file that was made of others.

    Args:
        operation: what was done.
        sources: for each source at least the name of its file and a hash.

    Examples:
        >>> attributes = derived("merge", [{"file": "a.h5", "content_hash": "12ab"}])
        >>> attributes["operation"], attributes["sources"]
        ('merge', '[{"file": "a.h5", "content_hash": "12ab"}]')
    """
    text = json.dumps(sources, default=str)
    return {"operation": operation, "operator": generator_name(), "sources": text}
