"""Tables of OpenML by the ids of its tasks, and the filter under which the published experiment takes them.

The package openml (extra `openml`) fetches them and keeps them in its cache; what is there needs no network.
The experiment: https://github.com/automl/nanoTabPFN, experiment.ipynb. It goes through the tasks of TabArena
(N. Erickson et al., TabArena: A Living Benchmark for Machine Learning on Tabular Data, 2025), and its filter
leaves three: Amazon_employee_access, blood-transfusion-service-center and diabetes.

Axis letters: R rows, F features.
"""

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from nanotabpfn.evaluation.pandas_import import import_pandas

if TYPE_CHECKING:
    import pandas as pd

# TabArena v0.1, its classification and regression tasks. Listed, since openml caches tasks, but no study.
TABARENA = (
    363612, 363613, 363614, 363615, 363616, 363618, 363619, 363620, 363621, 363623, 363624, 363625, 363626,
    363627, 363628, 363629, 363630, 363631, 363632, 363671, 363672, 363673, 363674, 363675, 363676, 363677,
    363678, 363679, 363681, 363682, 363683, 363684, 363685, 363686, 363689, 363691, 363693, 363694, 363696,
    363697, 363698, 363699, 363700, 363702, 363704, 363705, 363706, 363707, 363708, 363711, 363712,
)  # fmt: skip

FILTER = {
    "NumberOfFeatures": (2, 10),  # the target is one of them
    "NumberOfClasses": (2, 2),
    "PercentageOfInstancesWithMissingValues": (0, 0),
    "MinorityClassPercentage": (2.5, 100),
}
"""Of the published experiment: OpenML's name of a quality of a dataset, the least and the most it may be."""


class OpenMLError(Exception):
    """A table or a study of OpenML that cannot be loaded; the message has the remedy."""


class OpenMLTable(NamedTuple):
    """One table of OpenML."""

    name: str
    x: "pd.DataFrame"  # (R, F) numbers, or text where there are categories
    y: np.ndarray  # (R,) text


def load_study(study_id: int) -> list[OpenMLTable]:
    """The tables of a study of tasks (a suite, in OpenML's words) that fit FILTER.

    The list of its tasks needs the network each time.

    Raises:
        OpenMLError: it cannot be loaded, or none of its tables fits.
        ModuleNotFoundError: the package openml is missing.
    """
    with _openml(f"study {study_id}") as openml:
        task_ids = openml.study.get_suite(study_id).tasks
    return load_fitting(task_ids, f"study {study_id}")


def load_fitting(task_ids: Sequence[int], source: str) -> list[OpenMLTable]:
    """The tables of those tasks that fit FILTER.

    Raises:
        OpenMLError: one cannot be loaded, or none fits.
        ModuleNotFoundError: the package openml is missing.
    """
    found = []
    for task_id in tqdm(task_ids, desc=f"OpenML, {source}", unit="task", disable=None, leave=False):
        task, dataset = _describe(task_id)
        if misfit(task, dataset) is None:
            found.append((task_id, _read(task, dataset)))
    if not found:
        raise OpenMLError(f"OpenML, {source}: none of its {len(task_ids)} tasks fits the published filter")
    return _with_own_names(found)


def load_tasks(task_ids: Sequence[int]) -> list[OpenMLTable]:
    """The tables of tasks that are named one by one, and so have to fit FILTER all.

    Raises:
        OpenMLError: one cannot be loaded, or does not fit; the message has the reason.
        ModuleNotFoundError: the package openml is missing.
    """
    described = [_describe(task_id) for task_id in task_ids]
    for task_id, (task, dataset) in zip(task_ids, described, strict=True):
        reason = misfit(task, dataset)
        if reason is not None:
            raise OpenMLError(
                f"OpenML, task {task_id} ({dataset.name}) does not fit the published filter: {reason}"
            )
    return _with_own_names(
        [(task_id, _read(*found)) for task_id, found in zip(task_ids, described, strict=True)]
    )


def misfit(task: Any, dataset: Any) -> str | None:
    """Why a task is none that the published experiment would take; None where it would.

    Examples:
        >>> from types import SimpleNamespace
        >>> task = SimpleNamespace(task_type="Supervised Regression")
        >>> misfit(task, SimpleNamespace(qualities={}))
        'it is Supervised Regression, and must be Supervised Classification'
    """
    if task.task_type != "Supervised Classification":
        return f"it is {task.task_type}, and must be Supervised Classification"
    qualities = dataset.qualities or {}
    for quality, (least, most) in FILTER.items():
        value = qualities.get(quality, math.nan)
        if not least <= value <= most:
            return f"{quality} must be {least} to {most}, got {value:g}"
    return None


def _describe(task_id: int) -> tuple[Any, Any]:
    """A task and its dataset, without the rows: many are large, and most do not fit."""
    parts = {"download_data": False, "download_qualities": True, "download_features_meta_data": True}
    with _openml(f"task {task_id}") as openml:
        task = openml.tasks.get_task(task_id, download_splits=False, **parts)
        return task, task.get_dataset(**parts)


def _read(task: Any, dataset: Any) -> OpenMLTable:
    with _openml(f"task {task.task_id} ({dataset.name})"):
        x, y, _, _ = dataset.get_data(target=task.target_name, dataset_format="dataframe")
    x = x.apply(_plain).loc[:, x.nunique().to_numpy() > 1]
    return OpenMLTable(dataset.name, x, y.astype(str).str.strip().to_numpy(dtype=str))


def _plain(column: "pd.Series") -> "pd.Series":
    """A column as numbers where all its cells are such, also as text or as categories; else as text. So does
    the published experiment, and the ids in Amazon_employee_access, which are categories, become numbers."""
    pd = import_pandas("openml")
    cells = column.astype(object)
    numbers = pd.to_numeric(cells, errors="coerce")
    if (numbers.notna() == column.notna()).all():
        return numbers.astype(np.float64)
    return cells.where(cells.isna(), cells.astype(str))


def _with_own_names(found: list[tuple[int, OpenMLTable]]) -> list[OpenMLTable]:
    """Tables of one name, such as versions of a dataset, get the numbers of their tasks."""
    count = Counter(table.name for _, table in found)
    return [
        table if count[table.name] == 1 else table._replace(name=f"{table.name} ({task_id})")
        for task_id, table in found
    ]


@contextmanager
def _openml(what: str) -> Iterator[Any]:
    """The package, its warnings (of its next versions, of pandas') unheard and its errors made one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import openml
        except ImportError as error:
            raise ModuleNotFoundError(
                f'tables of OpenML need the package openml: pip install "nanotabpfn-priors[openml]" ({error})'
            ) from error
        try:
            yield openml
        except Exception as error:  # its own, those of requests, urllib3 and minio, and plain ones
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise OpenMLError(
                f"OpenML, {what}: cannot be loaded: {reason}\nTables are taken from "
                f"{openml.config.get_cache_directory()} where they are there; all else needs the network"
            ) from error
