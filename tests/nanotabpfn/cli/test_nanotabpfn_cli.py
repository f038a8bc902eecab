"""The command `nanotabpfn`: train, evaluate, plot; bad input is one or two plain lines and exit code 2."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from commands import TINY_MODEL, assert_refused, train_tiny
from commands import run_nanotabpfn as run
from tiny_prior import TINY

import nanotabpfn.cli.train_run
import nanotabpfn.model.precision
from nanotabpfn.data.loaders import PriorDumpDataLoader
from nanotabpfn.estimators.base import OutsideTrainedRangeWarning
from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.evaluation.held_out import score_held_out
from nanotabpfn.model.architecture import NanoTabPFNModel, TrainedRange
from nanotabpfn.model.bins import standard_edges
from nanotabpfn.model.checkpoint import load_model, save_model
from nanotabpfn.training.curves import describe_run
from nanotabpfn.training.loop import train
from nanotabpfn.training.recipes import DEFAULT_RECIPE, RECIPES
from nanotabpfn.training.step import TrainingError
from priors.config import PriorConfig
from priors.dumps.read import open_dump
from priors.generation.generate import generate_dump
from priors.presets import PRESETS


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory, tiny_dump):
    out = tmp_path_factory.mktemp("runs") / "finished"
    result = train_tiny(tiny_dump, out, "--eval-every", 3)
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def scores_file(finished_run):
    file = finished_run / "scores.json"
    result = run("evaluate", "--model", finished_run, "--baselines", "--out", file, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "logistic_regression" in result.output
    return file


def test_a_run_holds_config_history_and_model(finished_run, tiny_dump):
    settings = json.loads((finished_run / "config.json").read_text())
    [source] = settings["data"]
    assert source["dump"] == str(tiny_dump)
    assert source["attributes"]["seed"] == "0"
    assert settings["training"]["steps"] == 6
    history = [json.loads(line) for line in (finished_run / "history.jsonl").read_text().splitlines()]
    assert [record["step"] for record in history] == list(range(1, 7))
    assert [record["step"] for record in history if "roc_auc" in record] == [3, 6]
    assert load_model(finished_run).config == settings["model"]


def test_the_seed_decides_everything(tmp_path, tiny_dump):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train_tiny(tiny_dump, tmp_path / name, "--eval-every", 0, "--seed", seed).exit_code == 0
    weights = {name: load_model(tmp_path / name).state_dict() for name in "abc"}
    assert all(torch.equal(weight, weights["b"][key]) for key, weight in weights["a"].items())
    assert any(not torch.equal(weight, weights["c"][key]) for key, weight in weights["a"].items())


def test_the_model_fits_the_dumps_classes_and_skipped_records_are_reported(tmp_path, published_like):
    result = train_tiny(published_like, tmp_path / "run", "--eval-every", 0, "--steps", 160)
    assert result.exit_code == 0, result.output
    assert load_model(tmp_path / "run").num_outputs == 2
    assert "skipped 1 records" in result.output


def test_an_existing_run_is_kept_without_overwrite(tmp_path, tiny_dump):
    out = tmp_path / "run"
    assert train_tiny(tiny_dump, out, "--eval-every", 0).exit_code == 0
    before = (out / "history.jsonl").read_text()
    assert_refused(train_tiny(tiny_dump, out), out, "--overwrite")
    assert (out / "history.jsonl").read_text() == before
    assert train_tiny(tiny_dump, out, "--eval-every", 0, "--overwrite", "--seed", 5).exit_code == 0
    assert (out / "history.jsonl").read_text() != before


def test_a_training_error_keeps_the_model_and_exits_1(tmp_path, tiny_dump, monkeypatch):
    def fail(*arguments, on_step, **settings):
        for step in (1, 2):
            on_step({"step": step, "loss": 0.7, "class_entropy": 0.6})
        raise TrainingError("step 3: the loss is not finite")

    monkeypatch.setattr(nanotabpfn.cli.train_run, "train", fail)
    result = train_tiny(tiny_dump, tmp_path / "run", "--eval-every", 0)
    assert result.exit_code == 1
    assert "Error: step 3" in result.stderr
    assert load_model(tmp_path / "run").num_outputs == 2


def test_evaluate_prints_a_table_and_writes_the_scores(scores_file):
    scores = json.loads(scores_file.read_text())
    assert len(scores) == 4 * 5
    assert {score["table"] for score in scores} >= {"breast_cancer", "diabetes_median"}
    assert all(0 <= score["roc_auc"] <= 1 for score in scores)


def test_evaluate_takes_several_suites_and_samples_of_rows(finished_run, tmp_path):
    arguments = ["evaluate", "--model", finished_run, "--device", "cpu", "--out"]
    suites = ["--suite", "open-missing", "--suite", "missing-dev", "--row-samples", 2]
    result = run(*arguments, tmp_path / "scores.json", *suites)
    assert result.exit_code == 0, result.output
    assert "suite open-missing:" in result.output
    assert "suite missing-dev:" in result.output
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert [score["suite"] for score in scores] == ["open-missing"] * 2 + ["missing-dev"] * 5
    one = run(*arguments, tmp_path / "one.json", "--suite", "open-missing")
    assert "suite open-missing:" not in one.output
    singles = json.loads((tmp_path / "one.json").read_text())
    assert singles[0]["roc_auc"] != scores[0]["roc_auc"]


def test_train_takes_several_suites(tmp_path, tiny_dump):
    suites = ["--suite", "open-missing", "--suite", "builtin"]
    result = train_tiny(tiny_dump, tmp_path / "run", "--steps", 2, "--eval-every", 2, *suites)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "run" / "config.json").read_text())["training"]["suite"] == (
        "open-missing builtin"
    )
    evaluated = run("evaluate", "--model", tmp_path / "run", "--device", "cpu", *suites,
                    "--out", tmp_path / "scores.json")  # fmt: skip
    assert evaluated.exit_code == 0, evaluated.output
    mean = np.mean([score["roc_auc"] for score in json.loads((tmp_path / "scores.json").read_text())])
    last = json.loads((tmp_path / "run" / "history.jsonl").read_text().splitlines()[-1])
    assert last["roc_auc"] == pytest.approx(mean)


@pytest.mark.parametrize(
    ("suites", "message"),
    [
        (["builtin", "builtin"], "each suite only once, got builtin"),
        (["builtin", "none"], "none cannot be given with other suites"),
        (["builtin", "regression-dev"], "regression-dev is not for classification"),
    ],
)
def test_suites_that_do_not_go_together(tmp_path, tiny_dump, suites, message):
    options = [part for name in suites for part in ("--suite", name)]
    assert_refused(train_tiny(tiny_dump, tmp_path / "run", *options), "--suite", message)


def test_evaluate_takes_a_file_too(finished_run):
    result = run("evaluate", "--model", finished_run / "model.safetensors", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "| mean" in result.output
    assert "random_forest" not in result.output


def test_plot_draws_the_run(finished_run, scores_file, tmp_path):
    result = run("plot", finished_run, "--scores", scores_file)
    assert result.exit_code == 0, result.output
    assert (finished_run / "training.png").read_bytes().startswith(b"\x89PNG")
    result = run("plot", finished_run, "--out", tmp_path / "figure.svg")
    assert result.exit_code == 0, result.output
    assert "training step" in (tmp_path / "figure.svg").read_text()


def test_the_picture_says_what_was_trained_and_scored(finished_run):
    title = describe_run(finished_run / "config.json")
    assert (
        title
        == "nanoTabPFN trained by the recipe warm-up on tiny.h5, 4 datasets a step, scored on suite builtin"
    )


def test_the_picture_says_by_which_recipe(tmp_path):
    settings = {
        "data": [{"prior": "default"}],
        "training": {"recipe": "muon", "batch_size": 8, "eval_every": 0, "suite": "open"},
    }
    (tmp_path / "config.json").write_text(json.dumps(settings))
    title = describe_run(tmp_path / "config.json")
    assert title == "nanoTabPFN trained by the recipe muon on prior default, 8 datasets a step"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--steps", "0"], ["--steps", "0"]),
        (["--lr", "0"], ["--lr", "0"]),
        (["--heads", "3"], ["embedding_size", "8", "3"]),
        (["--suite", "no-such"], ["no-such", "builtin"]),
        (["--device", "tpu"], ["tpu", "cpu"]),
        (["--dump", "missing.h5"], ["missing.h5"]),
        (["--dump", __file__], [__file__]),
        (["--no-such-option"], ["--no-such-option"]),
    ],
)
def test_bad_input_to_train(tmp_path, tiny_dump, arguments, words):
    assert_refused(train_tiny(tiny_dump, tmp_path / "run", *arguments), *words)
    assert list(tmp_path.iterdir()) == []


def test_several_dumps_are_mixed_by_weight(tmp_path, tiny_dump, published_like):
    losses = []
    for name, options in [("a", ["--workers", 1]), ("b", []), ("c", ["--weights", "1e-9,1"])]:
        out = tmp_path / name
        result = train_tiny(tiny_dump, out, "--dump", published_like, "--eval-every", 0, *options)
        assert result.exit_code == 0, result.output
        assert f"{out / 'model.safetensors'}: trained 6 steps on tiny.h5, published_like.h5" in result.output
        data = json.loads((out / "config.json").read_text())["data"]
        assert [source["dump"] for source in data] == [str(tiny_dump), str(published_like)]
        assert [source["attributes"].get("seed") for source in data] == ["0", None]
        history = (out / "history.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in history])
    assert losses[0] == losses[1] != losses[2]


TINY_PRIOR = ["--set", "num_datapoints=24", "--set", "num_features=[3, 3]", "--set", "num_nodes=[5, 8]"]


def train_live(out, *more):
    return run("train", "--out", out, "--batch-size", 4, "--steps", 6, "--suite", "none", *TINY_MODEL, *more)


def test_a_live_prior_trains_as_its_dump_does(tmp_path):
    dump, file = tmp_path / "dump.h5", tmp_path / "mine.json"
    config = replace(PRESETS["tree-scm"], num_datapoints=24, num_features=(3, 3), num_nodes=(5, 8))
    generate_dump(dump, config, 64, seed=3)
    file.write_text(config.to_json())
    histories = []
    for name, options in [
        ("live", ["--prior", "tree-scm", *TINY_PRIOR]),
        ("here", ["--prior", file, "--workers", 0]),
        ("mixed", ["--prior", file, "--prior", "tree-scm", *TINY_PRIOR]),
        ("other", ["--prior", "default", *TINY_PRIOR]),
    ]:
        result = train_live(tmp_path / name, "--seed", 3, *options)
        assert result.exit_code == 0, result.output
        histories.append(losses(tmp_path / name))
    assert "trained 6 steps on prior default" in result.output
    assert histories[0] == histories[1] != histories[3]
    # Two streams of the same datasets, each from its beginning.
    assert histories[2][0] == histories[0][0]
    assert histories[2] != histories[0]
    settings = json.loads((tmp_path / "live" / "config.json").read_text())
    assert settings["data"] == [{"prior": "tree-scm", "config": json.loads(config.to_json()), "weight": 1.0}]
    assert settings["training"]["workers"] == 1
    loader = PriorDumpDataLoader(dump, 6, 4, "cpu")  # in the order of the file
    torch.manual_seed(3)
    records = []
    training = RECIPES[DEFAULT_RECIPE].training
    train(NanoTabPFNModel(8, 2, 8, 1, 2), loader, device="cpu", on_step=records.append, **training)
    assert [record["loss"] for record in records] == histories[0]


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "history.jsonl").read_text().splitlines()]


def test_a_live_run_goes_on_where_it_was(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ["--prior", "default", *TINY_PRIOR, "--held-out", 5, "--eval-every", 2]
    assert train_live(whole, *options, "--steps", 9).exit_code == 0
    assert train_live(parts, *options).exit_code == 0
    result = run("train", "--resume", parts, "--steps", 9)
    assert result.exit_code == 0, result.output
    assert losses(parts) == losses(whole)
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_precision_and_accumulation_are_settings_of_the_run(tmp_path, tiny_dump, monkeypatch):
    monkeypatch.setattr(nanotabpfn.model.precision, "has_native_bfloat16", lambda device: True)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ["--precision", "auto", "--grad-accumulation", 2, "--eval-every", 0]
    assert train_tiny(tiny_dump, whole, *options, "--steps", 9).exit_code == 0
    assert train_tiny(tiny_dump, parts, *options).exit_code == 0
    training = json.loads((parts / "config.json").read_text())["training"]
    assert (training["precision"], training["grad_accumulation"]) == ("bfloat16", 2)
    monkeypatch.undo()  # as on another machine: what auto was at the start stays
    assert run("train", "--resume", parts, "--steps", 9).exit_code == 0
    assert losses(parts) == losses(whole)
    plain = tmp_path / "plain"
    assert train_tiny(tiny_dump, plain, "--eval-every", 0, "--steps", 9).exit_code == 0
    assert losses(parts) != losses(plain)
    assert losses(parts) == pytest.approx(losses(plain), rel=0.02)


def test_dumps_and_priors_are_mixed(tmp_path, tiny_dump):
    result = train_live(tmp_path / "run", "--dump", tiny_dump, "--prior", "default", *TINY_PRIOR)
    assert result.exit_code == 0, result.output
    assert "trained 6 steps on tiny.h5, prior default" in result.output
    assert describe_run(tmp_path / "run" / "config.json") == (
        "nanoTabPFN trained by the recipe warm-up on tiny.h5 and prior default, 4 datasets a step"
    )


def test_the_model_knows_what_it_was_trained_on_and_the_classifier_warns_beyond(tmp_path, tiny_dump):
    with open_dump(tiny_dump) as dump:
        splits = PriorConfig.from_json(dump.attributes["config"]).split_range
    changes = ["num_datapoints=40", "num_features=[2, 5]", "train_fraction=[0.5, 0.75]"]
    prior = ["--prior", "default", *(word for change in changes for word in ("--set", change))]
    for name, options, expected in [
        ("dump", ["--dump", tiny_dump], TrainedRange(splits, (3, 3), (2, 2))),
        ("prior", [*prior, "--set", "num_classes=[2, 4]"], TrainedRange((20, 30), (2, 5), (2, 4))),
        ("both", ["--dump", tiny_dump, *prior], TrainedRange((splits[0], 30), (2, 5), (2, 2))),
    ]:
        result = train_live(tmp_path / name, *options, "--workers", 0)
        assert result.exit_code == 0, result.output
        assert load_model(tmp_path / name).trained_range == expected
    x = np.random.default_rng(0).normal(size=(12, 7))
    classifier = NanoTabPFNClassifier(tmp_path / "dump", "cpu")
    with pytest.warns(OutsideTrainedRangeWarning, match=r"7 features \(trained on 3\)"):
        classifier.fit(x, x[:, 0] > 0)
    classifier.fit(x[:, :3], x[:, 0] > 0)  # inside

    # A run of an older version, whose model has no range: resuming the run adds it.
    model = load_model(tmp_path / "both")
    model.trained_range = None
    save_model(model, tmp_path / "both")
    assert run("train", "--resume", tmp_path / "both", "--steps", 7).exit_code == 0
    assert load_model(tmp_path / "both").trained_range == TrainedRange((splits[0], 30), (2, 5), (2, 2))


def test_what_is_held_out_is_scored_and_drawn(tmp_path, tiny_dump):
    out = tmp_path / "run"
    result = train_tiny(tiny_dump, out, "--held-out", 10, "--suite", "none", "--eval-every", 2)
    assert result.exit_code == 0, result.output
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    scored = [record for record in history if "held_out_loss" in record]
    assert [record["step"] for record in scored] == [2, 4, 6]
    assert all(0 <= record["held_out_accuracy"] <= 1 for record in scored)
    assert not any("roc_auc" in record for record in history)
    loader = PriorDumpDataLoader(tiny_dump, 1, 4, "cpu", held_out=10)
    expected = score_held_out(load_model(out), loader.held_out_batches(), "cpu")
    assert {name: scored[-1][name] for name in expected} == expected
    result = run("plot", out, "--out", tmp_path / "figure.svg")
    assert result.exit_code == 0, result.output
    assert "held out" in (tmp_path / "figure.svg").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--prior", "no-such"], ["--prior", "no-such", "default", "nor a file"]),
        (["--prior", __file__], [__file__]),
        (["--prior", "default", "--set", "no=1"], ["unknown field 'no'"]),
        (["--prior", "default", "--set", "num_features"], ["--set: a setting is FIELD=VALUE"]),
        (["--prior", "default", "--set", "num_features=[9, 2]"], ["num_features"]),
        (
            ["--prior", "default", "--set", 'problem_type="regression"'],
            ["--prior default is of regression", "--problem is classification", "--problem regression"],
        ),
        (
            ["--problem", "regression", "--prior", "default", "--set", 'problem_type="classification"'],
            ["--prior default is of classification", "--problem is regression"],
        ),
        (["--prior", "default", "--set", "missing_fraction=[0, 0.5]"], ["missing cells"]),
        (["--prior", "default", "--weights", "1,2"], ["--weights", "1 in all, got 2"]),
        (["--set", "num_features=[2, 3]"], ["--dump or --prior"]),
        (["--prior", "default", "--held-out", -1], ["--held-out"]),
        (["--prior", "default", "--log", "paper"], ["--log", "'tensorboard', 'wandb'"]),
    ],
)
def test_bad_input_to_live_training(tmp_path, options, words):
    assert_refused(train_live(tmp_path / "run", *options), *map(str, words))
    assert list(tmp_path.iterdir()) == []


def test_holding_out_all_of_a_dump_or_setting_a_dump_is_refused(tmp_path, tiny_dump):
    assert_refused(train_tiny(tiny_dump, tmp_path / "run", "--held-out", 64), "held_out", "64 datasets")
    assert_refused(train_tiny(tiny_dump, tmp_path / "run", "--set", "num_nodes=[3, 4]"), "--set needs a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("weights", ["0.7", "0.7,0.2,0.1", "0.7,none", "1,0", "1,-1", "inf,1", "nan,1", ""])
def test_bad_weights_are_refused(tmp_path, tiny_dump, weights):
    result = train_tiny(tiny_dump, tmp_path / "run", "--dump", tiny_dump, "--weights", weights)
    assert_refused(result, "--weights", "got")
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_is_refused(tmp_path, tiny_dump, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert_refused(train_tiny(tiny_dump, tmp_path / "run", "--device", "cuda"), "--device", "'cuda'")


def test_an_unwritable_directory_is_refused(tmp_path, tiny_dump):
    (tmp_path / "file").write_text("")
    assert_refused(train_tiny(tiny_dump, tmp_path / "file", "--eval-every", 0), "file")
    assert_refused(
        train_tiny(tiny_dump, tmp_path / "file" / "run", "--eval-every", 0), "file", "cannot be written"
    )


def test_a_dump_that_lacks_a_key_is_refused(tmp_path, tiny_dump):
    path = tmp_path / "keyless.h5"
    path.write_bytes(tiny_dump.read_bytes())
    with h5py.File(path, "r+") as file:
        del file["X"]
    assert_refused(train_tiny(path, tmp_path / "run"), "keyless.h5", "X")
    assert not (tmp_path / "run").exists()


def test_bad_input_to_evaluate_and_plot(tmp_path, finished_run):
    assert_refused(run("evaluate", "--model", tmp_path / "missing"), "missing")
    assert_refused(run("evaluate", "--model", tmp_path), tmp_path, "no such file")
    (tmp_path / "text").write_text("no model")
    assert_refused(run("evaluate", "--model", tmp_path / "text"), "text", "not a readable safetensors file")
    assert_refused(run("plot", tmp_path), f"{tmp_path} holds no run: there is no history.jsonl")
    assert_refused(run("plot", finished_run, "--out", "figure.txt"), "must end in one of .png, .svg, .pdf")
    absent = tmp_path / "absent" / "file.json"
    for words in (["plot", finished_run], ["evaluate", "--model", finished_run]):  # before any work
        out = absent.with_suffix(".png") if words[0] == "plot" else absent
        assert_refused(run(*words, "--out", out), f"cannot be written: there is no folder {absent.parent}")
    assert_refused(run("plot", finished_run, "--scores", tmp_path / "text"), "text", "no readable scores")
    (tmp_path / "history.jsonl").write_text("")
    assert_refused(run("plot", tmp_path), "holds no steps")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["evaluate", "--help"], ["plot", "--help"]]
)
def test_help(arguments):
    result = run(*arguments)
    assert result.exit_code == 0
    assert "Usage: " in result.output


def test_version():
    result = run("--version")
    assert result.exit_code == 0
    assert result.output.startswith("nanotabpfn, version ")


@pytest.fixture(scope="module")
def regression_dump(tmp_path_factory):
    path = tmp_path_factory.mktemp("dumps") / "real.h5"
    generate_dump(path, replace(TINY, problem_type="regression"), 48, seed=0)
    return path


def test_regression_trains_goes_on_and_is_scored(tmp_path, regression_dump):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ["--problem", "regression", "--held-out", 8, "--eval-every", 3, "--grad-accumulation", 2]
    assert train_tiny(regression_dump, whole, *options, "--steps", 9, "--suite", "none").exit_code == 0
    assert train_tiny(regression_dump, parts, *options, "--suite", "none").exit_code == 0
    result = run("train", "--resume", parts, "--steps", 9)
    assert result.exit_code == 0, result.output
    assert losses(parts) == losses(whole)
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    model = load_model(whole)
    assert (model.problem_type, model.num_outputs) == ("regression", 100)
    assert model.config["bin_edges"] == standard_edges()
    last = json.loads((whole / "history.jsonl").read_text().splitlines()[-1])
    loader = PriorDumpDataLoader(regression_dump, 1, 4, "cpu", held_out=8)
    expected = score_held_out(model, loader.held_out_batches(), "cpu")
    assert expected.keys() == {"held_out_loss", "held_out_r2"}
    assert {name: last[name] for name in expected} == expected
    scores = tmp_path / "scores.json"
    result = run("evaluate", "--model", whole, "--baselines", "--out", scores, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "hist_gradient_boosting" in result.output
    assert {score["table"] for score in json.loads(scores.read_text())} == {"diabetes"}
    result = run("plot", whole, "--scores", scores, "--out", tmp_path / "figure.svg")
    assert result.exit_code == 0, result.output
    assert_refused(
        run("evaluate", "--model", whole, "--suite", "open"), "--suite", "open is not for regression"
    )


def test_the_problem_must_be_the_datas(tmp_path, tiny_dump, regression_dump):
    for dump, problem, other in [
        (tiny_dump, "regression", "classification"),
        (regression_dump, "classification", "regression"),
    ]:
        result = train_tiny(dump, tmp_path / "run", "--problem", problem)
        assert_refused(result, dump.name, f"is a dump of {other}", f"--problem is {problem}")
    result = train_tiny(regression_dump, tmp_path / "run", "--problem", "regression", "--suite", "builtin")
    assert_refused(result, "--suite", "builtin is not for regression", "open-regression")
    assert list(tmp_path.iterdir()) == []
    loader = PriorDumpDataLoader(regression_dump, 1, 4, "cpu")
    with pytest.raises(ValueError, match="the prior is of regression, the model of classification"):
        train(NanoTabPFNModel(8, 2, 8, 1, 2), loader, device="cpu")
    real = NanoTabPFNModel(8, 2, 8, 1, 4, bin_edges=standard_edges(4))
    with pytest.raises(ValueError, match="the prior is of classification, the model of regression"):
        train(real, PriorDumpDataLoader(tiny_dump, 1, 4, "cpu"), device="cpu")
