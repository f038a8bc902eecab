"""Wrong arguments of public functions: each is named with the rule, and none is answered in silence."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from tiny_prior import TINY

from nanotabpfn import (
    NanoTabPFNClassifier,
    NanoTabPFNModel,
    NanoTabPFNRegressor,
    PriorDataLoader,
    PriorDumpDataLoader,
    evaluate,
    load_model,
    load_suite,
    save_model,
    train,
)
from nanotabpfn.evaluation.suites import Table
from priors import SCM, PriorConfig, dataset_at, generate, generate_dump, sample_dataset, sample_scm, stream

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)
CHAIN = nx.DiGraph([("a", "b"), ("b", "c")])


def wave(parents, rng):
    return parents[:, 0]


def small_model(num_outputs=2):
    with torch.random.fork_rng():
        return NanoTabPFNModel(8, 2, 8, 1, num_outputs)


def refused(kind, message, function, *args, **kwargs):
    with pytest.raises(kind, match=message):
        function(*args, **kwargs)


# Priors


def test_a_function_in_a_config_is_taken_by_its_dotted_path():
    from json import dumps  # a function of a module that every process can import

    config = PriorConfig(mechanisms=["linear", dumps], graphs={"random_tree": 1})
    assert config.mechanisms == {"linear": 1.0, "json:dumps": 1.0}
    from priors.families.mechanisms import mlp

    assert PriorConfig(mechanisms=mlp).mechanisms == {"mlp": 1.0}
    assert PriorConfig(mechanisms={mlp: 2}).mechanisms == {"mlp": 2.0}


def test_a_function_that_no_other_process_can_import_is_answered_with_what_to_write():
    inside = lambda parents, rng: parents[:, 0]  # noqa: E731
    for given in (inside, [inside], {inside: 1}, ["linear", inside]):
        refused(
            ValueError,
            'write it in a file of the current folder.*give "mine:NAME"',
            PriorConfig,
            mechanisms=given,
        )


def test_what_is_no_config_is_answered_with_one(tmp_path):
    message = r'config must be a PriorConfig, such as PRESETS\["default"\], got \'default\''
    refused(TypeError, message, sample_dataset, "default", stream(0))
    refused(TypeError, message, dataset_at, "default", 0, 0)
    refused(TypeError, message, lambda: list(generate("default", 1, 0)))
    refused(TypeError, message, generate_dump, tmp_path / "a.h5", "default", 1, 0)
    refused(TypeError, message, PriorDataLoader, "default", 1, 4)
    refused(TypeError, message, sample_scm, "default", CHAIN, stream(0))


def test_numbers_that_are_no_integers_are_named(tmp_path):
    refused(TypeError, "rng must be a numpy Generator, such as stream.0., got 0", sample_dataset, TINY, 0)
    refused(TypeError, "must be integers, got seed='0'", stream, "0")
    refused(TypeError, "seed must be an integer, got 1.5", generate_dump, tmp_path / "a.h5", TINY, 4, 1.5)
    refused(
        TypeError, "num_datasets must be an integer, got 2.5", generate_dump, tmp_path / "a.h5", TINY, 2.5, 0
    )
    refused(TypeError, "num_datasets must be an integer, got 2.5", lambda: list(generate(TINY, 2.5, 0)))
    refused(TypeError, "index must be an integer, got 1.5", dataset_at, TINY, 0, 1.5)


def test_a_model_with_wrong_noise_or_nodes_is_refused():
    mechanisms = {"b": wave, "c": wave}
    noises = {"a": lambda n, rng: 1.0}
    refused(
        ValueError,
        r"noise of node 'a' must return \(5,\), got \(\)",
        SCM(CHAIN, mechanisms, noises).sample,
        5,
        stream(0),
    )
    refused(ValueError, "target: node 'z' is not in the graph", sample_scm, TINY, CHAIN, stream(0), "z")
    refused(
        ValueError,
        "mechanisms: node 'a' has no parents",
        sample_scm,
        TINY,
        CHAIN,
        stream(0),
        mechanisms={"a": wave},
    )


# Loaders, models, training


def test_settings_of_loaders_are_named(tiny_dump):
    refused(ValueError, "num_steps must be an integer, got 2.5", PriorDumpDataLoader, tiny_dump, 2.5, 4)
    refused(
        ValueError,
        "device must be auto, cpu, cuda or mps, got 'gpu'",
        PriorDumpDataLoader,
        tiny_dump,
        2,
        4,
        "gpu",
    )
    refused(ValueError, "embedding_size must be an integer, got 8.0", NanoTabPFNModel, 8.0, 2, 8, 1, 2)


def test_a_model_takes_classes_as_integers_and_refuses_what_does_not_fit_together():
    model, x, y = small_model(), torch.randn(2, 10, 3), torch.tensor([[0, 1, 0, 1, 1, 0]] * 2)
    assert torch.equal(model((x, y), 6), model((x, y.float()), 6))
    refused(ValueError, r"got \(2, 10, 3\) and \(1, 6\)", model, (x, y[:1]), 6)
    refused(ValueError, r"got \(10, 3\) and \(2, 6\)", model, (x[0], y), 6)
    refused(ValueError, "dtype of the weights, torch.float32, got torch.float64", model, (x.double(), y), 6)


def batches(**changes):
    y = torch.tensor([[0.0, 1.0] * 6] * 4)
    return [{"x": torch.randn(4, 12, 3), "y": y, "train_test_split_index": 6} | changes] * 2


@pytest.mark.parametrize("label", [0.5, -100, 2, float("nan")])
def test_labels_that_are_no_classes_of_the_model_are_refused_in_training(label):
    y = batches()[0]["y"].clone()
    y[1, 9] = label
    refused(
        ValueError,
        "y must hold classes, 0 to 1 for the model's 2 outputs",
        train,
        small_model(),
        batches(y=y),
    )


def test_wrong_arguments_of_training_are_named(tiny_dump):
    refused(ValueError, r"y must be \(4, 12\)", train, small_model(), batches(y=torch.zeros(4, 11)))
    refused(ValueError, "prior must give at least one batch, got none", train, small_model(), [])
    refused(TypeError, "prior must give batches.*got a str", train, small_model(), str(tiny_dump))
    refused(TypeError, "model must be a NanoTabPFNModel, got a list", train, batches(), small_model())
    refused(
        ValueError, "lr must be finite and above 0, got '1e-3'", train, small_model(), batches(), lr="1e-3"
    )
    message = "eval_func must return a dict of names and numbers, got 0.5"
    refused(TypeError, message, train, small_model(), batches(), steps_per_eval=1, eval_func=lambda _: 0.5)


def test_training_returns_the_losses_too():
    _, history = train(small_model(), batches(), device="cpu")
    assert history == []
    assert len(history.losses) == 2


def test_a_model_is_not_saved_under_the_name_of_a_pickle(tmp_path):
    refused(ValueError, "call it .*model.safetensors", save_model, small_model(), tmp_path / "model.pth")
    refused(
        FileNotFoundError,
        "there is no such folder: '.*absent'",
        save_model,
        small_model(),
        tmp_path / "absent" / "m",
    )
    refused(
        TypeError,
        "model must be a NanoTabPFNModel, got a Linear",
        save_model,
        torch.nn.Linear(2, 2),
        tmp_path,
    )
    assert load_model(save_model(small_model(), tmp_path)).num_outputs == 2


# Estimators and evaluation


def test_rows_of_pandas_in_another_order_are_warned_of():
    table, labels = pd.DataFrame(X, columns=list("abc")), pd.Series(Y)
    shuffled = table.sample(frac=1, random_state=0)
    with pytest.warns(UserWarning, match=r"same index labels in another order.*y.loc\[X.index\]"):
        NanoTabPFNClassifier(small_model(), "cpu").fit(shuffled, labels)
    NanoTabPFNClassifier(small_model(), "cpu").fit(shuffled, labels.loc[shuffled.index])


def test_wrong_arguments_of_estimators_are_named():
    message = (
        "random_state must be an integer of at least 0, a numpy Generator or RandomState, or None, got 'a'"
    )
    refused(ValueError, message, NanoTabPFNClassifier(small_model(), "cpu", random_state="a").fit, X, Y)
    regressor = NanoTabPFNRegressor(device="cpu").fit(X, X[:, 0])
    refused(
        ValueError,
        "quantiles need output=\"quantiles\", got output='mean'",
        regressor.predict,
        X,
        quantiles=[0.5],
    )
    assert regressor.predict(X[:2], "quantiles").shape == (2, 3)


def test_wrong_arguments_of_evaluate_are_named():
    classifier, tables = NanoTabPFNClassifier(small_model(), "cpu"), load_suite("builtin")[1:2]
    named = {"mine": classifier}
    refused(TypeError, "estimators must be a dict of names and estimators", evaluate, classifier, tables)
    refused(TypeError, r"such as load_suite\('open'\), got a dict and a str", evaluate, named, "builtin")
    refused(
        TypeError, "'mine' must have fit.*got a NanoTabPFNModel", evaluate, {"mine": small_model()}, tables
    )
    refused(
        ValueError,
        "problem_type must be classification or regression, got 'regresion'",
        evaluate,
        named,
        tables,
        "regresion",
    )
    refused(ValueError, "more than one called 'iris_versicolor'", evaluate, named, [*tables, *tables])
    missing = Table("t", X, np.where(Y == 1, np.nan, 0.0))
    refused(ValueError, r"table 't': \d+ of 60 labels are missing", evaluate, named, [missing])
    refused(
        ValueError,
        "y holds real numbers; problem_type='regression'",
        evaluate,
        named,
        [Table("t", X, X[:, 0])],
    )
