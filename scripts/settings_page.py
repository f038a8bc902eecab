"""Writes docs/settings.md: every field of a prior's config and of a study file, from where they are defined.

python scripts/settings_page.py
"""

import inspect
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nanotabpfn.studies.spec import ArmSettings, ModelSettings, Ropes, Study, WarmStart
from priors.field_reference import (
    FieldReference,
    describe_field,
    family_source,
    field_docs,
    field_names,
    first_sentence,
    values_of,
)

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"

PICTURES = {
    "graphs": ("graph-families.png", "Graphs drawn from each family"),
    "mechanisms": ("mechanisms.png", "Functions drawn from each family"),
    "warp_fraction": (
        "datasets-mixed.png",
        "Datasets of the preset mixed, with warped columns",
    ),
}
"""Field -> a figure in docs/ that shows what it does, and its text; docs/gallery.md has their commands."""

HEAD = """# Settings

<!-- Written by scripts/settings_page.py from the docstrings and types of the fields: change those. -->

Every field of [a prior's config](#a-prior) and of [a study file](#a-study-file). A field of a prior is set on
the command line (`--set num_features=3`), in a JSON file (`--config`), in an arm of a study
(`set: {num_features: 3}`) or in Python (`dataclasses.replace`, `priors.with_overrides`). The command
`priors presets --explain FIELD` prints what this page says of a field. [prior.md](prior.md) explains how the
fields work together.

`priors schema` and `nanotabpfn study schema` print JSON Schemas of both, with which editors complete fields
and mark mistakes ([scripting.md](scripting.md#completion-in-the-editor)).

Ranges are `[low, high]`, both ends included. Weights need not sum to 1. Numbers have no unit unless the text
names one.

In place of a range, a field may have a distribution: `uniform(low, high)`, `log_uniform(low, high)`,
`integers(low, high)`, or numbers by weight, `choice({2: 3, 10: 1})`. A range is uniform, except in
`noise_scale`, `shift_size` and `group_size`, where it is log-uniform. A distribution is written alike on the
command line (`--set 'num_features=log_uniform(2, 50)'`), in study files and in Python
(`from priors import log_uniform`); in JSON it is `{"log_uniform": [2, 50]}`.

## A prior
"""

STUDY = """## A study file

`nanotabpfn study init` writes an example with a comment for each field; [studies.md](studies.md) describes
studies.
"""


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *prior_sections(), STUDY, *study_sections()])


def prior_sections() -> Iterator[str]:
    """A table of the fields of a prior, and a section for each."""
    described = [describe_field(name) for name in field_names()]
    yield from table(
        ("field", "default", "meaning"),
        [
            (f"[`{found.name}`](#{found.name})", f"`{found.default}`", first_sentence(found.meaning))
            for found in described
        ],
    )
    for found in described:
        yield from prior_section(found)


def prior_section(found: FieldReference) -> Iterator[str]:
    yield f"### {found.name}\n"
    yield f"{found.meaning}\n"
    if found.name in PICTURES:
        file, text = PICTURES[found.name]
        yield f"![{text}]({file})\n"
    yield f"- Values: {found.values}."
    yield f"- Default: `{found.default}`."
    if found.examples:
        yield f"- Examples: {', '.join(f'`{text}`' for text in found.examples.split(' or '))}."
    if found.presets:
        yield f"- In presets: {'; '.join(f'{name} has `{text}`' for name, text in found.presets.items())}."
    yield ""
    if found.name == "parameters":
        rows = [(f"`{family}`", text) for family, text in found.families.items()]
        yield from table(("family", "parameters: their ranges, and the limits"), rows)
    elif found.families:
        rows = [
            (f"`{family}`", text, family_source(found.name, family))
            for family, text in found.families.items()
        ]
        has_sources = any(source for *_, source in rows)
        header = ("family", "what it is", "source") if has_sources else ("family", "what it is")
        yield from table(header, [row[: len(header)] for row in rows])


def study_sections() -> Iterator[str]:
    """The fields of a study file, of one of its arms, of its model, its warm start and its rope."""
    yield from study_table(Study)
    yield f"### An arm\n\n{summary_of(ArmSettings)}\n"
    yield from study_table(ArmSettings)
    yield f"### The model\n\n{summary_of(ModelSettings)}\n"
    yield from study_table(ModelSettings)
    yield f"### The warm start\n\n{summary_of(WarmStart)}\n"
    yield from study_table(WarmStart)
    yield f"### The regions of practical equivalence\n\n{inspect.cleandoc(Ropes.__doc__)}\n"
    yield from study_table(Ropes)


def summary_of(settings: type) -> str:
    return (settings.__doc__ or "").partition("\n")[0]


def study_table(settings: Any) -> Iterator[str]:
    schema, docs = settings.model_json_schema(), field_docs(settings)
    rows = []
    for name, of_field in schema["properties"].items():
        default = "needed" if name in schema.get("required", ()) else f"`{json.dumps(of_field['default'])}`"
        if name == "name":  # `load_study` takes the file's
            default = "the file's name"
        rows.append((f"`{name}`", default, values_of(of_field, schema.get("$defs")), docs[name]))
    yield from table(("field", "default", "values", "meaning"), rows)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a Markdown table, and an empty one."""
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


if __name__ == "__main__":
    main()
