"""The controls and the graph of the page as marimo's elements; they need the extra `explore`."""

from collections.abc import Mapping
from html import escape
from typing import Any

import anywidget
import marimo as mo
import traitlets

from priors.config import PriorConfig
from priors.explore.controls import GROUPS, Control, active_families
from priors.explore.graph_svg import graph_svg
from priors.plots.sampled_datasets import SampledDataset
from priors.plots.style import family_label
from priors.settings import PARAMETERS

CLICK = """
function render({ model, el }) {
  const draw = () => { el.innerHTML = model.get("svg"); };
  const choose = (event) => {
    const node = event.target.closest("[data-node]");
    if (node) { model.set("chosen", Number(node.dataset.node)); model.save_changes(); }
  };
  el.addEventListener("click", choose);
  el.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(event); });
  model.on("change:svg", draw);
  draw();
}
export default { render };
"""


class ClickableGraph(anywidget.AnyWidget):
    """A graph, as `graph_svg` draws it, and the place of the node that was clicked last; -1 before that."""

    _esm = CLICK
    svg = traitlets.Unicode("").tag(sync=True)
    chosen = traitlets.Int(-1).tag(sync=True)


def clickable(sampled: Any) -> Any:
    """The graph of a dataset as an element whose value has the place of the node that was clicked.

    Args:
        sampled: a SampledDataset; of anything else nothing is shown.

    Examples:
        >>> clickable(None).value["chosen"]
        -1
    """
    svg = graph_svg(sampled, is_clickable=True) if isinstance(sampled, SampledDataset) else ""
    return mo.ui.anywidget(ClickableGraph(svg=svg))


def text_area() -> Any:
    """Where settings are written.

    Examples:
        >>> text_area().value
        ''
    """
    return mo.ui.text_area(placeholder="num_features=log_uniform(2, 50)", rows=2, full_width=True)


def element_of(control: Control) -> Any:
    """The slider, switch or list of a control; its value has the form of the control's.

    Examples:
        >>> from priors.explore.controls import controls_of
        >>> controls = controls_of(PriorConfig())
        >>> element_of(controls["num_features"]).value, element_of(controls["mechanisms"]).value["mlp"]
        ([5, 5], 1.0)
    """
    if control.kind == "weights":
        weights = {
            name: mo.ui.slider(
                steps=control.steps, value=weight, debounce=True, show_value=True, full_width=True
            )
            for name, weight in control.value.items()
        }
        return mo.ui.dictionary(weights)
    if control.kind == "switch":
        return mo.ui.switch(control.value)
    if control.kind == "choice":
        return mo.ui.dropdown(control.options, control.value, allow_select_none=False, full_width=True)
    if control.kind == "names":
        return mo.ui.multiselect(control.options, control.value, full_width=True)
    value = list(control.value) if control.kind == "range" else control.value
    slider = mo.ui.range_slider if control.kind == "range" else mo.ui.slider
    return slider(steps=control.steps, value=value, debounce=True, show_value=True, full_width=True)


def elements_of(controls: Mapping[str, Control]) -> Any:
    """All controls in one element, whose value is {path: value}.

    Examples:
        >>> from priors.explore.controls import controls_of
        >>> elements_of(controls_of(PriorConfig())).value["mix"]
        'node'
    """
    return mo.ui.dictionary({path: element_of(control) for path, control in controls.items()})


def panel(
    controls: Mapping[str, Control],
    elements: Mapping[str, Any],
    config: PriorConfig,
    errors: Mapping[str, str],
) -> Any:
    """The controls in their groups, below each what is wrong with it.

    Args:
        elements: of each control, by its path.
        config: a valid one, which decides for which families the parameters are shown.
        errors: field -> message.

    Examples:
        >>> from priors.explore.controls import controls_of
        >>> controls = controls_of(PriorConfig())
        >>> shown = panel(controls, elements_of(controls), PriorConfig(), {"clip": "clip: is too low"})
        >>> "clip: is too low" in shown.text
        True
    """
    groups = {
        group: [_shown(controls[name], elements[name], errors) for name in names]
        for group, names in GROUPS.items()
    }
    active = active_families(config)
    of_families = [
        _shown(control, elements[path], {})
        for path, control in controls.items()
        if path.startswith(f"{PARAMETERS}.") and path.rpartition(".")[0].partition(".")[2] in active
    ]
    groups["Parameters of families"] = of_families
    if PARAMETERS in errors:
        of_families.insert(0, message(errors[PARAMETERS]))
    # The names stay the same whatever is wrong: a group with another name would be a new one, and closed.
    return mo.accordion({group: mo.vstack(items) for group, items in groups.items()}, multiple=True)


def _shown(control: Control, element: Any, errors: Mapping[str, str]) -> Any:
    """A control with its name above, its meaning on the name, and its message below."""
    name = control.path.removeprefix(f"{PARAMETERS}.")
    heading = (
        f'<span title="{escape(control.meaning)}" style="overflow-wrap:anywhere"><code>{name}</code></span>'
    )
    parts = [mo.Html(heading)]
    if control.kind == "weights":
        parts += [_weight(family, element[family]) for family in control.value]
    else:
        parts.append(element)
    if control.path in errors:
        parts.append(message(errors[control.path]))
    return mo.Html(f'<div style="padding-right:16px">{mo.vstack(parts, gap=0.2).text}</div>')


def _weight(family: str, slider: Any) -> Any:
    label = mo.Html(f'<span style="font-size:0.8em">{escape(family_label(family))}</span>')
    return mo.hstack([label, slider], widths=[1, 1], align="center", gap=0.5)


def message(text: str) -> Any:
    """What is wrong, in red.

    Examples:
        >>> "clip: is too low" in message("clip: is too low").text
        True
    """
    return mo.Html(f'<div role="alert" style="color:#b3261e;font-size:0.85em">{escape(text)}</div>')


def image(data: bytes, alt: str) -> Any:
    """A picture as wide as its column allows.

    Examples:
        >>> "max-width:100%" in image(b"\\x89PNG", "rows").text
        True
    """
    from base64 import b64encode

    source = f"data:image/png;base64,{b64encode(data).decode()}"
    return mo.Html(f'<img src="{source}" alt="{escape(alt)}" style="max-width:100%;height:auto"/>')
