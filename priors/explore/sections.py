"""The parts of the page that show a prior, as marimo's elements, for one prior or two side by side."""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import marimo as mo

from priors.config import PriorConfig
from priors.explore.copies import as_arm, as_json, as_options
from priors.explore.graph_svg import graph_svg
from priors.explore.intervention import Effect, effect_of
from priors.explore.measured import measured, real_tables
from priors.explore.pictures import COLOURS, picture, plot_properties, png
from priors.explore.turned import Turned
from priors.explore.widgets import image, message
from priors.plots.sampled_datasets import SampledDataset, sample_in_block
from priors.plots.style import BLUE, GREY, family_label
from priors.sampling.dataset import NoDatasetError

Priors = Mapping[str, PriorConfig]
"""A, or A and B -> its config."""


def side_by_side(parts: Mapping[str, Any]) -> Any:
    """The parts of the priors in columns, or below each other where the window is narrow.

    Examples:
        >>> side_by_side({"A": mo.Html("one"), "B": mo.Html("two")}).text.count("prior ")
        2
    """
    columns = (
        f'<div style="flex:1 1 340px;min-width:0"><b style="color:{COLOURS[name]}">prior {name}</b>'
        f"<div>{part.text}</div></div>"
        for name, part in parts.items()
    )
    return mo.Html(f'<div style="display:flex;flex-wrap:wrap;gap:16px">{"".join(columns)}</div>')


def section(title: str, *parts: Any) -> Any:
    """Parts below a heading.

    Examples:
        >>> "Graphs" in section("Graphs", mo.md("one")).text
        True
    """
    return mo.vstack([mo.md(f"#### {title}"), *parts])


def drawn(config: PriorConfig, seed: int, block: int) -> SampledDataset | NoDatasetError:
    """The first dataset of a block, or why none can be drawn of this prior.

    Examples:
        >>> drawn(PriorConfig(), seed=0, block=1).index
        32
    """
    try:
        return sample_in_block(config, seed, block)
    except NoDatasetError as error:
        return error


def usable(turned: Mapping[str, Turned], seed: int) -> tuple[dict[str, PriorConfig], list[str]]:
    """The priors of which datasets can be drawn, and what is wrong with the others.

    A prior of which none can be drawn is found here, once: it may take a minute.

    Examples:
        >>> found = {"A": Turned(PriorConfig(), {}), "B": Turned(None, {"clip": "clip: is too low"})}
        >>> usable(found, seed=0)
        ({'A': PriorConfig()}, ['prior B: clip: is too low'])
    """
    priors: dict[str, PriorConfig] = {}
    wrong = [f"prior {name}: {text}" for name, found in turned.items() for text in found.errors.values()]
    for name, found in turned.items():
        if found.config is not None:
            first = drawn(found.config, seed, 0)
            if isinstance(first, NoDatasetError):
                wrong.append(f"prior {name}: {first}")
            else:
                priors[name] = found.config
    return priors, wrong


def each(priors: Priors, show: Callable[[str, PriorConfig], Any]) -> Any:
    """What is shown of each prior, side by side; a message where no dataset can be drawn of it.

    Examples:
        >>> each({"A": PriorConfig()}, lambda name, config: mo.Html(config.mix)).text.count("node")
        1
    """
    shown = {}
    for name, config in priors.items():
        try:
            shown[name] = show(name, config)
        except NoDatasetError as error:
            shown[name] = message(str(error))
    return side_by_side(shown)


def graphs(priors: Priors, seed: int, num_draws: int) -> Any:
    """The graphs behind the first dataset of some blocks.

    Examples:
        >>> graphs({"A": PriorConfig()}, seed=0, num_draws=2).text.count("<svg")
        2
    """

    def show(name: str, config: PriorConfig) -> Any:
        drawn = []
        for block in range(num_draws):
            sampled = sample_in_block(config, seed, block)
            label = f"{family_label(sampled.structure.family)}, {len(sampled.model.scm.nodes)} nodes"
            drawn.append(
                f'<figure style="margin:0;max-width:100%"><figcaption style="font-size:0.8em;color:{GREY}">'
                f"{escape(label)}</figcaption>{graph_svg(sampled)}</figure>"
            )
        return mo.Html(f'<div style="display:flex;flex-wrap:wrap;gap:20px">{"".join(drawn)}</div>')

    caption = (
        "Each arrow leads from a cause to its effect. Blue: features, with their columns; orange: the "
        "target, y; grey: hidden nodes."
    )
    return section("Causal graphs", mo.md(f"<small>{caption}</small>"), each(priors, show))


def pictures(kind: str, priors: Priors, seed: int, num_draws: int) -> Any:
    """The figure of each prior: `datasets` or `mechanisms`.

    Examples:
        >>> pictures("mechanisms", {"A": PriorConfig(mechanisms="linear")}, 0, 1).text.count("<img")
        1
    """
    return each(
        priors,
        lambda name, config: image(picture(kind, config, name, num_draws, seed), f"{kind} of prior {name}"),
    )


def properties(priors: Priors, seed: int, num_datasets: int, names: tuple[str, ...], title: str) -> Any:
    """The properties of datasets of the priors, next to those of real tables.

    Classification and regression have pictures of their own: their scores and real tables differ.

    Examples:
        >>> from priors.explore.measured import TABLE
        >>> properties({"A": PriorConfig(), "B": PriorConfig()}, 0, 2, TABLE, "Properties").text.count("<img")
        1
    """
    shown = []
    for problem_type in dict.fromkeys(config.problem_type for config in priors.values()):
        found, failed = {}, []
        for name, config in priors.items():
            if config.problem_type == problem_type:
                try:
                    found[name] = measured(config, seed, num_datasets, names)
                except NoDatasetError as error:
                    failed.append(message(f"prior {name}: {error}"))
        shown += failed
        if found:
            figure = plot_properties(
                found, real_tables(problem_type), problem_type, f"{title}: {problem_type}"
            )
            shown.append(image(png(figure), title))
    return mo.vstack(shown)


def intervention(graph: Any, sampled: SampledDataset | NoDatasetError, place: int, quantile: float) -> Any:
    """The graph of a dataset; once a node was clicked, how far the others and the columns move.

    Args:
        graph: the element that shows the graph, which is drawn again.
        sampled: the dataset, or why there is none.
        place: of the node in the model; -1 if none was clicked.

    Examples:
        >>> from priors.explore.widgets import ClickableGraph
        >>> sampled, graph = sample_in_block(PriorConfig(), 0, 0), mo.ui.anywidget(ClickableGraph())
        >>> intervention(graph, sampled, 0, 0.9).text.count("<code>")
        6
    """
    if isinstance(sampled, NoDatasetError):
        return message(str(sampled))
    if place < 0:
        return mo.vstack([graph, mo.md("<small>No node is set.</small>")])
    node = sampled.model.scm.nodes[place]
    effect = effect_of(sampled, node, quantile)
    graph.widget.svg = graph_svg(sampled, node, effect.nodes, is_clickable=True)
    text = (
        f"The node with the ring is set to {effect.value:.3g} in all rows. Nodes that move are filled, with "
        "the mean |change| below, in standard deviations of the node. The columns of the table:"
    )
    table = effect_table(effect, sampled.dataset.is_regression)
    return mo.vstack([graph, mo.Html(f"<small>{text}</small>"), table])


def effect_table(effect: Effect, is_regression: bool) -> Any:
    """How far each column moved under an intervention, as bars.

    Examples:
        >>> effect = Effect(0, 1.5, {0: 1.0}, {"x0": 0.5, "y": 0.25})
        >>> effect_table(effect, is_regression=False).text.count("% of the labels")
        1
    """
    largest = max([1.0, *(moved for moved in effect.columns.values() if moved == moved)])
    cells = []
    for name, moved in effect.columns.items():
        is_share = name == "y" and not is_regression
        width, text = 0.0, "not finite"
        if moved == moved:
            width = 160 * (moved if is_share else moved / largest)
            text = f"{moved:.0%} of the labels" if is_share else f"{moved:.2f} standard deviations"
        bar = f'<span style="width:{width:.0f}px;height:10px;background:{BLUE};opacity:0.7"></span>'
        cells.append(f"<code>{name}</code>{bar}<span>{text}</span>")
    style = "display:grid;grid-template-columns:auto 170px 1fr;align-items:center;column-gap:12px"
    return mo.Html(f'<div style="{style};font-size:0.9em">{"".join(cells)}</div>')


def texts(presets: Mapping[str, str], priors: Priors) -> Any:
    """The priors to copy: as options, as the arm of a study, as JSON.

    Args:
        presets: A, B -> the preset that the texts name.

    Examples:
        >>> from priors.presets import PRESETS
        >>> "--preset linear" in texts({"A": "linear"}, {"A": PRESETS["linear"]}).text
        True
    """

    def show(name: str, config: PriorConfig) -> Any:
        arm = as_arm(f"prior_{name.lower()}", presets[name], config)
        parts = {
            "options of `priors generate`, `audit`, `plot`": ("shell", as_options(presets[name], config)),
            "arm of a study file": ("yaml", arm),
            "JSON for `--config FILE`": ("json", as_json(config)),
        }
        shown = []
        for title, (language, text) in parts.items():
            shown += [mo.md(title), mo.ui.code_editor(text, language, disabled=True, max_height=240)]
        return mo.vstack(shown)

    return section("To copy", each(priors, show))
