"""Arguments of the wrong type, and unknown names: public functions answer them in words of their own."""

import networkx as nx
import pytest
import torch
from commands import TINY_MODEL, assert_refused, run_nanotabpfn, run_priors

import nanotabpfn
import priors
from nanotabpfn import NanoTabPFNModel
from priors import PRESETS, SCM, stream

CHAIN = nx.DiGraph([("age", "income"), ("income", "default")])
NO_PATHS = {
    "open_dump": lambda: priors.open_dump(None),
    "generate_dump": lambda: priors.generate_dump(None, PRESETS["default"], 4, 0),
    "convert": lambda: priors.convert(None, "a.npz"),
    "content_hash": lambda: priors.content_hash(3),
    "validate": lambda: priors.validate(None),
    "verify": lambda: priors.verify(None, 3),
    "audit_dump": lambda: priors.audit_dump(None),
    "load_config": lambda: priors.load_config(3),
    "read_graph": lambda: priors.read_graph(None),
    "split_dump": lambda: priors.split_dump(None, ".", [1]),
    "shuffle_dump": lambda: priors.shuffle_dump("a.h5", None, 0),
    "merge_dumps": lambda: priors.merge_dumps(["a.h5", "b.h5"], None),
    "load_model": lambda: nanotabpfn.load_model(None),
    "save_model": lambda: nanotabpfn.save_model(NanoTabPFNModel(8, 2, 8, 1), None),
    "from_pretrained": lambda: nanotabpfn.from_pretrained(None),
    "write_model_card": lambda: nanotabpfn.write_model_card(None, "Tiny"),
    "PriorDumpDataLoader": lambda: nanotabpfn.PriorDumpDataLoader(None, 2, 4),
    "DumpDataset": lambda: nanotabpfn.DumpDataset(3),
}


@pytest.mark.parametrize("name", NO_PATHS)
def test_what_is_no_path_is_named(name):
    with pytest.raises(
        TypeError, match=r"^\w+ must be (a path|the place of a model), as text or a Path, got"
    ):
        NO_PATHS[name]()


DUMP_CALLS = {
    "num_datasets must be an integer, got 2.5": lambda dump: dump.sample(2.5),
    "num_datasets must be an integer, got 'a'": lambda dump: dump.sample("a"),
    "num_datasets must be an integer, got True": lambda dump: dump.sample(True),
    "index must be an integer, or a slice of integers, got 1.5": lambda dump: dump[1.5],
    "index must be an integer, or a slice of integers, got 'a'": lambda dump: dump.to_pandas("a"),
    "index must be an integer, or a slice of integers, got slice(0, 1.5, None)": lambda dump: dump[0:1.5],
    "start must be an integer, got 0.5": lambda dump: dump.read(0.5, 2),
    "stop must be an integer, got None": lambda dump: dump.read(0, None),
    "start must be an integer, got 'a'": lambda dump: dump.read_property("graph", "a"),
    "indices must be integers, got [0.5]": lambda dump: dump.read_records([0.5]),
}


@pytest.mark.parametrize("message", DUMP_CALLS)
def test_a_dump_is_asked_by_integers(tiny_dump, message):
    with priors.open_dump(tiny_dump) as dump, pytest.raises(TypeError) as caught:
        DUMP_CALLS[message](dump)
    assert str(caught.value) == message


def test_a_span_beyond_the_dump_is_refused_for_properties_too(tiny_dump):
    with priors.open_dump(tiny_dump) as dump:
        for start, stop in [(-3, 2), (0, 65), (3, 2)]:
            with pytest.raises(IndexError, match="start and stop must keep 0 <= "):
                dump.read_property("graph", start, stop)
        assert dump.read_property("graph").shape == (64,)


OTHER_CALLS = {
    "num_records must be an integer, got 2.5": lambda dump: priors.verify(dump, 2.5),
    "each of sizes must be an integer, got 1.5": lambda dump: priors.split_dump(dump, ".", [1.5]),
    "each of sizes must be an integer, got 'a'": lambda dump: priors.split_dump(dump, ".", "abc"),
    "num_datasets must be an integer, got 'a'": lambda dump: priors.audit_dump(dump, num_datasets="a"),
    "paths must be a list of dumps, got 'a.h5'": lambda dump: priors.merge_dumps("a.h5", "b.h5"),
    "dump must be an open dump, such as": priors.describe,
    "first must be an open dump, such as": lambda dump: priors.compare_dumps(dump, dump),
    'config must be a PriorConfig, such as PRESETS["default"], got': lambda dump: priors.audit_prior(
        "a", "b"
    ),
    "config must be a PriorConfig, got 'default'": lambda dump: priors.with_overrides("default", {}),
    "overrides must be a dict of paths and values, got 'a=3'": lambda dump: priors.with_overrides(
        PRESETS["default"], "a=3"
    ),
    "choice needs options, a list or a dict of weights, got 3": lambda dump: priors.choice(3),
    "single_eval_pos must be an integer, got 'a'": lambda dump: priors.sample_dataset(
        PRESETS["default"], stream(0), "a"
    ),
    "graph must be a networkx.DiGraph, got a list": lambda dump: SCM([1], {}, {}),
    "batch_size must be an integer, got 2.5": lambda dump: nanotabpfn.write_tabicl_batches(dump, "b", 2.5),
    "name must be that of a suite, got None": lambda dump: nanotabpfn.load_suite(None),
}


@pytest.mark.parametrize("message", OTHER_CALLS)
def test_what_is_of_another_type_is_named(tiny_dump, message):
    with pytest.raises(TypeError) as caught:
        OTHER_CALLS[message](tiny_dump)
    assert str(caught.value).startswith(message)


def test_a_title_and_a_repository_are_lines_of_text(tiny_dump, tmp_path):
    for title in (None, 3, " "):
        with pytest.raises(ValueError, match="title must be a line of text, got"):
            priors.write_card([tiny_dump], title)
    with pytest.raises(ValueError, match="repo_id must be a line of text, got None"):
        nanotabpfn.push_to_hub(NanoTabPFNModel(8, 2, 8, 1), None)


# ------------------------------------------------------------------------------------------------------ nodes


def test_an_unknown_node_is_answered_with_those_there_are():
    model = priors.sample_scm(PRESETS["default"], CHAIN, stream(0)).scm
    with pytest.raises(ValueError, match=r"do: node 'incom' is not in the graph; did you mean income?"):
        model.sample(5, stream(0), do={"incom": 1})
    with pytest.raises(ValueError, match="do: node 7 is not in the graph; known: age, income, default"):
        model.sample(5, stream(0), do={7: 1})
    with pytest.raises(ValueError, match="target: node 'z' is not in the graph; known: age, income, default"):
        priors.sample_scm(PRESETS["default"], CHAIN, stream(0), "z")
    with pytest.raises(ValueError, match=r"noises given for nodes .*: \['ages'\]; did you mean age"):
        SCM(CHAIN, {}, {"ages": None})
    with pytest.raises(ValueError, match="node 'incom' is not in the graph; did you mean income"):
        model.with_ancestors(["incom"])


def test_rows_generators_and_interventions_of_a_model_have_their_types():
    model = priors.sample_scm(PRESETS["default"], CHAIN, stream(0)).scm
    with pytest.raises(TypeError, match=r"num_datapoints must be an integer, got 2.5"):
        model.sample(2.5, stream(0))
    with pytest.raises(TypeError, match=r"rng must be a numpy Generator, such as stream\(0\), got 0"):
        model.sample(2, 0)
    with pytest.raises(TypeError, match=r"do must be a dict of nodes and values, got \['age'\]"):
        model.sample(2, stream(0), do=["age"])


# ------------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("names", "name", "message"),
    [
        (PRESETS, "tree_scm", "unknown preset 'tree_scm'; did you mean tree-scm?"),
        (priors.GRAPHS, "erdos", "unknown graph family 'erdos'; did you mean erdos_renyi?"),
        (priors.MECHANISMS, "mpl", "unknown mechanism 'mpl'; did you mean mlp?"),
        (priors.NOISES, "laplac", "unknown noise 'laplac'; did you mean laplace?"),
        (nanotabpfn.RECIPES, "publshed", "unknown recipe 'publshed'; known: published, warm-up, "),
    ],
)
def test_an_unknown_name_in_a_dict_is_answered_with_similar_ones(names, name, message):
    with pytest.raises(KeyError) as caught:
        names[name]
    assert caught.value.args[0].startswith(message)
    assert names.get(name) is None
    assert name not in names


@pytest.mark.parametrize(
    ("run", "arguments", "message"),
    [
        (
            run_priors,
            ["generate", "a.h5", "--num-datasets", 3, "--preset", "tree_scm"],
            "did you mean tree-scm?",
        ),
        (run_priors, ["audit", "--preset", "liner"], "did you mean linear?"),
        (
            run_priors,
            ["diff", "liner", "default"],
            "liner: no such file, and no preset; did you mean linear?",
        ),
        (run_priors, ["download", "300k_150x5"], "did you mean 300k_150x5_2?"),
        (run_nanotabpfn, ["train", "--prior", "liner", "--out", "r"], "did you mean linear?"),
        (run_nanotabpfn, ["train", "--prior", "gp", "--recipe", "mouon", "--out", "r"], "did you mean muon?"),
    ],
)
def test_an_unknown_name_on_the_command_line_is_answered_with_similar_ones(run, arguments, message):
    assert_refused(run(*arguments), message)


def test_a_name_unlike_all_others_is_answered_with_all():
    result = run_priors("generate", "a.h5", "--num-datasets", 3, "--preset", "zzz")
    assert_refused(result, "'zzz' is not one of 'default', 'mixed'")


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        (
            "mlp",
            ["'mlp' is no field but one of mechanisms", "parameters.mlp.NAME=VALUE sets: num_layers=[1, 2]"],
        ),
        (
            "normal",
            ["'normal' is no field but one of roots and noises, which `priors presets --explain roots`"],
        ),
        (
            "cauchy",
            ["one of graphs", "it has no parameters"],
        ),
    ],
)
def test_explaining_a_family_leads_to_its_field_and_its_parameters(name, messages):
    assert_refused(run_priors("presets", "--explain", name), *messages)


# ------------------------------------------------------------------------------------------------------- runs


def test_a_new_run_that_fails_at_its_first_step_leaves_nothing(tiny_dump, tmp_path, monkeypatch):
    """So that the same command, with the fault mended, is not answered with a run that exists."""
    import nanotabpfn.cli.train_run as command

    def fails(*arguments, **options):
        raise priors.DumpError("mine.h5: y: record 0 has labels that are not 0 to 1")

    out = tmp_path / "runs" / "mine"
    arguments = ["train", "--dump", tiny_dump, "--out", out, "--steps", 4, "--batch-size", 4, *TINY_MODEL]
    arguments += ["--suite", "none", "--log", "tensorboard"]
    with monkeypatch.context() as patch:
        patch.setattr(command, "train", fails)
        assert_refused(run_nanotabpfn(*arguments), "labels that are not 0 to 1")
    assert not out.exists()
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(command, "train", fails)
        assert_refused(run_nanotabpfn(*arguments), "labels that are not 0 to 1")
    assert [file.name for file in out.iterdir()] == ["notes.txt"]
    assert run_nanotabpfn(*arguments).exit_code == 0
    assert torch.isfinite(nanotabpfn.load_model(out).decoder.linear1.weight).all()


def test_a_run_that_fails_later_and_one_on_a_full_disk_stay(tiny_dump, tmp_path, monkeypatch):
    import nanotabpfn.cli.train_run as command
    from nanotabpfn.training.run import WriteError

    def after_a_step(*arguments, on_step, **options):
        on_step({"step": 1, "loss": 0.7, "class_entropy": 0.6})
        raise priors.DumpError("mine.h5: record 9 cannot be read")

    def full(*arguments, **options):
        raise WriteError("runs: cannot be written after step 0: no space; when there is space again: ...")

    for name, failure in {"later": after_a_step, "full": full}.items():
        arguments = ["train", "--dump", tiny_dump, "--out", tmp_path / name, "--steps", 4, "--batch-size", 4]
        with monkeypatch.context() as patch:
            patch.setattr(command, "train", failure)
            assert run_nanotabpfn(*arguments, *TINY_MODEL, "--suite", "none").exit_code != 0
        assert (tmp_path / name / "config.json").exists()
        assert run_nanotabpfn("train", "--resume", tmp_path / name).exit_code == 0
