"""Tables of a report as LaTeX: names are text, and every row has the columns of the header."""

import re

from hypothesis import given
from hypothesis import strategies as st

from nanotabpfn.studies.report.blocks import table
from nanotabpfn.studies.report.latex import escaped, to_latex

MARKS = {
    r"\&": "&", r"\%": "%", r"\$": "$", r"\#": "#", r"\_": "_", r"\{": "{", r"\}": "}", "$-$": "\u2212",
    r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\ldots{}": "\u2026",
    "{[}": "[", "{*}": "*", r"\textless{}": "<", r"\textgreater{}": ">", r"\textbar{}": "|",
}  # fmt: skip


def read(latex: str) -> str:
    """The text that LaTeX shows for escaped text."""
    pattern = "|".join(map(re.escape, sorted(MARKS, key=len, reverse=True)))
    return re.sub(pattern, lambda found: MARKS[found[0]], latex)


@given(st.text(st.sampled_from("ab [*&%$#_{}\\~^<>|\u2212\u2026-")))
def test_text_is_shown_as_it_is(words):
    assert read(escaped(words)) == words


def test_numbers_are_at_the_right_and_text_at_the_left():
    block = table(
        ["arm", "what it is", "gain & loss"], [["a", "b_c", "+0.1"], ["d", "e", "\u22120.2"]], "A.", (1,)
    )
    lines = to_latex(block, "tab:a").splitlines()
    assert lines[2] == r"\begin{tabular}{lp{0.45\linewidth}r}"
    assert lines[4:8] == [
        r"arm & what it is & gain \& loss \\", r"\midrule", r"a & b\_c & +0.1 \\", r"d & e & $-$0.2 \\"
    ]  # fmt: skip
