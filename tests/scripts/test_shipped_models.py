"""scripts/shipped_models.py: how shipped models are made, and cards that say what their runs say."""

import json
import runpy
from dataclasses import replace
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from scipy.stats import ttest_rel
from sklearn.datasets import make_regression
from tiny_prior import TINY

from nanotabpfn.estimators.classifier import NanoTabPFNClassifier
from nanotabpfn.evaluation.protocol import evaluate
from nanotabpfn.evaluation.scores import format_scores
from nanotabpfn.evaluation.suites import REGRESSION_SUITES, SUITES, Table, load_suite
from nanotabpfn.model.architecture import TrainedRange
from nanotabpfn.model.checkpoint import load_model, save_model
from priors.config import load_config
from priors.sampling.blocks import sample_block

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "shipped_models.py"))
SHIPPED, train_arguments = SCRIPT["SHIPPED"], SCRIPT["train_arguments"]
REAL = dict(SHIPPED)
GLOBALS = train_arguments.__globals__

TINY_OPTIONS = {
    "steps": 5,
    "batch-size": 4,
    "precision": "float32",
    "held-out": 8,
    "eval-every": 2,
    "checkpoint-every": 2,
    "device": "cpu",
    "embedding-size": 8,
    "heads": 2,
    "hidden": 8,
    "layers": 1,
}
PROBLEMS = {"classifier": {}, "regressor": {"problem_type": "regression"}}
BASELINES = {"classifier": ["decision_tree", "k_nearest_neighbours"], "regressor": ["ridge"]}


def run(*arguments):
    return CliRunner().invoke(SCRIPT["main"], [str(argument) for argument in arguments])


def real_tables(name):
    if name in ("open", "nano-dev", "nano-test"):
        tables = load_suite("builtin")
        if name == "nano-test":
            return [*tables, tables[0]._replace(name="of no choice"), tables[1]._replace(name="nor this")]
        return tables[:3] if name.endswith("dev") else tables
    made = [make_regression(40, 3, noise=noise, random_state=0) for noise in (1, 50)]
    return [Table(f"{name} {i}", x, y) for i, (x, y) in enumerate(made)]


@pytest.fixture(autouse=True, scope="module")
def tiny():
    """Both models, so small that they train in a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(GLOBALS, "load_suite", real_tables)
        for name, problem in PROBLEMS.items():
            shipped = SHIPPED[name]
            priors = {
                "few": (0.7, replace(TINY, **problem, train_fraction=(0.5, 0.5))),
                "many": (0.3, replace(TINY, **problem, num_datapoints=30, num_features=(2, 5))),
            }
            baselines = {baseline: shipped.baselines[baseline] for baseline in BASELINES[name]}
            options = shipped.options | TINY_OPTIONS
            small = shipped._replace(
                priors=priors,
                options=options,
                baselines=baselines,
                kinds=("nano",) if name == "classifier" else ("regression",),
                rivals=tuple(baselines),
            )
            patch.setitem(SHIPPED, name, small)
        yield


@pytest.fixture(scope="module")
def work(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shipped")
    for name in SHIPPED:
        result = run("train", name, "--work", folder)
        assert result.exit_code == 0, result.output
    return folder


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", REAL)
def test_priors_are_weighted_and_give_datasets(name):
    shipped = REAL[name]
    assert sum(weight for weight, _ in shipped.priors.values()) == pytest.approx(1)
    for _, config in shipped.priors.values():
        assert config.block_size % shipped.options["batch-size"] == 0
        [dataset] = sample_block(config, seed=0, block=0, num_datasets=1)
        assert dataset.x.shape[0] == config.num_datapoints


@pytest.mark.parametrize("name", REAL)
def test_its_suites_and_rivals_are_there(name):
    shipped = REAL[name]
    for suite in (shipped.suite, *(f"{kind}-{half}" for kind in shipped.kinds for half in ("dev", "test"))):
        assert suite in (SUITES if name == "classifier" else REGRESSION_SUITES)
    assert set(shipped.rivals) <= set(shipped.baselines)


@pytest.mark.parametrize("name", REAL)
def test_a_run_begins_with_its_priors_and_options_and_goes_on_by_its_config(name, tmp_path, monkeypatch):
    shipped = REAL[name]
    monkeypatch.setitem(SHIPPED, name, shipped)
    words = train_arguments(name, tmp_path, steps=7)
    assert words[:3] == ["train", "--out", str(tmp_path / name)]
    files = [Path(words[i + 1]) for i, word in enumerate(words) if word == "--prior"]
    assert [file.stem for file in files] == list(shipped.priors)
    assert [load_config(file) for file in files] == [config for _, config in shipped.priors.values()]
    given = dict(zip(words[1::2], words[2::2], strict=True))
    assert given["--steps"] == "7"
    assert [float(weight) for weight in given["--weights"].split(",")] == [
        weight for weight, _ in shipped.priors.values()
    ]
    expected = {f"--{option}": str(value) for option, value in (shipped.options | {"steps": 7}).items()}
    assert {option: given[option] for option in expected} == expected

    (tmp_path / name).mkdir()
    (tmp_path / name / "config.json").write_text("{}")
    assert train_arguments(name, tmp_path) == ["train", "--resume", str(tmp_path / name)]
    assert train_arguments(name, tmp_path, 9)[-2:] == ["--steps", "9"]


def test_train_leaves_a_run_that_goes_on(work):
    for name in SHIPPED:
        assert [record["step"] for record in history(work / name)] == [1, 2, 3, 4, 5]
        result = run("train", name, "--work", work)
        assert "finished, all of its 5 steps are done" in result.output
        assert result.exit_code == 0


@pytest.mark.parametrize("name", PROBLEMS)
def test_ship_writes_the_model_and_a_card_of_the_run(name, work, tmp_path):
    result = run("ship", name, "--work", work, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{name}.md", f"{name}.safetensors"]
    model, trained = load_model(tmp_path / f"{name}.safetensors"), load_model(work / name)
    assert all((model.state_dict()[key] == weight).all() for key, weight in trained.state_dict().items())
    classes = (2, 2) if name == "classifier" else None
    assert model.trained_range == trained.trained_range == TrainedRange((12, 18), (2, 5), classes)

    card = (tmp_path / f"{name}.md").read_text()
    shipped = SHIPPED[name]
    header, title = card.split("---\n")[1], card.split("---\n\n")[1]
    assert title.startswith(f"# {name}\n")
    assert yaml.safe_load(header)["pipeline_tag"] == f"tabular-{shipped.problem_type}"
    assert f"scripts/shipped_models.py train {name}" in card
    assert "| trained | 5 steps of 4 datasets, " in card
    assert "not trained to its end" not in card
    assert f"{sum(weights.numel() for weights in model.parameters()):,} parameters |" in card
    listed = "12 to 18 training rows, 2 to 5 features" + (", 2 classes" if classes else "")
    assert f"| trained range | {listed} |" in card
    scored = history(work / name)[4]
    for figure in [figure for figure in scored if figure.startswith("held_out_")]:
        assert f"{scored[figure]:.4f}" in card
    assert "after 5 steps, on 8 datasets of each prior" in card
    priors = json.loads(card.partition("```json\n")[2].partition("\n```")[0])
    assert [(prior["name"], prior["weight"]) for prior in priors] == [("few", 0.7), ("many", 0.3)]
    assert priors[1]["config"]["num_datapoints"] == 30
    assert "num_nodes" in priors[0]["config"]
    assert "label_noise" not in priors[0]["config"]  # as in PriorConfig()

    estimators = {"nanotabpfn": shipped.estimator(model, "cpu", n_estimators=shipped.members)}
    if shipped.members > 1:
        estimators["one_member"] = shipped.estimator(model, "cpu", n_estimators=1)
    estimators |= {baseline: make() for baseline, make in shipped.baselines.items()}
    scores = evaluate(estimators, real_tables(shipped.suite), shipped.problem_type)
    assert format_scores(scores, shipped.figure) in card
    found = {(score.estimator, score.table): getattr(score, shipped.figure) for score in scores}
    tables = dict.fromkeys(score.table for score in scores)
    for baseline in shipped.baselines:
        differences = [found["nanotabpfn", table] - found[baseline, table] for table in tables]
        error = stdev(differences) / sqrt(len(tables))
        won = sum(difference > 0 for difference in differences)
        lost = ", ".join(t for t, difference in zip(tables, differences, strict=True) if difference < 0)
        row = f"| {baseline} | {mean(differences):+.3f} | {error:.3f} | {won} of {len(tables)} | {lost} |"
        assert row in card
    compared = {own: estimators[own] for own in ("nanotabpfn", *shipped.rivals)}
    rows = [line for line in card.partition("## More real tables")[2].splitlines() if line.startswith("| ")]
    kind = shipped.kinds[0]
    suites = {f"{kind}-dev": real_tables(f"{kind}-dev"), f"{kind}-test": real_tables(f"{kind}-test")}
    if name == "classifier":
        suites[f"{kind}-test without `open`"] = suites[f"{kind}-test"][-2:]
    assert len(rows) == 1 + len(suites) * len(shipped.rivals)
    for suite, of_suite in suites.items():
        scores_of_half = evaluate(compared, of_suite, shipped.problem_type)
        for rival in shipped.rivals:
            cells = []
            for figure in ("roc_auc", "log_loss") if name == "classifier" else ("r2",):
                own, other = (
                    [getattr(score, figure) for score in scores_of_half if score.estimator == of]
                    for of in ("nanotabpfn", rival)
                )
                found = ttest_rel(own, other)
                low, high = found.confidence_interval(0.95)
                cells.append(f"{mean(own) - mean(other):+.3f} [{low:+.3f}, {high:+.3f}]")
            assert f"| {suite} | {len(own)} | {rival} | {' | '.join(cells)} |" in rows
    if name == "regressor":
        for score in scores[:: len(estimators)]:
            figures = (score.r2, score.rmse, score.log_density)
            assert f"| {score.table} | {' | '.join(f'{figure:.4g}' for figure in figures)} |" in card


def test_a_run_that_is_not_done_and_one_without_a_range_say_so_and_ship(work, tmp_path):
    folder = tmp_path / "classifier"
    folder.mkdir()
    for file in ["config.json", "history.jsonl", "checkpoints/step-00000005.safetensors"]:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes((work / "classifier" / file).read_bytes())
    settings = json.loads((folder / "config.json").read_text())
    settings["training"]["steps"] = 1000
    (folder / "config.json").write_text(json.dumps(settings))
    with (folder / "history.jsonl").open("a") as file:  # training is ahead of its last checkpoint
        file.write(json.dumps({"step": 6, "loss": 0.0, "train_time": 6000.0}) + "\n")
    model = load_model(work / "classifier")
    expected, model.trained_range = model.trained_range, None
    save_model(model, folder)
    result = run("ship", "classifier", "--work", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "after 5 steps" in result.output
    card = (tmp_path / "out" / "classifier.md").read_text()
    assert (
        "5 steps of 4 datasets (of 1,000 planned: **not trained to its end**), 0 minutes of wall time" in card
    )
    assert load_model(tmp_path / "out" / "classifier.safetensors").trained_range == expected


def test_what_cannot_ship_is_refused_and_what_shipped_before_stays(work, tmp_path, monkeypatch):
    (tmp_path / "classifier.safetensors").write_text("before")
    monkeypatch.setitem(GLOBALS, "MAX_BYTES", 1000)
    result = run("ship", "classifier", "--work", work, "--out", tmp_path)
    assert result.exit_code == 2
    assert "model.safetensors: must have at most 1,000 bytes to ship, got " in result.output
    result = run("ship", "regressor", "--work", tmp_path, "--out", tmp_path)
    assert result.exit_code == 2
    assert "regressor: has no checkpoint yet" in result.output
    assert "scripts/shipped_models.py train regressor" in result.output
    assert [file.name for file in tmp_path.iterdir()] == ["classifier.safetensors"]
    assert (tmp_path / "classifier.safetensors").read_text() == "before"
    assert run("ship", "transformer", "--work", work).exit_code == 2


def test_a_shipped_model_predicts(work, tmp_path):
    assert run("ship", "classifier", "--work", work, "--out", tmp_path).exit_code == 0
    x = np.random.default_rng(0).normal(size=(16, 3))
    classifier = NanoTabPFNClassifier(tmp_path / "classifier.safetensors", "cpu").fit(x, x[:, 0] > 0)
    assert classifier.predict_proba(x).shape == (16, 2)
