"""The public names as a type checker sees them: scripts/test.sh runs mypy on this file, and nothing runs it.

A call that a user may write, with the type of its result. mypy reports a wrong type, and a call of a function
whose arguments or result have none.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, assert_type

import networkx as nx
import numpy as np
import pandas as pd
import torch

import nanotabpfn
import priors
from nanotabpfn import (
    DumpBatches,
    DumpDataset,
    NanoTabPFNClassifier,
    NanoTabPFNModel,
    NanoTabPFNRegressor,
    PriorDataLoader,
    PriorDumpDataLoader,
)
from priors import SCM, Audit, Dataset, Dump, OwnGraph, PriorConfig


def a_prior(rng: np.random.Generator) -> PriorConfig:
    config = PriorConfig(num_features=(2, 10), mechanisms={"mlp": 1.0}, learnability=(0.6, 1.0), twins=True)
    assert_type(config.num_features, tuple[int, int])
    assert_type(config.mechanisms, dict[str, float])
    config = replace(config, num_features=priors.log_uniform(2, 50), num_classes=priors.choice({2: 3, 10: 1}))
    config = replace(config, mechanisms=priors.choice(["mlp", "linear"]), noise_scale=priors.uniform(0.1, 1))
    assert_type(config.to_json(), str)
    assert_type(PriorConfig.from_json("{}"), PriorConfig)
    assert_type(priors.load_config("mine.json"), PriorConfig)
    assert_type(priors.with_overrides(config, {"num_features": 3}), PriorConfig)
    graph = priors.read_graph(Path("credit.graphml"), "default")
    config = replace(
        priors.PRESETS["default"], graph=OwnGraph({"a": {}, "b": {"role": "target"}}, [("a", "b")])
    )
    scm = priors.sample_scm(config, graph, rng).scm
    assert_type(scm, SCM)
    assert_type(scm.graph, nx.DiGraph)
    return config


def datasets(config: PriorConfig) -> Iterator[Dataset]:
    assert_type(priors.sample_dataset(config, priors.stream(0)), Dataset)
    dataset = priors.dataset_at(config, seed=0, index=42)
    assert_type(dataset.x, np.ndarray)
    assert_type(dataset.single_eval_pos, int)
    assert_type(dataset.to_frame(["a", "b"], "c"), pd.DataFrame)
    yield from priors.generate(config, 3, seed=0)


def dumps(config: PriorConfig) -> list[Dataset]:
    assert_type(priors.generate_dump("my.h5", config, num_datasets=3, seed=0), str)
    assert_type(priors.content_hash("my.h5"), str)
    with priors.open_dump("my.h5") as dump:
        assert_type(dump, Dump)
        assert_type(dump[0], Dataset)
        assert_type(dump[1:], list[Dataset])
        assert_type(len(dump), int)
        assert_type(dump.to_pandas(0), pd.DataFrame)
        assert_type(dump.read(0, 3), tuple[np.ndarray, np.ndarray])
        print(priors.describe(dump), priors.compare_dumps(dump, dump)[0].adjusted)
        found = [dataset for dataset in dump] + dump.sample(3)  # noqa: C416
    assert_type(priors.audit_dump("my.h5"), Audit)
    print(priors.describe_audit(priors.audit_prior(config, "mine")))
    print(priors.validate("my.h5").findings, priors.verify("my.h5", num_records=3).notes)
    return found


def training(config: PriorConfig) -> NanoTabPFNModel:
    device = nanotabpfn.get_default_device()
    model = NanoTabPFNModel(
        embedding_size=96, num_attention_heads=4, mlp_hidden_size=192, num_layers=3, num_outputs=2
    )
    dump = PriorDumpDataLoader("my.h5", num_steps=20, batch_size=32, device=device)
    live = PriorDataLoader(config, num_steps=20, batch_size=32, device=device, seed=0)
    for prior in (dump, live):
        model, history = nanotabpfn.train(model, prior, lr=4e-3, device=device)
        assert_type(history[0], tuple[float, dict[str, float]])
        assert_type(history.losses, list[float])
    for batch in DumpBatches("my.h5", shuffle=True):
        assert_type(batch, dict[str, Any])
    assert_type(DumpDataset("my.h5")[0].x, np.ndarray)
    nanotabpfn.save_model(model, "my.safetensors")
    assert_type(nanotabpfn.write_tabicl_batches("my.h5", "batches", batch_size=64).num_batches, int)
    assert_type(nanotabpfn.write_model_card("runs/mine", "My model"), Path)
    assert_type(nanotabpfn.push_to_hub(model, "user/name", private=True), str)
    assert_type(nanotabpfn.from_pretrained("user/name", revision="v2"), NanoTabPFNModel)
    return nanotabpfn.load_model(Path("my.safetensors"))


def prediction(model: NanoTabPFNModel, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    classifier = NanoTabPFNClassifier(model, "cpu").fit(X, y)
    assert_type(classifier, NanoTabPFNClassifier)
    assert_type(classifier.predict_proba(X), np.ndarray)
    regressor = NanoTabPFNRegressor(random_state=0).fit(X, y)
    assert_type(regressor, NanoTabPFNRegressor)
    scores = nanotabpfn.evaluate({"mine": classifier}, nanotabpfn.load_suite("builtin"), progress=False)
    print(scores[0].table, torch.get_num_threads())
    return classifier.predict(X)
