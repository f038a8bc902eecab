"""The reports of the studies that ship are what the command makes of their records."""

import re
import shutil
from pathlib import Path

import pytest

from nanotabpfn.studies.report.effects_section import effect_words, quieter_words, second_words
from nanotabpfn.studies.report.scores import Scores
from nanotabpfn.studies.report.write import write_report
from nanotabpfn.studies.saved import read_records, read_saved

STUDIES = Path(__file__).parents[2] / "docs" / "studies"
PAGE = STUDIES / "mechanisms"
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


def test_the_verdicts_on_settings_are_what_the_command_makes_of_the_records():
    """Not the whole report, whose figures take long."""
    folder = STUDIES / "settings"
    saved, records = read_saved(folder), read_records(folder)
    records = records[(records["target"] == "real") & records["metric"].isin(["log_loss", "roc_auc"])]
    scores, second = Scores(saved, records), Scores(saved, records, "roc_auc")
    said = [*effect_words(scores), *second_words(second)]
    [noisy, without] = quieter_words(scores, second)
    words = [*said, noisy.text, *without.items_]
    report = (folder / "report.md").read_text(encoding="utf-8").replace("\\", "")
    assert [line for line in words if line not in report] == []
    assert "In ROC AUC, drawn, class_methods from quantile_cuts to balanced_cuts: worse" in said[-1]
    assert "64 other arms are left" in noisy.text
    assert "one of 0.015 or more is ruled out, of mechanisms; graphs;" in without.items_[0]
    assert "In ROC AUC, drawn, noise_scale from [0.05, 1] to [0.02, 0.1]: worse" in without.items_[1]
    assert without.items_[1].endswith("less than the difference that matters.")
