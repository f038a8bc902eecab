"""Audits as text: a page in figures and words for one, a line of a Markdown table for each of several."""

from collections.abc import Iterable
from math import floor, isfinite, log10, sqrt
from pathlib import Path
from typing import Any

from priors.audit.audit import AT_CHANCE, MARGIN, TRIVIAL, UNCORRELATED, Audit
from priors.audit.measure import LEVELS, LINEAR, METRIC
from priors.dumps.validate import numbered

LEVEL_NAMES = [f"{level:.0%}" for level in LEVELS]


def describe_audit(audit: Audit) -> str:
    """A page of plain text on what was found, in figures and in words.

    Examples:
        >>> from priors import PRESETS, audit_prior
        >>> print(describe_audit(audit_prior(PRESETS["linear"], "linear", 1)).split("\\n\\n")[0])
        linear
        1 datasets, classification; 150 rows, 5 features, 2 classes
        No record is damaged.
        No two datasets are the same.
    """
    lines = [
        audit.source,
        f"{audit.num_records:,} datasets, {audit.problem_type}; {_sizes(audit)}",
        _damage(audit),
        _repetition(audit),
    ]
    if not audit.datasets:
        return "\n".join([*lines, "No dataset is left to measure."])
    found = audit.summary()
    lines += ["", *_learnability(audit, found), "", *_tables(found)]
    return "\n".join(line.rstrip() for line in lines)


def _sizes(audit: Audit) -> str:
    texts = []
    for name, unit in (("num_datapoints", "rows"), ("num_features", "features"), ("num_classes", "classes")):
        values = audit.column(name)
        if not len(values) or (unit == "classes" and audit.problem_type == "regression"):
            continue
        low, high = values.min(), values.max()
        texts.append(f"{low:,.0f} {unit}" if low == high else f"{low:,.0f} to {high:,.0f} {unit}")
    return ", ".join(texts)


def _damage(audit: Audit) -> str:
    if not audit.damaged:
        return "No record is damaged."
    what = "1 record is" if len(audit.damaged) == 1 else f"{len(audit.damaged):,} records are"
    return f"{what} damaged and left out: {numbered(audit.damaged)}."


def _repetition(audit: Audit) -> str:
    if not audit.repeats:
        return "No two datasets are the same."
    what = "1 dataset repeats" if len(audit.repeats) == 1 else f"{len(audit.repeats):,} datasets repeat"
    return f"{what} an earlier one: {numbered(record for record, _ in audit.repeats)}."


def _learnability(audit: Audit, found: dict[str, Any]) -> list[str]:
    """Quantiles of the models' scores, and how many datasets are at chance, trivial, or for the forest."""
    metric, linear, quantiles = METRIC[audit.problem_type], LINEAR[audit.problem_type], found["quantiles"]
    count = len(audit.datasets)
    rows = "the first half of its rows" if audit.split == "half" else "its own training rows"
    lines = [
        f"Learnability of {'all' if count == audit.num_records else 'a sample of'} {count:,}: trained on "
        f"{rows}, {metric} on the others",
        _row("", LEVEL_NAMES),
        _row("random forest", quantiles["forest"]),
        _row(linear, quantiles["linear"]),
        _row("forest - linear", quantiles["forest_minus_linear"]),
    ]
    if found["scored"] < count:
        lines.append(f"  {count - found['scored']} could not be scored: their test rows have one target")
    if found["scored"]:
        chance, margin = AT_CHANCE[audit.problem_type], 196 * sqrt(0.25 / found["scored"])
        lines += [
            f"  {_said(found['at_chance'])} at chance: the forest's {metric} is at most {chance}, "
            f"so they teach next to nothing",
            f"  {_said(found['trivial'])} trivial: it is at least {TRIVIAL}, so nothing is left to learn",
            f"  {_said(found['beats_linear'])} where the forest beats the linear model by {MARGIN} or more; "
            f"{_said(found['loses_to_linear'])} where it loses by that",
            f"  (of {found['scored']:,} scored, give or take {margin:.0f} points)",
        ]
    return lines


def _tables(found: dict[str, Any]) -> list[str]:
    """Class balance, correlation, and columns or cells that hold nothing new."""
    quantiles = found["quantiles"]
    lines = ["Tables", _row("", LEVEL_NAMES)]
    if "smallest_class" in quantiles:
        lines.append(_row("smallest class", quantiles["smallest_class"]))
    lines.append(_row("mean |correlation|", quantiles["correlation"]))
    if isfinite(found["uncorrelated"]):
        lines.append(
            f"  {_said(found['uncorrelated'])} with uncorrelated features: at most {UNCORRELATED} times "
            f"the correlation of independent ones"
        )
    for name, what in (("constant", "columns"), ("repeated", "columns"), ("missing", "cells")):
        lines.append(
            f"  {name} {what}: {_percent(found[name])}"
            + (f", in {_percent(found[f'with_{name}'])} of the datasets" if found[name] else "")
        )
    return lines


def _row(name: str, values: list) -> str:
    cells = [value if isinstance(value, str) else f"{value:.2f}" for value in values]
    return f"  {name:22}" + "".join(f"{cell:>8}" for cell in cells)


def _said(share: float) -> str:
    return f"{in_words(share)} ({_percent(share)})"


def in_words(share: float) -> str:
    """A share in words, at most a third away from its value.

    Args:
        share: from 0 to 1.

    Examples:
        >>> [in_words(share) for share in (0, 0.0067, 0.02, 0.38, 0.52, 0.97, 1)]
        ['none', '1 in 150', '1 in 50', '4 in 10', 'about half', 'nearly all', 'all']
    """
    exact = {0: "none", 0.5: "half", 1: "all"}
    if share in exact:
        return exact[share]
    if share >= 0.95:
        return "nearly all"
    if share >= 0.095:
        tenths = round(10 * share)
        return f"{tenths} in 10" if tenths != 5 else "about half"
    one_in = 1 / share
    # One digit is kept, and two where the first is a 1: between 100 and 200 one digit would be off by half.
    size = floor(log10(one_in))
    return f"1 in {round(one_in, -size if one_in >= 2 * 10**size else 1 - size):,.0f}"


def _percent(share: float) -> str:
    if not isfinite(share):
        return "-"
    return f"{share:.1%}" if 0 < share < 0.0095 else f"{share:.0%}"


def markdown_table(audits: Iterable[Audit]) -> str:
    """A Markdown table with one line per audit: quantiles to two digits, shares in percent.

    Examples:
        >>> from priors import PRESETS, audit_prior
        >>> markdown_table([audit_prior(PRESETS["linear"], "linear", 1)]).splitlines()[2][:9]
        '| linear '
    """
    header = [
        "prior",
        "forest 5 / 25 / 50 / 75 / 95%",
        "linear median",
        "at chance",
        "trivial",
        "forest beats, loses to linear",
        "mean correlation (median, 95%)",
        "smallest class 5 / 50 / 95%",
        "with constant, repeated columns",
    ]
    lines = [f"| {' | '.join(header)} |", "|---|---|" + "--:|" * 4 + "---|" * 3]
    for audit in audits:
        found = audit.summary()
        quantiles = found["quantiles"]
        smallest = quantiles.get("smallest_class")
        correlation = quantiles["correlation"]
        cells = [
            Path(audit.source).name.replace("|", "\\|"),
            " / ".join(map(_short, quantiles["forest"])),
            _short(quantiles["linear"][2]),
            *(_percent(found[name]) for name in ("at_chance", "trivial")),
            f"{_percent(found['beats_linear'])}, {_percent(found['loses_to_linear'])}",
            f"{_short(correlation[2])}, {_short(correlation[4])}",
            " / ".join(_short(smallest[i]) for i in (0, 2, 4)) if smallest else "-",
            f"{_percent(found['with_constant'])}, {_percent(found['with_repeated'])}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:.2f}" if isfinite(value) else "-"
