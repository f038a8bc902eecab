"""Names are text, never markup: on every page and figure of a report."""

import re

import pytest
from simulated_study import saved_study, simulate, study_of

from nanotabpfn.studies.report import figures
from nanotabpfn.studies.report.render import to_html, to_markdown
from nanotabpfn.studies.report.sections import build_report
from priors.sampling.structure import Structure

NAMES = ["$", "$x^{", "a_b", "<script>alert(1)</script>", "مرحبا", "x" * 60]


def test_names_of_arms_are_text_on_every_page(tmp_path):
    study = study_of(["good", *NAMES])
    sections = build_report(saved_study(study), simulate(study, {}), tmp_path)
    html = to_html("$ <title>", sections)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert not [
        block.text for section in sections for block in section.blocks if "cannot be drawn" in block.text
    ]
    markdown = to_markdown("$ <title>", sections)
    assert "<script>" not in re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)  # code is shown as it is
    assert "a\\_b" in markdown


@pytest.mark.parametrize("name", [*NAMES, "y" * 200, "a long name of words " * 10])
def test_names_are_text_in_every_figure(name):
    import numpy as np

    names, line = [name, "other"], np.array([0.5, 0.6])
    drawn = [
        figures.learning_curves([1, 2], dict.fromkeys(names, (line, line, line)), "other", {name: 0.5}, name),
        figures.critical_differences(dict.fromkeys(names, 1.5), 1.0),
        figures.intervals({name: (dict.fromkeys(names, (0.1, (0.0, 0.2))), 0.01)}, name),
        figures.effect_intervals({name: (dict.fromkeys(names, (0.1, (0.0, 0.2), True)), 0.01)}),
        figures.table_differences(names, dict.fromkeys(names, line), name),
        figures.heat_map(names, names, np.eye(2), 1, name),
        figures.scatter({name: dict.fromkeys(names, 0.5)}, dict.fromkeys(names, 0.5), {}, name),
        figures.gallery([Structure([[], [0]], [0], 1, name)], []),
    ]
    assert all(svg.count("<svg") == 1 and "<script" not in svg for svg, _ in drawn)
    assert all(pdf.startswith(b"%PDF") and b"CreationDate" not in pdf for _, pdf in drawn)
