"""The page of `priors explore`: cells of marimo that lay out what the other modules of this folder make."""

import marimo

app = marimo.App(width="full", app_title="priors explore", css_file="page.css")


@app.cell
def _():
    import marimo as mo

    from priors.explore import sections
    from priors.explore.controls import controls_of, settings_of
    from priors.explore.measured import MODELS, TABLE
    from priors.explore.start import LARGEST_SEED, start_of
    from priors.explore.turned import TEXT, turned
    from priors.explore.views import VIEWS
    from priors.explore.widgets import clickable, elements_of, message, panel, text_area
    from priors.presets import PRESETS, PURPOSES

    return (
        LARGEST_SEED, MODELS, PRESETS, PURPOSES, TABLE, TEXT, VIEWS, clickable, controls_of, elements_of,
        message, mo, panel, sections, settings_of, start_of, text_area, turned,
    )  # fmt: skip


@app.cell
def _(LARGEST_SEED, PRESETS, VIEWS, mo, start_of):
    start = start_of(mo.cli_args().to_dict())
    seed = mo.ui.number(0, LARGEST_SEED, 1, start.seed, label="seed", debounce=True)
    compare = mo.ui.switch(label="a second prior next to it")
    which = mo.ui.radio(["A", "B"], "A", inline=True, label="settings of prior")
    preset_a = mo.ui.dropdown(list(PRESETS), start.preset, allow_select_none=False, full_width=True)
    preset_b = mo.ui.dropdown(list(PRESETS), "mixed", allow_select_none=False, full_width=True)
    view = mo.ui.tabs(dict.fromkeys(VIEWS, ""))
    number = mo.ui.slider(0, 31, 1, 0, label="dataset", debounce=True, show_value=True)
    quantile = mo.ui.slider(0.0, 1.0, 0.05, 0.9, label="set to its quantile", debounce=True, show_value=True)
    return compare, number, preset_a, preset_b, quantile, seed, start, view, which


@app.cell
def _(PRESETS, controls_of, elements_of, preset_a, start, text_area):
    start_a = start.config if preset_a.value == start.preset else PRESETS[preset_a.value]
    controls_a = controls_of(start_a)
    elements_a, text_a = elements_of(controls_a), text_area()
    return controls_a, elements_a, start_a, text_a


@app.cell
def _(PRESETS, controls_of, elements_of, preset_b, text_area):
    start_b = PRESETS[preset_b.value]
    controls_b = controls_of(start_b)
    elements_b, text_b = elements_of(controls_b), text_area()
    return controls_b, elements_b, start_b, text_b


@app.cell
def _(controls_a, elements_a, settings_of, start_a, text_a, turned):
    turned_a = turned(start_a, settings_of(controls_a, elements_a.value), text_a.value)
    return (turned_a,)


@app.cell
def _(controls_b, elements_b, settings_of, start_b, text_b, turned):
    turned_b = turned(start_b, settings_of(controls_b, elements_b.value), text_b.value)
    return (turned_b,)


@app.cell
def _(compare, preset_a, preset_b, sections, seed, turned_a, turned_b):
    presets = {"A": preset_a.value, "B": preset_b.value}
    priors, wrong = sections.usable(
        {"A": turned_a, "B": turned_b} if compare.value else {"A": turned_a}, seed.value
    )
    return presets, priors, wrong


@app.cell
def _(
    PURPOSES, TEXT, compare, controls_a, controls_b, elements_a, elements_b, message, mo, panel, preset_a,
    preset_b, seed, start_a, start_b, text_a, text_b, turned_a, turned_b, which,
):  # fmt: skip
    _preset, _text, _controls, _elements, _start, _found = (
        (preset_b, text_b, controls_b, elements_b, start_b, turned_b)
        if compare.value and which.value == "B"
        else (preset_a, text_a, controls_a, elements_a, start_a, turned_a)
    )
    _settings = mo.vstack(
        [
            mo.md("### priors explore"),
            seed,
            compare,
            *([which] if compare.value else []),
            _preset,
            mo.md(f"<small>{PURPOSES[_preset.value]}</small>"),
            panel(_controls, _elements, _found.config or _start, _found.errors),
            mo.md(
                "<small>More settings, one `FIELD=VALUE` in each line; they win over the controls:</small>"
            ),
            _text,
            *([message(_found.errors[TEXT])] if TEXT in _found.errors else []),
        ]
    )
    mo.sidebar(_settings, width="340px")
    return


@app.cell
def _(message, mo, view, wrong):
    mo.vstack([view, *map(message, wrong)])
    return


@app.cell
def _(VIEWS, view):
    shown = VIEWS[view.value]
    return (shown,)


@app.cell
def _(mo, priors, sections, seed, shown):
    mo.stop("graphs" not in shown or not priors)
    sections.graphs(priors, seed.value, shown["graphs"])
    return


@app.cell
def _(clickable, number, priors, sections, seed):
    drawn = {_name: sections.drawn(_config, seed.value, number.value) for _name, _config in priors.items()}
    graph_a, graph_b = clickable(drawn.get("A")), clickable(drawn.get("B"))
    return drawn, graph_a, graph_b


@app.cell
def _(drawn, graph_a, graph_b, mo, number, quantile, sections, shown):
    mo.stop("intervention" not in shown or not drawn)
    _places = {"A": graph_a.value["chosen"], "B": graph_b.value["chosen"]}
    _graphs = {"A": graph_a, "B": graph_b}
    _effects = {
        _name: sections.intervention(_graphs[_name], _drawn, _places[_name], quantile.value)
        for _name, _drawn in drawn.items()
    }
    sections.section(
        "Intervention: click a node to set it, and see which columns move",
        mo.hstack([number, quantile], justify="start", wrap=True),
        sections.side_by_side(_effects),
    )
    return


@app.cell
def _(mo, priors, sections, seed, shown):
    mo.stop("datasets" not in shown or not priors)
    sections.pictures("datasets", priors, seed.value, shown["datasets"])
    return


@app.cell
def _(TABLE, mo, priors, sections, seed, shown):
    mo.stop("properties" not in shown or not priors)
    sections.properties(priors, seed.value, shown["properties"], TABLE, "Properties of tables")
    return


@app.cell
def _(mo, priors, sections, seed, shown):
    mo.stop("mechanisms" not in shown or not priors)
    sections.pictures("mechanisms", priors, seed.value, shown["mechanisms"])
    return


@app.cell
def _(MODELS, mo, priors, sections, seed, shown):
    mo.stop("learnability" not in shown or not priors)
    sections.properties(priors, seed.value, shown["learnability"], MODELS, "How much there is to learn")
    return


@app.cell
def _(mo, presets, priors, sections, shown):
    mo.stop("copy" not in shown or not priors)
    sections.texts(presets, priors)
    return


if __name__ == "__main__":
    app.run()
