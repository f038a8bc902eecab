"""Writes the tables of docs/evaluation-suites.md: what every suite holds, from declarations and files.

python scripts/suites_page.py
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nanotabpfn.evaluation.package_files import DISTRIBUTIONS
from nanotabpfn.evaluation.package_tables import Declaration, declarations, half, load_table, names_of

PAGE = Path(__file__).resolve().parent.parent / "docs" / "evaluation-suites.md"
START = "<!-- From here on written by scripts/suites_page.py. -->\n"
DIVIDED = ("nano", "binary", "multiclass", "missing", "regression")


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    head = text[: text.index(START) + len(START)]
    PAGE.write_text(head + "\n" + "\n".join(sections()), encoding="utf-8")


def sections() -> Iterator[str]:
    """The lines of the page below START."""
    for kind in DIVIDED:
        for of_half in ("dev", "test"):
            names = [name for name in names_of(kind) if half(name) == of_half]
            yield from section(f"{kind}-{of_half}", names, kind == "regression")
    yield from section("open-missing", names_of("open-missing"), False)


def section(suite: str, names: list[str], regression: bool) -> Iterator[str]:
    yield f"## {suite}\n"
    yield f"{len(names)} tables.\n"
    classes = "" if regression else " classes |"
    yield f"| table | what is predicted | rows | features | categorical | missing cells |{classes} source |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |" + ("" if regression else " ---: |") + " --- |"
    for name in names:
        x, y = load_table(name, regression)
        categorical = sum(column.dtype.kind not in "iuf" for _, column in x.items())
        cells = [name, target_of(declarations()[name], regression), len(y), x.shape[1], categorical]
        cells += [int(x.isna().to_numpy().sum())] + ([] if regression else [len(np.unique(y))])
        yield "| " + " | ".join(map(str, [*cells, source_of(declarations()[name])])) + " |"
    yield ""


def target_of(table: Declaration, regression: bool) -> str:
    """What is predicted; a number that is cut at its median says so."""
    return f"{table.about}: above the median" if table.above == "median" and not regression else table.about


def source_of(table: Declaration) -> str:
    file = table.file if isinstance(table.file, str) else f"{table.file[0]} and {len(table.file) - 1} more"
    return f"{DISTRIBUTIONS.get(table.package, table.package)}: `{file}`"


if __name__ == "__main__":
    main()
