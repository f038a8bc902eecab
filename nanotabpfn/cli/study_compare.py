"""What `nanotabpfn study compare` shows of two finished studies."""

from math import isnan
from pathlib import Path

from nanotabpfn.studies.report.blocks import metric_name
from nanotabpfn.studies.report.compare_studies import RanksCompared, StudiesCompared, compare_studies
from priors.console import printable, report
from priors.settings import write_setting


def show_comparison(first: Path, second: Path, as_json: bool) -> None:
    """Print in what two studies differ, and how far their scores and effects do."""
    found = compare_studies(first, second)
    document = {
        "a": first,
        "b": second,
        "settings": {path: {"a": a, "b": b} for path, (a, b) in found.settings.items()},
        "tables": found.tables,
        "level": found.level,
        "rows": [row._asdict() for row in found.rows],
        "ranks": [ranks._asdict() for ranks in found.ranks],
        "why_no_effects": found.why_no_effects,
    }
    report(as_json, printable("\n".join(lines(first, second, found))), document)


def lines(first: Path, second: Path, found: StudiesCompared) -> list[str]:
    """The comparison as text."""
    text = [f"A  {first}", f"B  {second}", ""]
    text.append(f"Settings: {len(found.settings)} differ." if found.settings else "Settings: the same.")
    for path, values in found.settings.items():
        text += [f"  {name}  {write_setting(path, value)}" for name, value in zip("AB", values, strict=True)]
    intro = {
        "score": "Scores of the arms that both have, {metric}, means over {tables} tables; B - A is positive "
        "where B is better:",
        "effect": "Effects, arm minus reference, {metric}, positive where the arm is better:",
    }
    width = max(len(row.arm) for row in found.rows)
    shown = None
    for row in found.rows:
        if shown != (row.kind, row.metric):
            shown = row.kind, row.metric
            words = intro[row.kind].format(metric=metric_name(row.metric), tables=len(found.tables))
            header = f"  {'':<{width}}  {'A':>8}  {'B':>8}  {'B - A':>8}  {found.level:.0%} interval"
            text += ["", words, f"{header:<{width + 52}}  p (Holm)"]
        sign = "+" if row.kind == "effect" else ""
        low, high = row.interval
        text.append(
            f"  {row.arm:<{width}}  {row.a:{sign}8.4f}  {row.b:{sign}8.4f}  {row.difference:+8.4f}  "
            f"{low:+.4f} to {high:+.4f}  {row.p_value:.2g}"
        )
    text += [line for ranks in found.ranks for line in _ranks_lines(ranks, found.level)]
    if found.why_no_effects:
        text += ["", f"Effects are not compared: {found.why_no_effects}."]
    return [
        *text,
        "",
        "Intervals have tables as units, paired, and seeds in each study that has several.",
    ]


def _ranks_lines(ranks: RanksCompared, level: float) -> list[str]:
    low, high = ranks.interval
    repeated = [
        f"{value:.2f} ({name})"
        for name, value in (("A", ranks.repeated_a), ("B", ranks.repeated_b))
        if not isnan(value)
    ]
    others = f"; the same study with other seeds would have {' and '.join(repeated)}" if repeated else ""
    return [
        "",
        f"Ranks of the {ranks.num_arms} arms that are the same in both, {metric_name(ranks.metric)}: "
        f"Spearman's correlation {ranks.correlation:.2f}",
        f"({level:.0%} interval with arms as units {low:.2f} to {high:.2f}){others}.",
    ]
