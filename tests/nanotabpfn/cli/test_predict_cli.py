"""`nanotabpfn predict`: files in, a file of predictions out, and plain words where that cannot be."""

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from nanotabpfn.cli.main import main
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.estimators.regressor import NanoTabPFNRegressor
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.bins import standard_edges
from nanotabpfn.model.checkpoint import save_model

READ = {".csv": pd.read_csv, ".parquet": pd.read_parquet}


@pytest.fixture
def files(tmp_path):
    torch.manual_seed(0)
    save_model(NanoTabPFNModel(16, 2, 16, 2, 4), tmp_path)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(size=30), "town": rng.choice(["Ulm", "Rom"], 30)})
    frame.loc[3, "size"], frame.loc[5, "town"] = np.nan, None
    frame["kind"] = np.where(frame["size"] > 0, "big", "small")
    frame[:20].to_csv(tmp_path / "train.csv", index=False)
    frame[20:].drop(columns="kind").to_csv(tmp_path / "test.csv", index=False)
    frame[20:][["town", "size", "kind"]].to_parquet(tmp_path / "test.parquet")
    return tmp_path


def predict(folder, *more, train="train.csv", target="kind", test="test.csv", out="out.csv"):
    return CliRunner().invoke(
        main,
        [
            "predict",
            "--train",
            str(folder / train),
            "--target",
            target,
            "--test",
            str(folder / test),
            "--out",
            str(folder / out),
            "--model",
            str(folder),
            *more,
        ],
    )


@pytest.mark.parametrize(("test", "out"), [("test.csv", "out.csv"), ("test.parquet", "out.parquet")])
def test_it_gives_what_the_classifier_gives(files, test, out):
    result = predict(files, "--n-estimators", "2", test=test, out=out)
    assert result.exit_code == 0, result.output
    assert "10 predictions of 2 classes" in result.output
    got = READ[files.joinpath(out).suffix](files / out)
    train = pd.read_csv(files / "train.csv")
    classifier = NanoTabPFNClassifier(files, n_estimators=2).fit(train[["size", "town"]], train["kind"])
    probabilities = classifier.predict_proba(pd.read_csv(files / "test.csv"))
    assert list(got) == ["prediction", "probability_big", "probability_small"]
    np.testing.assert_allclose(got.iloc[:, 1:].to_numpy(), probabilities, atol=1e-6)
    assert got["prediction"].tolist() == classifier.classes_[probabilities.argmax(axis=1)].tolist()


@pytest.mark.parametrize("out", ["out.csv", "out.parquet"])
def test_real_targets_with_their_quantiles(files, out):
    model = save_model(
        NanoTabPFNModel(8, 2, 12, 1, 20, bin_edges=standard_edges(20)), files / "numbers.safetensors"
    )
    train = pd.read_csv(files / "train.csv").drop(columns="kind")
    train["price"] = np.linspace(100, 300, len(train))
    train.to_csv(files / "prices.csv", index=False)
    more = ["--problem", "regression", "--model", str(model)]
    result = predict(files, *more, "--quantiles", "0.1,0.75", train="prices.csv", target="price", out=out)
    assert result.exit_code == 0, result.output
    assert "10 predictions of 'price'" in result.output
    got = READ[files.joinpath(out).suffix](files / out)
    assert list(got) == ["prediction", "quantile_0.1", "quantile_0.75"]
    regressor = NanoTabPFNRegressor(model).fit(train[["size", "town"]], train["price"])
    test = pd.read_csv(files / "test.csv")
    np.testing.assert_allclose(got["prediction"], regressor.predict(test))
    expected = regressor.predict(test, output="quantiles", quantiles=[0.1, 0.75])
    np.testing.assert_allclose(got.iloc[:, 1:], expected)
    result = predict(files, *more, train="prices.csv", target="price", out=out)
    assert list(READ[files.joinpath(out).suffix](files / out)) == ["prediction"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "sort"}, "has no column 'sort', but size, town, kind"),
        ({"out": "out.txt"}, "must end in .csv or .parquet"),
        ({"out": "nowhere/out.csv"}, "is no directory"),
        ({"train": "test.csv", "target": "town"}, "rows have no 'town'; leave them out"),
        ({"target": "size"}, "--problem regression predicts such"),
        ({"more": ["--quantiles", "0.5"]}, "--quantiles: needs --problem regression"),
        ({"more": ["--problem", "regression", "--quantiles", "0.5,1"]}, "above 0 and below 1, each once"),
        ({"more": ["--problem", "regression", "--quantiles", "low"]}, "got 'low'"),
        ({"more": ["--problem", "regression"]}, "--target: 'kind' holds 20 texts that are no numbers"),
        ({"target": "number", "more": ["--problem", "regression"]}, "must be of regression"),
        ({"test": "other.csv"}, "lacks columns that"),
        ({"train": "broken.parquet"}, "cannot be read"),
        ({"test": "empty.csv"}, "cannot be read"),
        ({"test": "more.csv"}, "its rows have more fields than its first line has names"),
    ],
)
def test_what_cannot_be_is_said_in_a_line_or_two_and_leaves_nothing(files, options, message):
    pd.DataFrame({"size": [1.0]}).to_csv(files / "other.csv", index=False)
    if options.get("target") in ("size", "number"):
        frame = pd.read_csv(files / "train.csv").dropna()
        frame["number"] = np.arange(len(frame)) / 7
        frame[["town", "size", "number"]].to_csv(files / "train.csv", index=False)
        frame[["town", "size", "number"]].to_csv(files / "test.csv", index=False)
    (files / "broken.parquet").write_bytes(b"PAR1 no")
    (files / "empty.csv").write_text("")
    (files / "more.csv").write_text("size,town\n1,0.5,Ulm\n2,0.7,Rom\n")
    if options.get("train") == "test.csv" and options["target"] == "town":
        frame = pd.read_csv(files / "test.csv")
        frame.loc[0, "town"] = None
        frame.to_csv(files / "test.csv", index=False)
    result = predict(files, *options.get("more", []), **{k: v for k, v in options.items() if k != "more"})
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.splitlines()) <= 2
    assert "Traceback" not in result.output
    assert not [*files.glob("*out*"), *files.glob("*.partial")]


def test_a_separator_at_the_end_of_each_row_moves_no_column(files):
    assert predict(files, out="expected.csv").exit_code == 0
    for name in ("train.csv", "test.csv"):
        first, *rows = (files / name).read_text().splitlines()
        (files / name).write_text("\n".join([first, *(row + "," for row in rows)]) + "\n")
    result = predict(files)
    assert result.exit_code == 0, result.output
    assert (files / "out.csv").read_bytes() == (files / "expected.csv").read_bytes()


def european(files, encoding="utf-8", header=" size ;town"):
    """The tables with semicolons, decimal commas and spaces around the names."""
    for name, kinds in (("train", ["kind"]), ("test", [])):
        frame = pd.read_csv(files / f"{name}.csv")
        lines = [";".join([header, *kinds])]
        for row in frame.itertuples():
            size = "" if np.isnan(row[1]) else f"{row[1]:.6f}".replace(".", ",")
            lines.append(
                ";".join([size, str(row.town).replace("Rom", "Köln"), *(getattr(row, k) for k in kinds)])
            )
        (files / f"{name}.csv").write_bytes("\n".join(lines).encode(encoding))


def test_semicolons_decimal_commas_and_spaces_around_names_are_read(files):
    plain = predict(files)
    assert plain.exit_code == 0, plain.output
    expected = pd.read_csv(files / "out.csv")
    european(files)
    result = predict(files)
    assert result.exit_code == 0, result.output
    found = pd.read_csv(files / "out.csv")
    np.testing.assert_allclose(found.iloc[:, 1:], expected.iloc[:, 1:], atol=1e-4)
    result = predict(files, "--separator", ";", "--decimal", ",")
    np.testing.assert_allclose(pd.read_csv(files / "out.csv").iloc[:, 1:], found.iloc[:, 1:], atol=1e-6)


def test_other_encodings_are_named_by_the_user_with_a_hint(files):
    european(files, "cp1252")
    result = predict(files)
    assert result.exit_code == 2
    assert "is not text in utf-8; --encoding cp1252" in result.output
    assert predict(files, "--encoding", "cp1252").exit_code == 0
    result = predict(files, "--encoding", "klingon")
    assert result.exit_code == 2
    assert "--encoding: unknown encoding: klingon" in result.output


@pytest.mark.parametrize("header", ["size;size", "size; size "])
def test_two_columns_of_one_name_are_refused(files, header):
    european(files, header=header)
    result = predict(files)
    assert result.exit_code == 2
    assert "has 2 columns named 'size'; rename all but one" in result.output


def test_cells_that_are_no_numbers_are_listed_and_na_values_names_them(files):
    for name in ("train", "test"):
        frame = pd.read_csv(files / f"{name}.csv", dtype=str)
        frame.loc[frame.index[:1], "size"] = "broken"
        frame.to_csv(files / f"{name}.csv", index=False)
    result = predict(files)
    assert result.exit_code == 0, result.output
    assert "Warning: column 'size' holds numbers, but 1 of its 20 training cells" in result.stderr
    result = predict(files, "--na-values", "broken, none")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""


def test_a_real_target_in_text_and_the_device(files):
    model = save_model(
        NanoTabPFNModel(8, 2, 12, 1, 20, bin_edges=standard_edges(20)), files / "numbers.safetensors"
    )
    train = pd.read_csv(files / "train.csv").drop(columns="kind")
    train["price"] = [f"1.{100 + i},50" for i in range(len(train))]
    train.to_csv(files / "train.csv", index=False)
    more = ["--problem", "regression", "--model", str(model), "--device", "cpu"]
    result = predict(files, *more, target="price")
    assert result.exit_code == 0, result.output
    assert pd.read_csv(files / "out.csv")["prediction"].between(1000, 1300).all()
    if not torch.cuda.is_available():
        result = predict(files, "--device", "cuda")
        assert result.exit_code == 2
        assert "--device: device 'cuda' is not available here" in result.output


def test_warnings_are_lines_without_the_place_in_the_code(files):
    """Also those that are given while the model is read."""
    torch.save(NanoTabPFNModel(16, 4, 16, 2, 4).state_dict(), files / "weights.pth")
    result = predict(files, "--model", str(files / "weights.pth"), "--n-estimators", "2")
    assert result.exit_code == 0, result.output
    assert "Warning: " in result.stderr
    assert "4 are assumed, as published" in result.stderr
    assert ".py:" not in result.output
    assert "warnings.warn" not in result.output


def test_a_real_target_of_texts_is_refused_by_one_of_them(files):
    frame = pd.read_csv(files / "train.csv").drop(columns="kind")
    frame["price"] = ["1.5", "cheap", *["2"] * (len(frame) - 2)]
    frame.to_csv(files / "prices.csv", index=False)
    result = predict(files, "--problem", "regression", train="prices.csv", target="price")
    assert result.exit_code == 2
    assert "--target: 'price' holds 1 texts that are no numbers, such as 'cheap'" in result.output


# The same text is the same cell in both files


def encoded(folder, monkeypatch, train, test, *more):
    """The features that the classifier gets of two CSV files; their first column is the feature."""
    got = []
    fit, probabilities = NanoTabPFNClassifier.fit, NanoTabPFNClassifier.predict_proba

    def keep_fit(self, x, y):
        got.append(x["cell"].tolist())
        return fit(self, x, y)

    def keep_test(self, x):
        got.append(x["cell"].tolist())
        return probabilities(self, x)

    monkeypatch.setattr(NanoTabPFNClassifier, "fit", keep_fit)
    monkeypatch.setattr(NanoTabPFNClassifier, "predict_proba", keep_test)
    labels = ["a", "b"] * len(train)
    rows = [f"{cell},{label}" for cell, label in zip(train * 2, labels, strict=True)]
    (folder / "cells.csv").write_text("\n".join(["cell,kind", *rows]))
    (folder / "more.csv").write_text("\n".join(["cell,other", *(f"{cell},1" for cell in test)]))
    result = predict(folder, "--n-estimators", "1", *more, train="cells.csv", test="more.csv")
    assert result.exit_code == 0, result.output
    return got[0][: len(train)], got[1]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (["TRUE", "FALSE"], ["TRUE", "FALSE", "?"]),
        (["TRUE", "FALSE", "?"], ["TRUE", "FALSE"]),
        (["01", "02", "A1"], ["01", "02"]),
        (["NA", "US", "None"], ["NA", "US"]),
        (["1", "2", "n/a"], ["1", "2"]),
    ],
)
def test_text_is_the_same_cell_in_both_files(files, monkeypatch, train, test):
    assert encoded(files, monkeypatch, train, test) == (train, test)


def test_a_column_of_numbers_in_both_files_is_one_and_empty_cells_are_missing(files, monkeypatch):
    train, test = encoded(files, monkeypatch, ["1", "02.5", ""], ["1e2", ""])
    np.testing.assert_array_equal(train, [1, 2.5, np.nan])
    np.testing.assert_array_equal(test, [100, np.nan])


def test_na_values_are_missing_in_columns_of_numbers_too(files, monkeypatch):
    train, _ = encoded(files, monkeypatch, ["1", "2", "-999"], ["3"], "--na-values=-999")
    np.testing.assert_array_equal(train, [1, 2, np.nan])


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["None", "Mild", "Severe"], ["Mild", "None", "Severe"]),
        (["007", "012"], ["007", "012"]),
        (["2", "10"], ["2", "10"]),
        (["1.0", "0.0"], ["0.0", "1.0"]),
        (["TRUE", "FALSE"], ["FALSE", "TRUE"]),
    ],
)
def test_labels_are_those_of_the_file(files, labels, names):
    rows = [f"{number},{labels[number % len(labels)]}" for number in range(24)]
    (files / "labels.csv").write_text("\n".join(["size,kind", *rows]))
    result = predict(files, "--n-estimators", "1", train="labels.csv")
    assert result.exit_code == 0, result.output
    assert list(pd.read_csv(files / "out.csv"))[1:] == [f"probability_{name}" for name in names]


def test_a_mark_among_labels_that_are_numbers_is_a_missing_one(files):
    (files / "labels.csv").write_text("\n".join(["size,kind", "1,0", "2,1", "3,NA", "4,1"]))
    result = predict(files, train="labels.csv")
    assert result.exit_code == 2
    assert "1 of 4 rows have no 'kind'; leave them out" in result.output


def test_dates_are_no_numbers_to_predict(files):
    (files / "dates.csv").write_text("\n".join(["size,day", "1,2020-01-01", "2,2020-01-02"]))
    result = predict(files, "--problem", "regression", train="dates.csv", target="day")
    assert result.exit_code == 2
    assert "--target: 'day' holds dates, such as '2020-01-01'" in result.output


def test_a_blank_line_in_one_column_is_refused_and_a_missing_cell_kept(files):
    (files / "train.csv").write_text("size,kind\n" + "1,a\n9,b\n" * 9)
    for blank in ("", "  ", "\t"):
        (files / "test.csv").write_text(f"size\n1\n{blank}\n9\n")
        result = predict(files)
        assert result.exit_code == 2
        assert 'test.csv: row 2 of its one column is a blank line; write "" for a missing' in result.output
    (files / "test.csv").write_text('size\n1\n""\n9\n\n')
    assert predict(files).exit_code == 0
    assert len(pd.read_csv(files / "out.csv")) == 3
