"""The records of a study: every score in one table, a row for each."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from nanotabpfn.model.checkpoint import write_atomically
from nanotabpfn.studies.arms import varied_arms
from nanotabpfn.studies.folder import baseline_path, done_note, pandas, properties_path, scores_path
from nanotabpfn.studies.keys import Plan
from nanotabpfn.studies.scoring import POOLED

if TYPE_CHECKING:
    import pandas as pd

RECORDS = "records.parquet", "records.csv"
COLUMNS = [
    "arm", "role", "data_seed", "model_seed", "step", "is_final", "target", "suite", "task", "fold",
    "metric", "value", "begun", "warm_start", "settings",
]  # fmt: skip
"""The columns of the records. role: arm, drawn (an arm of a random design), control, baseline or suite.
target: `real` for scores on tables, `prior` for scores on held-out datasets of an arm, `common` on those of
the common prior, `properties` for the PROPERTIES and DISTANCES of tables and datasets. suite: that of the
tables, or the arm or preset whose datasets they are. task: the table, or the dataset's number. begun:
whether the training of the cell had begun by the watchdog's first verdict (nanotabpfn/training/beginning.py);
empty where there was none, or too few steps. warm_start: the steps of the warm start from which the cell
started; empty where there was none. settings: what the arm
sets, as JSON, if it varies several settings at once."""
TYPES = dict.fromkeys(["data_seed", "model_seed", "step", "warm_start"], "Int64") | {
    "begun": "boolean",
    "settings": "string",
}
"""The types of columns that have no value for some rows, such as those of baselines."""


def collect_records(plan: Plan, folder: Path) -> "pd.DataFrame":
    """All scores that the folder of a study has, with COLUMNS: a row for each metric of each fold."""
    pd = pandas()
    frames = [*_of_cells(plan, folder), *_of_baselines(plan, folder), *_of_properties(plan, folder)]
    if not frames:
        return pd.DataFrame(columns=COLUMNS)
    whole = pd.concat([frame.reindex(columns=COLUMNS) for frame in frames], ignore_index=True)
    return whole.astype(TYPES)


def _of_cells(plan: Plan, folder: Path) -> Iterator["pd.DataFrame"]:
    settings = {
        arm: json.dumps(values) for design in varied_arms(plan.study) for arm, values in design.values.items()
    }
    for planned in plan.cells:
        cell, begun = planned.cell, done_note(folder, planned.key).get("begun")
        for target in plan.targets_of(planned) if planned.error is None else []:
            path = scores_path(folder, planned, target)
            if path.exists():
                frame = pandas().read_parquet(path)
                yield frame.assign(
                    arm=cell.arm.name,
                    role=cell.arm.role,
                    data_seed=cell.data_seed,
                    model_seed=cell.model_seed,
                    is_final=frame["step"] == cell.arm.steps,
                    begun=begun,
                    warm_start=plan.study.warm_start.steps if planned.warm_start else None,
                    settings=settings.get(cell.arm.name),
                    target=target.kind,
                    suite=target.name,
                )


def _of_baselines(plan: Plan, folder: Path) -> Iterator["pd.DataFrame"]:
    for suite in plan.suites:
        for name in plan.study.baselines:
            path = baseline_path(folder, suite, name)
            if path.exists():
                frame = pandas().read_parquet(path)
                yield frame.assign(arm=name, role="baseline", is_final=True, target="real", suite=suite.name)


def _of_properties(plan: Plan, folder: Path) -> Iterator["pd.DataFrame"]:
    """Of each suite's tables and each prior's datasets, and the distances of each prior from each suite."""
    for target in plan.measured:
        own = {"arm": target.name, "role": "suite", "suite": target.name}
        found = {properties_path(folder, target): own}
        if target.kind == "prior":
            own |= {"role": target.arm.role, "data_seed": target.data_seed}
            found |= {properties_path(folder, target, one): own | {"suite": one.name} for one in plan.suites}
        for path, columns in found.items():
            if path.exists():
                frame = pandas().read_parquet(path)
                yield frame.assign(**columns, is_final=True, target="properties", fold=POOLED)


def keep_fuller_records(folder: Path, records: "pd.DataFrame") -> Path | None:
    """Copy records.parquet to records.previous.parquet if it has more rows than `records`, its replacement.

    After a change of the study or of the code, the present keys may have fewer scores.

    Returns:
        The copy; None if there was no need.
    """
    path, copy = folder / RECORDS[0], folder / "records.previous.parquet"
    if not path.exists() or len(pandas().read_parquet(path)) <= len(records):
        return None
    write_atomically(copy, path.read_bytes())
    return copy


def write_records(records: "pd.DataFrame", folder: Path) -> None:
    """Write `records.parquet` and `records.csv`, each complete or not at all.

    The settings are in the first alone: as text in each row they would be most of the second.
    """
    content = BytesIO()
    records.to_parquet(content, index=False)
    write_atomically(folder / RECORDS[0], content.getvalue())
    write_atomically(folder / RECORDS[1], records.drop(columns="settings").to_csv(index=False).encode())
