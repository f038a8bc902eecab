"""The report of the study that ships is what the command makes of its records."""

import re
import shutil
from pathlib import Path

import pytest

from nanotabpfn.studies.report.write import write_report

PAGE = Path(__file__).parents[2] / "docs" / "studies" / "mechanisms"
NUMBER = r"\d+\.\d+(?:e-\d+)?"


def test_the_report_is_what_the_command_makes_of_the_records(tmp_path):
    for name in ("study.json", "records.parquet"):
        shutil.copy(PAGE / name, tmp_path / name)
    page, markdown = write_report(tmp_path)
    now, shipped = markdown.read_text(encoding="utf-8"), (PAGE / "report.md").read_text(encoding="utf-8")
    assert re.sub(NUMBER, "0", now) == re.sub(NUMBER, "0", shipped)
    numbers = [[float(one) for one in re.findall(NUMBER, text)] for text in (now, shipped)]
    assert numbers[0] == pytest.approx(numbers[1], abs=2e-3)  # other versions of scipy draw other bootstraps
    figures = [sorted(path.name for path in (folder / "figures").iterdir()) for folder in (tmp_path, PAGE)]
    assert figures[0] == figures[1]
    assert len(re.findall(r"<h2", page.read_text(encoding="utf-8"))) == len(
        re.findall(r"^## ", shipped, re.M)
    )
