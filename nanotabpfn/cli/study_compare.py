"""What `nanotabpfn study compare` shows of two finished studies."""

from pathlib import Path

from nanotabpfn.studies.report.blocks import metric_name
from nanotabpfn.studies.report.compare_studies import StudiesCompared, compare_studies
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
    if found.why_no_effects:
        text += ["", f"Effects are not compared: {found.why_no_effects}."]
    return [
        *text,
        "",
        "Intervals have tables as units, paired, and seeds in each study that has several.",
    ]
