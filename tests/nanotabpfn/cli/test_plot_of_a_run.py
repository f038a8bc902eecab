"""nanotabpfn plot: what a run is drawn as."""

from commands import TINY_MODEL, assert_refused
from commands import run_nanotabpfn as run


def test_a_regression_run_without_scores_is_drawn_as_one(tmp_path):
    out, scores = tmp_path / "run", tmp_path / "scores.json"
    prior = ["--prior", "linear", "--set", "num_datapoints=20", "--problem", "regression"]
    result = run(
        "train", *prior, "--out", out, *TINY_MODEL, "--steps", 2, "--suite", "none", "--device", "cpu"
    )
    assert result.exit_code == 0, result.output
    assert run("plot", out, "--out", tmp_path / "figure.svg").exit_code == 0
    drawn = (tmp_path / "figure.svg").read_text()
    assert "negative log density" in drawn
    assert "cross entropy" not in drawn
    scores.write_text('[{"estimator": "knn", "roc_auc": 0.7}]')
    assert_refused(run("plot", out, "--scores", scores), "must hold scores of regression", "has no r2")
