"""What a picture holds does not overlap: markers, names, labels and bars, at the sizes where they would."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.markers import MarkerStyle
from matplotlib.transforms import Bbox
from tiny_prior import TINY

from priors.audit.audit import Audit
from priors.audit.measure import Measures
from priors.own_graph import OwnGraph
from priors.plots import plot_audit, plot_audits, plot_datasets, plot_graphs

LAYER = [f"cause_{i}" for i in range(15)]
WIDE = OwnGraph(
    nodes={name: {} for name in [*LAYER, "hub"]} | {"target": {"role": "target"}},
    edges=[*((name, "hub") for name in LAYER), ("hub", "target")],
)
PRIORS = {
    "layered": replace(
        TINY, graphs={"layered": 1}, num_features=(15, 15), num_nodes=(30, 30),
        parameters={"layered": {"num_layers": (2, 2)}},
    ),
    "many long edges": replace(TINY, graphs={"cauchy": 1}, num_features=(10, 15), num_nodes=(20, 24)),
    "a chain": replace(
        TINY, graphs={"layered": 1}, num_features=(15, 15), num_nodes=(20, 20),
        parameters={"layered": {"num_layers": (20, 20), "dropout": (0.0, 0.0)}},
    ),
    "one's own": replace(TINY, graph=WIDE, num_features=(5, 5)),
}  # fmt: skip


def markers(axes):
    """Centre (2,) and radius of each marker, in pixels."""
    for collection in axes.collections:
        assert isinstance(collection.get_sizes(), np.ndarray)
        [size] = collection.get_sizes()
        unit = collection.get_paths()[0].vertices
        radius = np.sqrt(size) * np.linalg.norm(unit, axis=1).max() * axes.figure.dpi / 72
        for centre in axes.transData.transform(collection.get_offsets()):
            yield centre, radius


def overlaps(boxes):
    """Pairs of boxes that share more than a hair."""
    return [
        pair
        for pair in combinations(boxes, 2)
        if (both := Bbox.intersection(*pair)) is not None and min(both.width, both.height) > 0.5
    ]


@pytest.mark.parametrize("name", PRIORS)
def test_markers_do_not_overlap_however_many_share_a_layer(name):
    figure = plot_graphs(PRIORS[name], name, num_draws=3)
    figure.draw_without_rendering()
    drawn = [axes for axes in figure.axes if axes.collections]
    assert len(drawn) == (1 if name == "one's own" else 3)
    for axes in drawn:
        found = list(markers(axes))
        assert len(found) >= 15
        for (place, radius), (other_place, other_radius) in combinations(found, 2):
            assert np.linalg.norm(place - other_place) >= radius + other_radius
            assert radius > 0.5


def test_a_diamond_is_as_large_as_its_edges_expect():
    assert np.linalg.norm(MarkerStyle("D").get_transform().transform([[1, 1]])) == pytest.approx(0.5**0.5)


def test_names_of_a_graph_cover_no_other_name():
    figure = plot_graphs(PRIORS["one's own"], "wide.txt")
    figure.draw_without_rendering()
    [axes] = figure.axes
    names = [text for text in axes.texts if text.get_text()]
    assert len(names) == 17
    boxes = [text.get_window_extent() for text in names]
    assert overlaps(boxes) == []
    for centre, radius in markers(axes):
        around = Bbox.from_bounds(*(centre - 0.7 * radius), 1.4 * radius, 1.4 * radius)
        assert all(Bbox.intersection(around, box) is None for box in boxes)


@pytest.mark.parametrize("num_features", [1, 2, 4])
def test_the_names_of_classes_cover_no_panel(num_features):
    config = replace(
        TINY, num_datapoints=60, num_classes=(10, 10), num_features=(num_features, num_features),
        train_fraction=(0.5, 0.5),
    )  # fmt: skip
    figure = plot_datasets(config, "mine", num_draws=2)
    figure.draw_without_rendering()
    for panel in figure.subfigs:
        [legend] = panel.legends
        box = legend.get_window_extent()
        assert len(legend.get_texts()) == 10
        assert figure.bbox.contains(box.x1 - 1, box.y1 - 1)
        for axes in panel.axes:
            assert overlaps([box, axes.get_window_extent()]) == []


def audit_of(correlation):
    rows = [Measures(i, 100, 4, 2, 0.5 + i / 20, 0.5, 0.3, correlation, 0.0, 0.0, 0.0) for i in range(10)]
    return Audit("a prior with num_features=3", "classification", 10, (), (), "half", 0, tuple(rows))


def test_words_beside_the_line_of_chance_stand_above_the_bars():
    figure = plot_audit(audit_of(0.2))
    figure.draw_without_rendering()
    [axes] = [axes for axes in figure.axes if axes.get_title(loc="left") == "How correlated the features are"]
    [words] = axes.texts
    assert overlaps([words.get_window_extent(), *(bar.get_window_extent() for bar in bars(axes))]) == []
    assert max(bar.get_height() for bar in bars(axes)) == 10


def test_shares_stand_beside_their_bars():
    figure = plot_audits([audit_of(0.2), audit_of(0.4)])
    figure.draw_without_rendering()
    axes = figure.axes[1]
    assert [text.get_text() for text in axes.texts] == ["20", "0", "20", "0"]
    for text in axes.texts:
        box = text.get_window_extent()
        assert all(overlaps([box, bar.get_window_extent()]) == [] for bar in bars(axes))
        assert axes.bbox.x0 <= box.x0
        assert box.x1 <= axes.bbox.x1


def bars(axes):
    return [patch for patch in axes.patches if patch.get_height() > 0 and patch.get_width() > 0]


def test_a_long_title_is_within_the_figure():
    name = "mixed with mechanisms=[mlp, periodic, product], parameters.mlp.width=[30, 40], noise_scale=0.1"
    figure = plot_graphs(TINY, name, num_draws=3)
    figure.draw_without_rendering()
    title = figure._suptitle
    assert " ".join(title.get_text().split()) == f"Causal graphs drawn from the prior {name} (seed 0)"
    assert title.get_window_extent().x1 <= figure.bbox.x1


def test_a_figure_is_returned_and_no_file_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert plot_graphs(TINY, "mine", num_draws=1).axes
    assert list(tmp_path.iterdir()) == []
