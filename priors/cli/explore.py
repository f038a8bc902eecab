"""`priors explore`: a page in the browser on which a prior is turned by hand."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from priors.cli.options import seed_option, set_option
from priors.config import with_overrides
from priors.console import Choice, PlainError, interruptible, parse_override
from priors.explore.start import LARGEST_SEED
from priors.presets import PRESETS

APP = Path(__file__).parents[1] / "explore" / "app.py"
NEEDED = ("marimo", "anywidget", "matplotlib", "yaml")


@click.command()
@click.option(
    "--preset", type=Choice(list(PRESETS)), default="default", show_default=True, help="Where to begin."
)
@set_option
@seed_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the page is served at.")
@click.option("--port", type=click.IntRange(1, 65535), help="Its port.  [default: one that is free]")
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
def explore(
    preset: str, overrides: tuple[str, ...], seed: int, host: str, port: int | None, no_browser: bool
) -> None:
    """Turn a prior by hand on a page in the browser: its settings are sliders, its pictures follow.

    The page shows causal graphs, datasets, properties next to those of real tables, mechanisms, and how much
    there is to learn, of one prior or of two side by side. A click on a node sets it, and the page shows
    which columns move. A prior can be copied as options, as JSON, or as the arm of a study. Needs the extra
    `explore`. Ctrl-C ends it.

    \b
    priors explore
    priors explore --preset mixed --set 'num_features=[2, 10]' --seed 3
    priors explore --no-browser --port 8080
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise PlainError(f"the page needs {missing[0]}: pip install 'nanotabpfn-priors[explore]'")
    if seed > LARGEST_SEED:
        raise click.BadParameter(
            f"must be at most {LARGEST_SEED}, the largest number of the page, got {seed}", param_hint="--seed"
        )
    with_overrides(PRESETS[preset], dict(map(parse_override, overrides)))  # raises what is wrong with them
    serving = [
        f"--host={host}",
        *([f"--port={port}"] if port else []),
        *(["--headless"] if no_browser else []),
    ]
    start = [f"--preset={preset}", f"--seed={seed}", *(f"--set={setting}" for setting in overrides)]
    command = [sys.executable, "-m", "marimo", "run", str(APP), *serving, "--", *start]
    with interruptible(), subprocess.Popen(command) as server:
        try:
            code = server.wait()
        except KeyboardInterrupt:
            server.terminate()
            code = 0
    if code:
        raise PlainError(f"the page ended with exit code {code}")
