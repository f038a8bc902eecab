"""The style of all figures, how one is made and written; they need matplotlib (the extra `plots`)."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can distinguish (https://jfly.uni-koeln.de/color/).
BLUE, ORANGE, GREEN, RED, SKY, PINK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
BLACK, DARK, GREY, LIGHT = "#000000", "#555555", "#AAAAAA", "#EEEEEE"
CLASS_COLOURS = (BLUE, RED, GREEN, ORANGE, PINK, SKY, BLACK, "#B8A200", GREY, "#7A3E00")

STYLE = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelcolor": DARK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": DARK,
    "ytick.labelcolor": DARK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.hashsalt": "nanotabpfn-priors",  # otherwise the names inside differ from file to file
}
ENDINGS = (".png", ".svg", ".pdf")
DPI = 130


class PlotError(Exception):
    """A figure that cannot be drawn; the message has the reason and the remedy.

    Examples:
        >>> check_figure("graphs.txt")
        Traceback (most recent call last):
        priors.plots.style.PlotError: graphs.txt: a figure must end in one of .png, .svg, .pdf
    """


def check_figure(out: str | Path | None) -> None:
    """Stop before any work if no figure can be drawn, or written to `out`.

    Raises:
        PlotError: matplotlib is not installed, or `out` has another ending than .png, .svg or .pdf.

    Examples:
        >>> check_figure("graphs.svg")
    """
    if out is not None and Path(out).suffix not in ENDINGS:
        raise PlotError(f"{out}: a figure must end in one of {', '.join(ENDINGS)}")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise PlotError('figures need matplotlib: pip install "nanotabpfn-priors[plots]"') from error


def family_label(family: str) -> str:
    """The name of a family as text: without the module of a user's own, without underscores.

    Examples:
        >>> family_label("my_package.priors:erdos_renyi")
        'erdos renyi'
    """
    return family.rpartition(":")[2].replace("_", " ")


@contextmanager
def drawn(
    out: str | Path | None, width: float, height: float, title: str, caption: str
) -> Iterator["Figure"]:
    """An empty figure with a title and, below, a caption; written to `out`, if given, when it is drawn.

    Args:
        width: in inches; so is `height`.

    Examples:
        >>> with drawn(None, 4, 3, "Rows", "Ten datasets.") as figure:
        ...     axes = figure.subplots()
        >>> figure.get_suptitle()
        'Rows'
    """
    check_figure(out)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE), _partial_file(out) as partial:
        figure = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
        # Matplotlib does not wrap them in a constrained layout; so many letters fill an inch.
        title, caption = textwrap.fill(title, round(width * 9.5)), textwrap.fill(caption, round(width * 17))
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        figure.supxlabel(caption, x=0.01, ha="left", fontsize=8, color=DARK)
        yield figure
        if out is not None:
            _save(figure, partial, Path(out).suffix)


@contextmanager
def _partial_file(out: str | Path | None) -> Iterator[Path | None]:
    """The file to write in place of `out`, which gets its name when it is complete; None if there is none."""
    if out is None:
        yield None
        return
    from priors.dumps.files import replaced_when_done  # loads h5py, which figures in memory do without

    with replaced_when_done(Path(out)) as partial:
        yield partial


def _save(figure: "Figure", path: Path, ending: str) -> None:
    if ending == ".png":
        _save_png(figure, path)
    else:
        metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[ending]
        figure.savefig(path, format=ending[1:], metadata=metadata)


def _save_png(figure: "Figure", path: Path) -> None:
    """With 256 colours, in a third of the bytes."""
    from PIL import Image  # matplotlib needs it too

    drawing = BytesIO()
    figure.savefig(drawing, format="png")
    image = Image.open(drawing).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(path, format="png", optimize=True)
