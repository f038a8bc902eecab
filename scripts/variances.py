"""Measures the variance components of finished studies, and writes the file that ships with the package.

    python scripts/variances.py docs/studies/mechanisms docs/studies/settings \
        --without "mlp, data seed 2, model seed 2" --without "layered graphs, data seed 0, model seed 0"

Trainings that had not begun in time are left out; in records of an earlier version, which do not say so,
name them with --without. So are drawn arms at a level that varies more than the others, as in a report: with
them the components would be those of neither.
"""

import json
from pathlib import Path

import click
import numpy as np
import pandas as pd

from nanotabpfn.evaluation.metrics import METRICS
from nanotabpfn.studies import variances
from nanotabpfn.studies.power import Components, components_of, rows_component
from nanotabpfn.studies.report.beginnings_section import without_late
from nanotabpfn.studies.report.effect_analyses import quieter
from nanotabpfn.studies.report.scores import LEARNS_NOTHING, Scores, grid
from nanotabpfn.studies.saved import SavedStudy, read_records, read_saved
from nanotabpfn.studies.scoring import POOLED

ROOT = Path(__file__).resolve().parent.parent
FILE = Path(variances.__file__).with_name(variances.FILE)


@click.command(context_settings={"show_default": True})
@click.argument(
    "folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--without", multiple=True, metavar="CELL", help="A cell to leave out, by its name.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=FILE, show_default=False)
def main(folders: tuple[Path, ...], without: tuple[str, ...], out: Path) -> None:
    """Measure the components in the studies of FOLDERS, after each step at which they were scored."""
    known = {
        name_of(one.arm, one.data_seed, one.model_seed)
        for folder in folders
        for one in read_saved(folder).cells
    }
    if unknown := set(without) - known:
        raise click.UsageError(
            f"--without: no cell of {', '.join(map(str, folders))} is called {min(unknown)!r}"
        )
    entries = [entry for folder in folders for entry in entries_of(folder, set(without))]
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    out.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    click.echo(f"{out}: {len(entries)} entries")


def entries_of(folder: Path, without: set[str]) -> list[dict]:
    """The components of one study after each of its `eval_steps`."""
    saved, records = chosen_records(folder, without)
    return [_entry(saved, records[records["step"] == step], step, folder) for step in saved.study.eval_steps]


def chosen_records(folder: Path, without: set[str]) -> tuple[SavedStudy, pd.DataFrame]:
    """A study, and its records on the first suite, of the cells that are not left out."""
    saved = read_saved(folder)
    if saved.study.warm_start is not None:
        raise click.UsageError(
            f"{folder}: its cells have a warm start, and the components that ship are of studies without one"
        )
    records = read_records(folder)
    on_suite = records[(records["target"] == "real") & (records["suite"] == saved.study.suites[0])]
    chosen = without_late(on_suite)
    seeds = zip(chosen["arm"], chosen["data_seed"], chosen["model_seed"], strict=True)
    chosen = chosen[[name_of(*seed) not in without for seed in seeds]]
    return saved, chosen[~chosen["arm"].isin(_noisy_arms(saved, on_suite))]


def name_of(arm: str, data_seed: int, model_seed: int) -> str:
    """The name of a cell, as in messages."""
    return f"{arm}, data seed {data_seed}, model seed {model_seed}"


def _noisy_arms(saved: SavedStudy, records: pd.DataFrame) -> set[str]:
    """The drawn arms at the noisiest level of their design, if it has one."""
    scores = Scores(saved, records)
    left = {name: one.design.values for name, one in quieter(scores).items()}
    return {
        arm for design in scores.designs for arm in design.values if arm not in left.get(design.name, {arm})
    }


def _entry(saved: SavedStudy, records: pd.DataFrame, step: int, folder: Path) -> dict:
    study = saved.study
    arms = [arm for arm in dict.fromkeys(records["arm"]) if arm not in LEARNS_NOTHING]
    cells = records[records["arm"].isin(arms)].drop_duplicates(["arm", "data_seed", "model_seed"])
    resolved = folder.resolve()
    return {
        "suite": study.suites[0],
        "recipe": study.recipe,
        "steps": step,
        "batch_size": study.batch_size,
        "model": study.model.model_dump(),
        "row_samples": study.row_samples,
        "num_cells": len(cells),
        "source": str(resolved.relative_to(ROOT) if resolved.is_relative_to(ROOT) else folder.name),
        "components": variances.rounded(
            {metric: components(saved, records, metric, arms) for metric in METRICS}
        ),
    }


def components(saved: SavedStudy, records: pd.DataFrame, metric: str, arms: list[str]) -> Components:
    """The components of one metric, from records after one step."""
    of_metric = records[records["metric"] == metric]
    tables = list(dict.fromkeys(of_metric["task"]))
    folds = sorted(set(of_metric["fold"]) - {POOLED})
    pooled, *by_fold = (
        [grid(saved.study, of_metric[of_metric["fold"] == fold], arm, tables) for arm in arms]
        for fold in (POOLED, *folds)
    )
    rows = rows_component([np.stack(one, axis=-1) for one in zip(*by_fold, strict=True)])
    found = components_of(pooled)
    return found._replace(rows=min(rows, found.tables))


if __name__ == "__main__":
    main()
