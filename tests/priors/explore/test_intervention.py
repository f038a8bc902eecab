"""Interventions on the page: known effects, what cannot move, and agreement with the twins of datasets."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from priors.config import PriorConfig
from priors.explore.graph_svg import graph_svg
from priors.explore.intervention import effect_of
from priors.plots.sampled_datasets import sample_in_block

CONFIGS = {
    "plain": PriorConfig(),
    "regression": PriorConfig(problem_type="regression"),
    "categories": PriorConfig(categorical_fraction=(1, 1), num_classes=(2, 4)),
    "treated": PriorConfig(warp_fraction=(1, 1), missing_fraction=(0.1, 0.3), outlier_fraction=(0.05, 0.05)),
    "shifted": PriorConfig(shift=1),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
def test_a_node_moves_itself_and_its_descendants_alone(config):
    moving = 0
    for block in range(5):
        sampled = sample_in_block(config, 0, block)
        graph = sampled.structure.graph
        for node in sampled.model.scm.nodes:
            effect = effect_of(sampled, node, 0.9)
            reached = {node, *nx.descendants(graph, node)}
            assert {other for other, moved in effect.nodes.items() if moved > 0} <= reached
            columns = [*sampled.structure.features, sampled.structure.target]
            for name, moved, other in zip(effect.columns, effect.columns.values(), columns, strict=True):
                assert (name == "y") == (other == sampled.structure.target)
                assert moved >= 0 or np.isnan(moved)
                if other not in reached:
                    assert moved == 0, (node, name)
            moving += len(reached) > 1 and sum(moved > 0 for moved in effect.columns.values()) > 1
    assert moving > 5


def test_how_far_is_the_mean_change_in_standard_deviations():
    sampled = sample_in_block(PriorConfig(mechanisms="linear", graphs="random_tree"), 0, 0)
    node = sampled.structure.features[0]
    values = sampled.table.sample.values(node).astype(float)
    effect = effect_of(sampled, node, 1.0)
    assert effect.value == values.max()
    expected = np.abs(values - values.max()).mean() / values.std()
    assert effect.nodes[node] == pytest.approx(expected, rel=1e-5)
    x = sampled.dataset.x[:, 0].astype(float)
    assert effect.columns["x0"] == pytest.approx(np.abs(x - x.max()).mean() / x.std(), rel=1e-5)


def test_a_target_that_is_set_has_one_class():
    sampled = sample_in_block(PriorConfig(), 0, 0)
    effect = effect_of(sampled, sampled.structure.target, 1.0)
    y = sampled.dataset.y
    last = sampled.table.target.apply(np.full(len(y), effect.value, np.float32))
    assert len(set(last.tolist())) == 1
    assert effect.columns["y"] == np.mean(y != last[0])


def test_it_agrees_with_the_twin_of_the_dataset():
    """Of the same prior with twins: the twin's rows are those of the same intervention."""
    config = PriorConfig(twins=True)
    for block in range(4):
        sampled = sample_in_block(config, 0, block)
        column = sampled.dataset.properties["do_feature"]
        node = sampled.structure.features[column]
        values, twin = sampled.table.sample.values(node), sampled.dataset.twin
        place = int(np.argmin(np.abs(sampled.dataset.x[:, column] - twin.x[0, column])))
        quantile = int((values < values[place]).sum()) / (len(values) - 1)
        effect = effect_of(sampled, node, quantile)
        assert effect.value == values[place]
        change = np.abs(twin.x - sampled.dataset.x).mean(axis=0) / sampled.dataset.x.std(axis=0, dtype=float)
        assert list(effect.columns.values())[:-1] == pytest.approx(change.tolist(), rel=1e-4)
        assert effect.columns["y"] == np.mean(twin.y != sampled.dataset.y)


def test_the_drawing_says_what_each_node_is_and_how_far_it_moves():
    sampled = sample_in_block(replace(PriorConfig(), num_nodes=(9, 9)), 0, 0)
    scm, structure = sampled.model.scm, sampled.structure
    svg = graph_svg(sampled)
    assert svg.count("<polyline") == structure.graph.number_of_edges()
    assert svg.count("<title>hidden node") == 3
    assert [svg.count(f"<title>{name}</title>") for name in ("x0", "x4", "x5", "y")] == [1, 1, 0, 1]
    assert "tabindex" not in svg
    moved = dict.fromkeys(scm.nodes, 0.0) | {structure.features[1]: 1.25}
    svg = graph_svg(sampled, structure.target, moved, is_clickable=True)
    assert svg.count('role="button"') == len(scm.nodes)
    assert svg.count(">1.25<") == svg.count(">set<") == 1
    assert [svg.count(f'data-node="{place}"') for place in range(len(scm.nodes))] == [1] * len(scm.nodes)
