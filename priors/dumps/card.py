"""The files that go with a dump to where it is published: a dataset card and a Croissant description.

The card is in Markdown, with the YAML header that the Hugging Face Hub reads. Croissant is JSON-LD.

References:
    MLCommons, Croissant format specification 1.1
    Hugging Face Hub documentation, Dataset cards
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from priors.arguments import check_line
from priors.dumps.files import file_hash, replaced_when_done
from priors.dumps.formats.convert import outline_at
from priors.dumps.formats.parquet import LONG_COLUMNS, feature_columns
from priors.dumps.licenses import LICENSES
from priors.dumps.outline import Outline
from priors.dumps.provenance import generator_name, short
from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError

CARD, CROISSANT = "README.md", "croissant.json"
"""The files that `write_card` writes."""

MEDIA_TYPES = {
    ".h5": "application/x-hdf5",
    ".hdf5": "application/x-hdf5",
    ".npz": "application/zip",
    ".parquet": "application/x-parquet",
}
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
SIZE_NAMES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "n>1B")
"""Categories of size on the Hub: those below each of SIZES, and the rest."""

DESCRIPTION = (
    "Synthetic tables, sampled from structural causal models, for the training of tabular foundation models."
)

# Terms of Croissant 1.1 that are short for others; the rest of its context is in `_context`.
TERMS = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty",
    "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5",
    "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate",
    "separator", "source", "subField", "transform",
)  # fmt: skip
COLUMN_MEANINGS = {
    "dataset": "Number of the dataset, from 0.",
    "row": "Number of the row in its dataset, from 0.",
    "is_train": "Whether it is a training row; the others are predicted.",
    "y": "The target: a class from 0, or a real value.",
}


class DumpFile(NamedTuple):
    """A file of a published dump.

    Examples:
        >>> DumpFile(Path("mine.h5"), Outline(64, 150, 5, 2, 32), num_bytes=100, sha256="12ab").path.name
        'mine.h5'
    """

    path: Path
    outline: Outline
    num_bytes: int
    sha256: str


def write_card(paths: Sequence[str | Path], title: str, license_name: str = "cc0-1.0") -> list[Path]:
    """Write `README.md` and `croissant.json` into the folder of the files.

    Args:
        paths: dumps in HDF5, npz or Parquet (`convert`), all in one folder. They hold the same datasets in
            several formats, or different ones; each has a row of the card.
        title: name of the collection.
        license_name: of LICENSES. Synthetic data have no other authors than you.

    Returns:
        The two files.

    Raises:
        DumpError: a file cannot be read or is an index of shards, or the files lie in different folders.
        ValueError: no files, an unknown ending or license, or an empty title.

    Examples:
        >>> import tempfile
        >>> from priors.config import PriorConfig
        >>> from priors.generation.generate import generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "tiny.h5"
        ...     _ = generate_dump(path, PriorConfig(num_datapoints=20), num_datasets=3, seed=0)
        ...     card, croissant = write_card([path], "Tiny tables")
        ...     card.read_text().splitlines()[:3], json.loads(croissant.read_text())["name"]
        (['---', 'pretty_name: "Tiny tables"', 'license: cc0-1.0'], 'Tiny tables')
    """
    if not paths or isinstance(paths, str):
        raise ValueError(f"paths must be a list of at least one file, got {paths!r}")
    if license_name not in LICENSES:
        raise ValueError(f"license_name must be one of {', '.join(LICENSES)}, got {license_name!r}")
    check_line("title", title)
    folder = Path(paths[0]).parent
    for path in map(Path, paths):
        if path.parent.resolve() != folder.resolve():
            raise DumpError(f"{path}: must lie in the folder of {paths[0]}, for which the card is")
    files = [_read(Path(path)) for path in paths]
    written = []
    for name, text in (
        (CARD, card(files, title, license_name)),
        (CROISSANT, json.dumps(croissant(files, title, license_name), indent=2) + "\n"),
    ):
        with replaced_when_done(folder / name) as partial:
            partial.write_text(text, encoding="utf-8")
        written.append(folder / name)
    return written


def _read(path: Path) -> DumpFile:
    outline = outline_at(path)
    if path.suffix in (".h5", ".hdf5"):
        with open_dump(path) as dump:
            if dump.is_index:
                raise DumpError(
                    f"{path}: is an index of shards, which hold its datasets; "
                    f"`priors convert {path.name} OUT.h5` makes one file of them, which can be published"
                )
    return DumpFile(path, outline, path.stat().st_size, file_hash(path))


def card(files: Sequence[DumpFile], title: str, license_name: str) -> str:
    """The dataset card: the Hub's header, what the files hold, how they were made, how to read them."""
    outline = files[0].outline
    classes = outline.max_num_classes
    task = "tabular-regression" if classes is None else "tabular-classification"
    rows = max(file.outline.num_datasets * file.outline.max_rows for file in files)
    parquet = [file.path.name for file in files if file.path.suffix == ".parquet"]
    header = [
        "---",
        f"pretty_name: {quoted(title)}",
        f"license: {license_name}",
        f"task_categories: [{task}]",
        "tags: [tabular, synthetic, prior, structural-causal-model, prior-data-fitted-network]",
        f'size_categories: ["{SIZE_NAMES[sum(rows >= size for size in SIZES)]}"]',
    ]
    if parquet:
        header += ["configs:"]
        for name in parquet:
            header += [f"- config_name: {quoted(Path(name).stem)}", f"  data_files: {quoted(name)}"]
    lines = [
        *header,
        "---",
        "",
        f"# {title}",
        "",
        f"{DESCRIPTION} No real data is in them.",
        "",
        "| file | datasets | rows, at most | features, at most | classes, at most | MB |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for file in files:
        own = file.outline
        most_classes = "real targets" if own.max_num_classes is None else own.max_num_classes
        name = as_code(file.path.name).replace("|", "\\|")
        lines.append(
            f"| {name} | {own.num_datasets:,} | {own.max_rows:,} | {own.max_features} "
            f"| {most_classes} | {file.num_bytes / 1e6:.1f} |"
        )
    lines += ["", "## How they were made", "", *_origins(files), "", "## How to read them", ""]
    return "\n".join([*lines, *_readers(files), ""])


def quoted(text: str) -> str:
    """A text for YAML, in which a name such as `on` or `a: b` means something else without quotes.

    Examples:
        >>> quoted("a: b")
        '"a: b"'
    """
    return json.dumps(text, ensure_ascii=False)


def as_code(text: Any) -> str:
    """A text of a file in one line of Markdown, as code: links and HTML in it are shown and not followed.

    Examples:
        >>> as_code("[a](b)\\n`c`")
        "`[a](b) 'c'`"
    """
    line = "".join(char if char.isprintable() else "?" for char in short(text)).replace("`", "'")
    return f"`{line}`"


def _origins(files: Sequence[DumpFile]) -> list[str]:
    """Seed and config of each file; files of one origin are named together."""
    origins: dict[tuple[Any, ...], list[str]] = {}
    for file in files:
        known = file.outline.attributes
        said = ["generator", "prior_version", "seed", "config"]
        if "config" not in known:
            said += ["operation", "sources"]
        origin = tuple((name, known.get(name)) for name in said)
        origins.setdefault(origin, []).append(as_code(file.path.name))
    lines = []
    for origin, names in origins.items():
        known = dict(origin)
        lines += [f"### {', '.join(names)}", ""] if len(origins) > 1 else []
        if known["config"] is not None:
            lines += [
                f"By {as_code(known['generator'])} with version {as_code(known['prior_version'] or 1)} of "
                f"the prior, from the seed {as_code(known['seed'])} and this config. `priors verify` samples "
                "the same datasets again.",
                *_block_of(known["config"]),
            ]
        elif sampled := _sampled_sources(known["sources"]):
            lines += [f"Made of files that were sampled, by {as_code(known['operation'])}:", ""]
            lines += _of_sources(sampled)
        else:
            lines += ["The file says neither its prior nor its seed.", ""]
    return lines[:-1]


def _sampled_sources(sources: Any) -> list[dict[str, Any]]:
    """The entries of the attribute `sources` with a config; of files made of others, the entries of these."""
    try:
        listed = json.loads(sources)
    except (TypeError, ValueError, RecursionError):
        return []
    found = []
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict):
            found += [entry] if "config" in entry else _sampled_sources(entry.get("sources"))
    return found


def _of_sources(entries: Sequence[dict[str, Any]]) -> list[str]:
    """Files and seeds, and the config that they have in common."""
    seeds: dict[tuple[str, str, str], list[str]] = {}
    for entry in entries:
        version, generator = entry.get("prior_version", 1), entry.get("generator")
        origin = as_code(generator), as_code(version), json.dumps(entry["config"])
        file, seed = as_code(entry.get("file")), as_code(entry.get("seed"))
        seeds.setdefault(origin, []).append(f"{file} from the seed {seed}")
    lines = []
    for (generator, version, config), files in seeds.items():
        made = f"by {generator} with version {version} of the prior and this config."
        lines += [f"- {', '.join(files)}, {made}", *_block_of(json.loads(config))]
    return lines


def _block_of(config: Any) -> list[str]:
    return ["", "```json", indented_config(config), "```", ""]


def indented_config(config: Any) -> str:
    """A config with a line for each field, in which nothing can end the block of code that it is in.

    Args:
        config: JSON, or whatever a file says instead.

    Examples:
        >>> print(indented_config('{"num_nodes": [2, 9], "seed": "```"}'))
        {
          "num_nodes": [2, 9],
          "seed": "~~~"
        }
    """
    try:
        fields = json.loads(config).items()
        text = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in fields)
        text = f"{{\n{text}\n}}"
    except (AttributeError, TypeError, ValueError, RecursionError):
        text = short(config)
    return text.replace("```", "~~~")


def _readers(files: Sequence[DumpFile]) -> list[str]:
    """A short example for each format."""
    by_suffix = {file.path.suffix: file.path.name for file in files}
    blocks = []
    if name := by_suffix.get(".parquet"):
        blocks.append(
            "from datasets import load_dataset\n\n"
            "# One row for each row of a table: dataset, row, is_train, y, and the features.\n"
            f'rows = load_dataset(".", {json.dumps(Path(name).stem)}, split="train", streaming=True)'
        )
    if name := by_suffix.get(".h5") or by_suffix.get(".hdf5"):
        blocks.append(
            "from priors import open_dump\n\n"
            f"with open_dump({json.dumps(name)}) as dump:\n"
            "    dataset = dump[0]  # x (rows, features), y (rows,), single_eval_pos"
        )
    if name := by_suffix.get(".npz"):
        blocks.append(
            f"import numpy as np\n\narrays = np.load({json.dumps(name)})  # X, y, single_eval_pos ..."
        )
    return [f"```python\n{block}\n```\n" for block in blocks]


def croissant(files: Sequence[DumpFile], title: str, license_name: str) -> dict[str, Any]:
    """The description in Croissant 1.1: the files with their hashes, and the columns of those in Parquet."""
    return {
        "@context": _context(),
        "@type": "sc:Dataset",
        "name": title,
        "description": DESCRIPTION,
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "license": LICENSES[license_name],
        "version": "1.0.0",
        "datePublished": datetime.now(UTC).date().isoformat(),
        "citeAs": f"{title}. Made with {generator_name()}.",
        "keywords": ["tabular", "synthetic", "structural causal model"],
        "rai:dataCollection": "Sampled by a program, without real data. The card has seed and config.",
        "rai:dataCollectionType": "Software Collection",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": file.path.name,
                "name": file.path.name,
                "contentUrl": file.path.name,
                "contentSize": f"{file.num_bytes} B",
                "encodingFormat": MEDIA_TYPES[file.path.suffix],
                "sha256": file.sha256,
            }
            for file in files
        ],
        "recordSet": [_record_set(file) for file in files if file.path.suffix == ".parquet"],
    }


def _record_set(file: DumpFile) -> dict[str, Any]:
    name = file.path.stem
    kinds = dict(zip(LONG_COLUMNS, ("sc:Integer", "sc:Integer", "sc:Boolean", "sc:Float"), strict=True))
    kinds |= dict.fromkeys(feature_columns(file.outline), "sc:Float")
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": "A row of a table; rows with the same `dataset` are one table.",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column}",
                "name": column,
                "description": COLUMN_MEANINGS.get(column, "A feature; null in tables that do not have it."),
                "dataType": kind,
                "source": {"fileObject": {"@id": file.path.name}, "extract": {"column": column}},
            }
            for column, kind in kinds.items()
        ],
    }


def _context() -> dict[str, Any]:
    """The JSON-LD context of Croissant 1.1."""
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "sc": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "dct": "http://purl.org/dc/terms/",
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "description": {"@container": "@language"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "name": {"@container": "@language"},
        **{term: f"cr:{term}" for term in TERMS},
    }
