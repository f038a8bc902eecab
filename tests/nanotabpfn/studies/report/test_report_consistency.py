"""One number, one interval: whatever a report says twice, it says with the same interval."""

import re
from itertools import pairwise

import pytest
from simulated_study import saved_study, simulate, study_of

from nanotabpfn.studies.report.render import to_markdown
from nanotabpfn.studies.report.sections import build_report

pytestmark = pytest.mark.usefixtures("without_figures")
NUMBER = r"[+-]?\d\.\d+"


def stated(markdown: str) -> list[tuple[str, str, str]]:
    """(arm, estimate, interval) of each estimate that has an interval, in words and in tables."""
    found = []
    for line in markdown.splitlines():
        arm = (re.findall(r"\w+", line) or [""])[0]
        found += [(arm, *one) for one in re.findall(rf"({NUMBER}) \(({NUMBER} to {NUMBER})", line)]
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        for left, right in pairwise(cells):
            if re.fullmatch(NUMBER, left) and re.fullmatch(f"{NUMBER} to {NUMBER}", right):
                found.append((arm, left, right))
    return found


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
@pytest.mark.parametrize("seed", range(3))
def test_the_same_number_has_the_same_interval_everywhere(tmp_path, seed, metric):
    study = study_of(["good", "same", "broken"], metric=metric)
    # Shuffled, so that what is resampled comes in another order in each part of the report.
    records = simulate(study, {"broken": 0.6}, seed).sample(frac=1, random_state=seed)
    records.loc[records["metric"] == "log_loss", "value"] *= 0.7  # else 1 - ROC AUC
    records.loc[records["target"] == "common", "value"] *= 0.77
    found = stated(to_markdown("study", build_report(saved_study(study), records, tmp_path)))
    intervals: dict[tuple[str, str], list[str]] = {}
    for arm, estimate, interval in found:
        intervals.setdefault((arm, estimate), []).append(interval)
    assert sum(len(spans) > 1 for spans in intervals.values()) >= 5
    assert {one: spans for one, spans in intervals.items() if len(set(spans)) > 1} == {}
