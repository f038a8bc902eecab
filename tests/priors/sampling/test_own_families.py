"""Families of a user's own, registered or by dotted path, and priors that can only fail."""

import networkx as nx
import numpy as np
import pytest

import priors.sampling.dataset
import priors.sampling.structure
from priors.config import PriorConfig
from priors.families.categories import CONVERTERS
from priors.families.classes import CLASS_METHODS, balanced_cuts
from priors.families.graphs import GRAPHS
from priors.families.mechanisms import MECHANISMS, linear
from priors.families.noise import NOISE_KINDS, NOISES, normal
from priors.families.registries import FAMILIES
from priors.registry import ConfigError
from priors.sampling.dataset import NoDatasetError, sample_dataset
from priors.streams import DATASET, stream


def assert_whole(dataset, config):
    x, y, single_eval_pos, properties, _ = dataset
    num_classes = properties["num_classes"]
    assert x.dtype == np.float32
    assert y.dtype == (np.int64 if config.problem_type == "classification" else np.float32)
    assert len(x) == len(y) == config.num_datapoints
    assert config.num_features[0] <= x.shape[1] <= config.num_features[1]
    assert config.num_classes[0] <= num_classes <= config.num_classes[1]
    assert config.split_range[0] <= single_eval_pos <= config.split_range[1]
    assert np.isfinite(x).all()
    if config.problem_type == "classification":
        assert set(y[:single_eval_pos].tolist()) == set(range(num_classes))
        assert set(y[single_eval_pos:].tolist()) == set(range(num_classes))
    else:
        assert np.isfinite(y).all()
        assert abs(y[:single_eval_pos].mean(dtype=float)) < 1e-3
        assert abs(y[:single_eval_pos].std(dtype=float) - 1) < 1e-3
    assert np.abs(x[:single_eval_pos].mean(axis=0, dtype=float)).max() < 1e-3
    assert np.abs(x[:single_eval_pos].std(axis=0, dtype=float) - 1).max() < 1e-3
    assert np.unique(x, axis=1).shape == x.shape
    assert properties["graph"] in config.graphs
    assert properties["num_nodes"] > x.shape[1]
    assert config.noise_scale[0] * 0.999 < properties["noise_scale"] < config.noise_scale[1] * 1.001


# A user's own families


def chain(num_nodes, rng):
    return nx.path_graph(num_nodes, create_using=nx.DiGraph)


def edgeless(num_nodes, rng):
    return nx.empty_graph(num_nodes, create_using=nx.DiGraph)


def test_a_registered_graph_family_is_used(monkeypatch):
    monkeypatch.setitem(GRAPHS, "mine", chain)
    dataset = sample_dataset(PriorConfig(graphs={"mine": 1}), stream(0))
    assert dataset.properties["graph"] == "mine"
    assert dataset.properties["num_edges"] == dataset.properties["num_nodes"] - 1


def test_registered_mechanisms_and_noises_are_used(monkeypatch):
    used = []
    monkeypatch.setitem(
        MECHANISMS, "mine", lambda parents, rng: used.append("mechanism") or linear(parents, rng)
    )
    monkeypatch.setitem(
        NOISES, "mine", lambda num_datapoints, rng: used.append("noise") or normal(num_datapoints, rng)
    )
    monkeypatch.setitem(NOISE_KINDS, "mine", lambda signal, noise: used.append("kind") or signal + noise)
    monkeypatch.setitem(CONVERTERS, "mine", lambda values, rng: used.append("converter") or np.sign(values))
    monkeypatch.setitem(CLASS_METHODS, "mine", lambda *args: used.append("classes") or balanced_cuts(*args))
    registered = ("mechanisms", "noises", "noise_kinds", "converters", "class_methods")
    config = PriorConfig(categorical_fraction=(0.5, 0.5), **{field: {"mine": 1} for field in registered})
    sample_dataset(config, stream(0))
    assert {"mechanism", "noise", "kind", "converter", "classes"} == set(used)


def test_families_by_dotted_path_are_used(monkeypatch, tmp_path):
    (tmp_path / "priors_of_mine.py").write_text(
        "import networkx as nx\n\n\n"
        "def star(num_nodes, rng, centre=0):\n"
        "    if centre != 7:\n"
        "        raise ValueError('its parameter was not given')\n"
        "    return nx.DiGraph((0, node) for node in range(1, num_nodes))\n\n\n"
        "def cube(parents, rng):\n"
        "    return parents[:, 0] ** 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = PriorConfig(
        graphs={"priors_of_mine:star": 1},
        mechanisms={"priors_of_mine:cube": 1},
        parameters={"priors_of_mine:star": {"centre": (7, 7)}},
    )
    dataset = sample_dataset(config, stream(0))
    assert dataset.properties["graph"] == "priors_of_mine:star"
    assert dataset.properties["num_edges"] == dataset.properties["num_nodes"] - 1


# Priors that fail


def test_a_prior_that_can_only_fail_says_so_soon(monkeypatch):
    monkeypatch.setitem(GRAPHS, "edgeless", edgeless)
    config = PriorConfig(graphs={"edgeless": 1}, relevant_fraction=(1, 1))
    message = r"all of 1000 draws .* graphs such as edgeless were refused \(by stage: graph 1000\): widen"
    with pytest.raises(NoDatasetError, match=message) as refused:
        sample_dataset(config, stream(0))
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_mechanism_that_gives_no_finite_value_is_named(monkeypatch, bad):
    def broken(parents, rng):
        return np.where(np.arange(len(parents)) == 3, np.float32(bad), parents[:, 0])

    monkeypatch.setitem(GRAPHS, "chain", chain)
    monkeypatch.setitem(MECHANISMS, "broken", broken)
    config = PriorConfig(graphs={"chain": 1}, mechanisms={"broken": 1}, num_nodes=(6, 6))
    with pytest.raises(ValueError, match=rf"mechanism broken must return finite numbers, got {bad} for"):
        sample_dataset(config, stream(0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda parents: parents, r"must return \(150,\) numbers.*got float32 \(150, 1\)"),
        (lambda parents: parents[:-1, 0], r"must return \(150,\) numbers.*got float32 \(149,\)"),
        (lambda parents: ["a"] * len(parents), r"must return \(150,\) numbers.*got <U1 \(150,\)"),
    ],
)
def test_a_mechanism_of_the_wrong_shape_or_type_is_named(monkeypatch, values, message):
    monkeypatch.setitem(GRAPHS, "chain", chain)
    monkeypatch.setitem(MECHANISMS, "broken", lambda parents, rng: values(parents))
    config = PriorConfig(graphs={"chain": 1}, mechanisms={"broken": 1})
    with pytest.raises(ValueError, match=f"mechanism broken {message}"):
        sample_dataset(config, stream(0))


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (lambda n, rng: [(0, 1)], "must return a networkx.DiGraph, got list"),
        (lambda n, rng: nx.path_graph(n), "must return a networkx.DiGraph, got Graph"),
        (lambda n, rng: nx.MultiDiGraph(chain(n, rng)), "must return a networkx.DiGraph, got MultiDiGraph"),
        (
            lambda n, rng: chain(n - 1, rng),
            r"must return a graph on the nodes 0\.\.6 \(num_nodes=7\), got 6",
        ),
        (
            lambda n, rng: nx.relabel_nodes(chain(n, rng), str),
            r"on the nodes 0\.\.6 .* got 7 nodes: '0'",
        ),
        (lambda n, rng: chain(n, rng).reverse(), "must return edges from low to high numbers, got 1 -> 0"),
        (lambda n, rng: nx.DiGraph([*chain(n, rng).edges, (3, 3)]), "from low to high numbers, got 3 -> 3"),
    ],
)
def test_a_graph_family_that_breaks_a_rule_is_named_with_the_rule(monkeypatch, family, message):
    monkeypatch.setitem(GRAPHS, "mine", family)
    config = PriorConfig(graphs={"mine": 1}, num_nodes=(7, 7), hidden_fraction=(0, 0))
    with pytest.raises(ValueError, match=f"graph family mine .*{message}"):
        sample_dataset(config, stream(0))


NUMBERS = r"must return \(150,\) numbers, one for each row, got"


@pytest.mark.parametrize(
    ("field", "family", "message"),
    [
        (
            "mechanisms",
            lambda parents: parents,
            r"mechanism mine, called as \(parents, rng\), failed with Type",
        ),
        ("mechanisms", lambda parents, rng: 1 / 0, "failed with ZeroDivisionError: division by zero"),
        ("graphs", lambda n: None, r"graph family mine, called as \(num_nodes, rng\), failed with TypeError"),
        ("noises", lambda n, rng: 0.5, rf"noise mine {NUMBERS} float64 \(\)"),
        ("noises", lambda n, rng: np.full(n, np.nan), "noise mine must return finite numbers, got nan"),
        ("roots", lambda n, rng: rng.normal(size=(n, 1)), f"noise mine {NUMBERS}"),
        ("noise_kinds", lambda signal, noise: 0.5, f"noise kind mine {NUMBERS}"),
        ("converters", lambda values, rng: values[:3], f"converter mine {NUMBERS}"),
        ("class_methods", lambda values, *others: values > 0, "from 0 to num_classes - 1 = 1, got bool"),
        ("class_methods", lambda values, *others: 1 + (values > 0), "= 1, got int64 from 1 to 2"),
        ("class_methods", lambda values, *others: np.zeros(2, int), f"class method mine {NUMBERS}"),
        (
            "missing_kinds",
            lambda x, *others: np.zeros(x.shape),
            r"must return \(150, 5\) booleans, got float64",
        ),
    ],
)
def test_a_family_of_any_kind_that_breaks_a_rule_is_named_with_the_rule(monkeypatch, field, family, message):
    monkeypatch.setitem(FAMILIES[field], "mine", family)
    changes = {"categorical_fraction": (0.9, 0.9), "missing_fraction": (0.1, 0.1), field: {"mine": 1}}
    with pytest.raises(ConfigError, match=message):
        sample_dataset(PriorConfig(**changes), stream(0))


def test_an_error_in_a_family_of_the_users_own_has_its_file_and_line(monkeypatch, tmp_path):
    (tmp_path / "raising.py").write_text("def raises(parents, rng):\n    return parents / None\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ConfigError, match=r"TypeError: unsupported operand .* \(raising.py, line 2\)$"
    ) as found:
        sample_dataset(PriorConfig(mechanisms={"raising:raises": 1}), stream(0))
    assert isinstance(found.value.__cause__, TypeError)


def test_a_family_without_a_hash_is_one_of_the_users_own(monkeypatch):
    class Cube:
        __hash__ = None

        def __call__(self, parents, rng):
            return parents[:, 0] ** 3

    monkeypatch.setitem(MECHANISMS, "cube", Cube())
    sample_dataset(PriorConfig(mechanisms={"cube": 1}), stream(0))


def test_a_refused_prior_names_the_family_whose_columns_are_refused(monkeypatch):
    monkeypatch.setitem(MECHANISMS, "flat", lambda parents, rng: np.zeros(len(parents)))
    monkeypatch.setitem(NOISES, "none", lambda n, rng: np.zeros(n))
    config = PriorConfig(mechanisms={"flat": 1}, noises={"none": 1})
    with pytest.raises(
        NoDatasetError, match=r"by stage: .*values \d+\); in the last one .*: \d of flat: widen"
    ):
        sample_dataset(config, stream(0))


def test_a_graph_may_list_its_nodes_in_any_order(monkeypatch):
    backward = lambda n, rng: nx.DiGraph((i, i + 1) for i in reversed(range(n - 1)))  # noqa: E731
    monkeypatch.setitem(GRAPHS, "forward", chain)
    monkeypatch.setitem(GRAPHS, "backward", backward)
    first, second = (sample_dataset(PriorConfig(graphs={n: 1}), stream(0)) for n in ("forward", "backward"))
    np.testing.assert_array_equal(first.x, second.x)


def test_a_degenerate_draw_is_replaced_by_the_next(monkeypatch):
    answers = iter([None, None])
    original = priors.sampling.structure.choose_columns
    monkeypatch.setattr(
        priors.sampling.structure, "choose_columns", lambda *args: next(answers, original(*args))
    )
    dataset = sample_dataset(PriorConfig(), stream(0))
    assert dataset.properties["attempts"] == 3
    assert_whole(dataset, PriorConfig())


@pytest.mark.parametrize("num_parents", [1, 2])
def test_a_mechanism_that_writes_into_its_parents_is_named(monkeypatch, num_parents):
    def clip(parents, rng):
        return np.clip(parents, -1, 1, out=parents)[:, 0]

    monkeypatch.setitem(MECHANISMS, "clip", clip)
    config = PriorConfig(mechanisms="clip", graphs={"random_tree": 1} if num_parents == 1 else {"layered": 1})
    with pytest.raises(ConfigError, match=r"clip.*read-only"):
        [sample_dataset(config, stream(0, DATASET, index)) for index in range(20)]
