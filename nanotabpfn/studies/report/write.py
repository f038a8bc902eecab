"""Writes the report of a study's folder: report.html, report.md and figures."""

from pathlib import Path

from nanotabpfn.model.checkpoint import write_atomically
from nanotabpfn.studies.folder import pandas, read_study
from nanotabpfn.studies.keys import plan_study
from nanotabpfn.studies.records import collect_records
from nanotabpfn.studies.report.render import to_html, to_markdown
from nanotabpfn.studies.report.sections import build_report


def write_report(folder: str | Path) -> tuple[Path, Path]:
    """Write `report.html`, `report.md` and its `figures` from the scores that a study has so far.

    Returns:
        The page and the Markdown.

    Raises:
        StudyError: the folder holds no study, or no cell of it is scored.
    """
    pandas()
    folder = Path(folder)
    plan = plan_study(read_study(folder))
    sections = build_report(plan, collect_records(plan, folder), folder)
    (folder / "figures").mkdir(exist_ok=True)
    for section in sections:
        for block in section.blocks:
            if block.kind == "figure":
                write_atomically(folder / "figures" / f"{block.name}.svg", block.text.encode())
    page, markdown = folder / "report.html", folder / "report.md"
    write_atomically(page, to_html(plan.study.name, sections).encode())
    write_atomically(markdown, to_markdown(plan.study.name, sections).encode())
    return page, markdown
