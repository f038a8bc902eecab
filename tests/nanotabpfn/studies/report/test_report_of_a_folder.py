"""A report is made from study.json and the records alone, and never silently replaced by an emptier one."""

import json
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from simulated_study import saved_study, simulate, study_of

from nanotabpfn.cli.main import main
from nanotabpfn.studies import keys
from nanotabpfn.studies.records import keep_fuller_records, write_records
from nanotabpfn.studies.report.write import write_report
from nanotabpfn.studies.saved import SavedStudy, read_saved, write_saved
from nanotabpfn.studies.spec import StudyError

pytestmark = pytest.mark.usefixtures("without_figures")


def write_folder(folder, study):
    write_saved(saved_study(study), folder)
    write_records(simulate(study, {}), folder)


def test_a_report_needs_no_dump_no_sampling_and_no_cells(tmp_path, monkeypatch, tiny_dump):
    dump = tmp_path / "moved.h5"
    shutil.copy(tiny_dump, dump)
    study = study_of().model_copy(update={"controls": ("untrained", "repeated")})
    study = type(study)(**study.model_dump() | {"arms": {"good": {"dump": dump}, "same": {"dump": dump}}})
    write_folder(tmp_path, study)
    dump.unlink()
    monkeypatch.setattr(keys, "PRIOR_VERSION", 99)
    markdown = write_report(tmp_path)[1].read_text()
    assert "same and good: no difference was shown" in markdown
    assert "good: not drawn" in markdown


def test_what_is_saved_is_read_again(tmp_path):
    saved = saved_study(study_of())
    write_saved(saved, tmp_path)
    found = read_saved(tmp_path)
    assert isinstance(found, SavedStudy)
    assert found == saved


def test_a_study_that_names_code_is_reported_without_importing_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "hostile.py").write_text("raise SystemExit('imported')\n")
    write_folder(tmp_path, study_of())
    file = tmp_path / "study.json"
    file.write_text(file.read_text().replace('"linear": 1.0', '"hostile:mine": 1.0'))
    assert "good: not drawn" in write_report(tmp_path)[1].read_text()


def test_figures_tables_and_references_are_files_for_a_paper(tmp_path):
    write_folder(tmp_path, study_of())
    page, _ = write_report(tmp_path)
    figures = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert figures == sorted(
        f"{Path(name).stem}{ending}" for name in figures[::2] for ending in (".pdf", ".svg")
    )
    assert {"curves.pdf", "differences.svg"} <= set(figures)
    tables = [path.read_text() for path in (tmp_path / "tables").iterdir()]
    assert len(tables) == page.read_text().count("<table")
    labels = re.findall(r"\\label\{(tab:.*)\}", "".join(tables))
    assert len(set(labels)) == len(tables)
    assert (tmp_path / "references.bib").read_text().startswith("@misc{pfefferle2025nanotabpfn,")


def test_an_emptier_report_is_not_written_without_a_word(tmp_path):
    study = study_of()
    write_folder(tmp_path, study)
    page, _ = write_report(tmp_path)
    before = page.read_bytes()
    records = simulate(study, {})
    write_records(records.iloc[: len(records) // 2], tmp_path)
    with pytest.raises(StudyError, match=r"was made from .* records"):
        write_report(tmp_path)
    assert page.read_bytes() == before
    result = CliRunner().invoke(main, ["study", "report", os.fspath(tmp_path), "--overwrite"])
    assert result.exit_code == 0, result.output
    assert page.read_bytes() != before


def test_fuller_records_are_kept(tmp_path):
    records = simulate(study_of(), {})
    write_records(records, tmp_path)
    assert keep_fuller_records(tmp_path, records) is None
    copy = keep_fuller_records(tmp_path, records.iloc[:5])
    assert len(pd.read_parquet(copy)) == len(records)


def test_a_folder_without_records_or_study(tmp_path):
    with pytest.raises(StudyError, match="holds no study"):
        write_report(tmp_path)
    write_saved(saved_study(study_of()), tmp_path)
    with pytest.raises(StudyError, match="no cell is scored yet"):
        write_report(tmp_path)


def test_a_study_of_an_earlier_version_keeps_its_metric_and_rope(tmp_path):
    write_folder(tmp_path, study_of(rope={"roc_auc": 0.02}, seed_design="crossed"))
    file = tmp_path / "study.json"
    values = json.loads(file.read_text())
    values["study"]["rope"] = 0.02
    del values["study"]["metric"], values["study"]["seed_design"], values["prior_version"]
    file.write_text(json.dumps(values))
    study = read_saved(tmp_path).study
    assert (study.metric, study.rope_of("roc_auc"), study.seed_design) == ("roc_auc", 0.02, "crossed")
    assert read_saved(tmp_path).prior_version is None
