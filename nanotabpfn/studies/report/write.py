"""Writes the report of a study's folder: report.html, report.md, figures, tables and references."""

import re
from pathlib import Path

from nanotabpfn.model.checkpoint import write_atomically
from nanotabpfn.studies.folder import pandas
from nanotabpfn.studies.report.blocks import Section
from nanotabpfn.studies.report.latex import to_latex
from nanotabpfn.studies.report.methods_section import bibtex
from nanotabpfn.studies.report.render import to_html, to_markdown
from nanotabpfn.studies.report.sections import build_report
from nanotabpfn.studies.saved import read_records, read_saved
from nanotabpfn.studies.spec import StudyError

BIBLIOGRAPHY = "references.bib"
NUMBER_OF_RECORDS = "<!-- records: {} -->"


def write_report(folder: str | Path, overwrite: bool = False) -> tuple[Path, Path]:
    """Write the report of a study, from study.json and the records alone.

    `report.html` needs no other file. `report.md` shows the SVG files in `figures`, where each figure is a
    PDF too. `tables` has every table as LaTeX, and `references.bib` what the study rests on.

    Args:
        overwrite: replace a report that was made from more records.

    Returns:
        The page and the Markdown.

    Raises:
        StudyError: the folder holds no study, or no cell of it is scored; the report that is there was made
            from more records.

    Examples:
        >>> write_report("absent")
        Traceback (most recent call last):
        nanotabpfn.studies.spec.StudyError: absent holds no study: there is no study.json
    """
    pandas()
    folder = Path(folder)
    saved, records = read_saved(folder), read_records(folder)
    page, markdown = folder / "report.html", folder / "report.md"
    before = _num_records(page)
    if before > len(records) and not overwrite:
        raise StudyError(
            f"{page} was made from {before:,} records, and there are {len(records):,} now; --overwrite "
            "replaces it"
        )
    sections = build_report(saved, records, folder)
    for path, content in files_of(sections).items():
        (folder / path).parent.mkdir(exist_ok=True)
        write_atomically(folder / path, content)
    write_atomically(folder / BIBLIOGRAPHY, f"{bibtex(saved.study)}\n".encode())
    mark = NUMBER_OF_RECORDS.format(len(records))
    write_atomically(markdown, to_markdown(saved.study.name, sections).encode())
    write_atomically(page, f"{to_html(saved.study.name, sections)}\n{mark}\n".encode())
    return page, markdown


def files_of(sections: list[Section]) -> dict[str, bytes]:
    """The figures and tables of a report as files: path in the study's folder -> content.

    A table is named after its section and its number there, so that other sections do not rename it.

    Examples:
        >>> from nanotabpfn.studies.report.blocks import table
        >>> list(files_of([Section("Real tables", [table(["arm"], [["a"]], "Arms.")])]))
        ['tables/real-tables-1.tex']
    """
    found = {}
    for section in sections:
        for block in section.blocks:
            if block.kind == "figure":
                found[f"figures/{block.name}.svg"] = block.text.encode()
                found[f"figures/{block.name}.pdf"] = block.pdf
        tables = [block for block in section.blocks if block.kind == "table"]
        for number, block in enumerate(tables, 1):
            name = f"{section.title.lower().replace(' ', '-')}-{number}"
            found[f"tables/{name}.tex"] = f"{to_latex(block, f'tab:{name}')}\n".encode()
    return found


def _num_records(page: Path) -> int:
    """How many records an earlier report was made from; 0 if there is none or it does not say."""
    if not page.exists():
        return 0
    found = re.findall(NUMBER_OF_RECORDS.format(r"(\d+)"), page.read_text(encoding="utf-8")[-100:])
    return int(found[-1]) if found else 0
