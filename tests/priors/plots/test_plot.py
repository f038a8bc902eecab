"""Figures: what they say and show, that they come out the same, that nothing half-written is left."""

import builtins
import math
from dataclasses import replace

import numpy as np
import pytest

from priors.audit.audit import Audit
from priors.audit.measure import Measures
from priors.dumps.schema import DumpError
from priors.generation.generate import generate_dump
from priors.plots.audits import plot_audit, plot_audits
from priors.plots.dumps import plot_dump
from priors.plots.style import CLASS_COLOURS, PlotError, check_figure, drawn
from priors.presets import PRESETS


def example(source="mine.h5", problem_type="classification", score=0.5):
    rows = [
        Measures(i, 100, 4, 2, score + i / 20, 0.5, 0.1 + i / 30, i / 10, 0.0, 0.0, 0.0) for i in range(10)
    ]
    rows.append(rows[0]._replace(record=10, forest=math.nan, linear=math.nan, correlation=math.nan))
    return Audit(source, problem_type, 11, (), (), "half", 0, tuple(rows))


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_figure_is_what_its_ending_says_and_the_same_each_time(tmp_path, ending):
    contents = []
    for name in ("one", "two"):
        with drawn(tmp_path / f"{name}.{ending}", 3, 2, "Title", "A caption.") as figure:
            figure.subplots().plot([0, 1], [1, 0])
        contents.append((tmp_path / f"{name}.{ending}").read_bytes())
    assert contents[0] == contents[1]
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert contents[0].startswith(start)


def test_nothing_half_written_is_left(tmp_path):
    def draw_half():
        with drawn(tmp_path / "new.png", 3, 2, "Title", "A caption.") as figure:
            figure.subplots()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        draw_half()
    assert not list(tmp_path.iterdir())
    with pytest.raises(DumpError, match="there is no folder"), drawn(tmp_path / "a/new.png", 3, 2, "", ""):
        pass


def test_what_cannot_be_a_figure(tmp_path, monkeypatch):
    with pytest.raises(PlotError, match=r"new\.jpg: a figure must end in one of \.png, \.svg, \.pdf"):
        check_figure(tmp_path / "new.jpg")
    plain_import = builtins.__import__

    def without_matplotlib(name, *args, **kwargs):
        if name.split(".")[0] == "matplotlib":
            raise ImportError
        return plain_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(PlotError, match=r'pip install "nanotabpfn-priors\[plots\]"'):
        check_figure(tmp_path / "new.png")


def test_colours_of_classes_are_all_different():
    assert len(set(CLASS_COLOURS)) == len(CLASS_COLOURS) == 10


def test_an_audit_says_its_shares(texts, tmp_path):
    plot_audit(example(), tmp_path / "audit.svg")
    assert "What mine.h5 has to teach" in texts
    assert "How much there is to learn: 20% at chance, 0% trivial" in texts
    assert "The forest: 0.05 better on 90%, worse on 0%" in texts
    assert any(text.startswith("10 datasets. For each one") for text in texts)
    texts.clear()
    plot_audit(example(problem_type="regression"), tmp_path / "regression.svg")
    assert any("ridge regression" in text for text in texts)
    assert "The smallest class" not in texts


def test_audits_side_by_side(texts, tmp_path):
    plot_audits([example("folder/one.h5"), example("two", score=0.6)], tmp_path / "audits.png")
    assert {"one.h5", "two", "ROC AUC"} <= set(texts)
    assert "20" in texts  # percent at chance of the first
    with pytest.raises(PlotError, match="one problem type"):
        plot_audits([example(), example(problem_type="regression")], tmp_path / "new.png")
    with pytest.raises(PlotError, match="one problem type"):
        plot_audits([], tmp_path / "new.png")


def test_an_audit_without_scores_cannot_be_drawn(tmp_path):
    empty = replace(example(), datasets=example().datasets[-1:])
    for plot in (lambda out: plot_audit(empty, out), lambda out: plot_audits([example(), empty], out)):
        with pytest.raises(PlotError, match=r"mine\.h5: no dataset could be scored"):
            plot(tmp_path / "new.png")
    assert not list(tmp_path.iterdir())


def test_a_dump_of_equal_sizes(published_like, texts, tmp_path):
    read, measured = [], []
    plot_dump(published_like, tmp_path / "dump.png", 4, on_read=read.append, on_measured=measured.append)
    assert "published_like.h5: 640 datasets, all of 150 rows and 5 features, 1 damaged and left out" in texts
    headings = [
        "Splits", "The smallest class *", "How correlated the features are *", "How much there is to learn *",
    ]  # fmt: skip
    assert [text for text in texts if text in headings] == headings
    assert "Features" not in texts
    assert any(text.startswith("* Green: a sample of 4 datasets, all of 2 classes.") for text in texts)
    assert (sum(read), sum(measured)) == (640, 4)


def test_a_dump_of_different_sizes_and_of_our_own(texts, tmp_path):
    config = replace(
        PRESETS["mixed"], num_datapoints=20, num_features=(2, 60), num_classes=(2, 4),
        train_fraction=(0.4, 0.6), block_size=2,
    )  # fmt: skip
    generate_dump(tmp_path / "mine.h5", config, 12, seed=0)
    plot_dump(tmp_path / "mine.h5", tmp_path / "dump.png", 12)
    assert {"Features", "Classes *", "Graph families"} <= set(texts)
    assert "Rows" not in texts
    texts.clear()
    config = replace(config, problem_type="regression")
    generate_dump(tmp_path / "reals.h5", config, 4, seed=0)
    plot_dump(tmp_path / "reals.h5", tmp_path / "reals.png", 4)
    assert "R2 of a random forest" in texts
    assert "Classes *" not in texts


def test_a_dump_of_damaged_records_alone(tiny_dump, tmp_path):
    import h5py

    path = tmp_path / "bad.h5"
    path.write_bytes(tiny_dump.read_bytes())
    with h5py.File(path, "r+") as file:
        file["X"][...] = np.nan
    with pytest.raises(PlotError, match="every record is damaged"):
        plot_dump(path, tmp_path / "new.png")
    assert sorted(tmp_path.iterdir()) == [path]
