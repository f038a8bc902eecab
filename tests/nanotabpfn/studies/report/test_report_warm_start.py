"""What the report says of a study whose cells start from warm starts."""

from pathlib import Path

import pytest
from simulated_study import began_late, saved_study, simulate, study_of

from nanotabpfn.studies.report.sections import build_report
from nanotabpfn.studies.saved import SavedCell, read_saved, write_saved

pytestmark = pytest.mark.usefixtures("without_figures")


def warm_start_of(model_seed, begun):
    notes = {"seconds": 1.0, "cpu_seconds": 36.0, "num_skipped": 0, "begun": begun}
    return SavedCell("warm start", 7, model_seed, f"key {model_seed}", "done", notes)


def saved_with(study, begun=()):
    warm_starts = tuple(warm_start_of(seed, one) for seed, one in enumerate(begun))
    return saved_study(study)._replace(warm_starts=warm_starts)


def words_of(saved, records):
    return {
        section.title: "\n".join(line for block in section.blocks for line in (block.text, *block.items_))
        for section in build_report(saved, records, Path("absent"))
    }


def test_it_says_what_all_arms_started_from():
    study = study_of(warm_start={"steps": 300, "preset": "gp"})
    said = words_of(saved_with(study, begun=[True] * 6), simulate(study, {}))
    words = "after a warm start of 300 steps on the preset gp"
    assert f"4 steps of 4 datasets, {words}; 6 pairs" in said["In short"]
    assert f"float32, {words}; the same initial" in said["What was compared"]
    assert "all arms of a model seed, untrained excepted, start from the end" in said["What was compared"]
    assert "had not begun" not in said["What was compared"]
    assert "6 trainings took 0.06 CPU-hours" in said["How it was made"]


def test_a_study_without_one_does_not_speak_of_it():
    study = study_of()
    said = words_of(saved_study(study), began_late(simulate(study, {}), "same", [1]))
    assert "warm start" not in "\n".join(said.values())


def test_warm_starts_that_had_not_begun_are_named():
    study = study_of(warm_start={})
    records = began_late(simulate(study, {}), "same", [1, 3])
    said = words_of(saved_with(study, begun=[True, False, None, False]), records)
    assert "had not begun by their end: those of model seeds 1, 3." in said["What was compared"]
    assert "after the warm start, or whose warm start itself had not begun: same 2 of 6" in said["In short"]


def test_what_scrambled_labels_leave_of_the_warm_start_is_no_leak():
    study = study_of(warm_start={})
    said = words_of(saved_with(study), simulate(study, {"scrambled": 0.8}))
    assert "did not undo all that the warm start taught" in said["Controls"]
    assert "Look for leakage" not in "\n".join(said.values())


def test_study_json_keeps_them(tmp_path):
    saved = saved_with(study_of(warm_start={"steps": 7}), begun=[True, False])
    write_saved(saved, tmp_path)
    found = read_saved(tmp_path)
    assert found.warm_starts == saved.warm_starts
    assert found.study.warm_start.steps == 7
