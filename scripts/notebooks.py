"""Runs the notebooks of docs/notebooks from start to end and stores their outputs in them.

pip install -e ".[notebooks]"
python scripts/notebooks.py                 # all of them, about three minutes
python scripts/notebooks.py own-prior       # one

Each runs in an empty folder of its own, so the files that it writes are gone afterwards. Numbers of
executions, times, versions and names of cells are not stored. What still differs from run to run: when a
dump was created, the seconds that `nanotabpfn study plan` estimates, and on other processors the last digits.
"""

import os
import sys
from base64 import b64decode, b64encode
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "notebooks"
NAMES = ("own-prior", "train-and-look", "two-arm-study")
"""In the order in which they are to be read."""


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
def main(names: tuple[str, ...]) -> None:
    """Run the notebooks NAMES, by default all, and store their outputs. A cell with an error ends it."""
    for name in names or NAMES:
        path = FOLDER / f"{name}.ipynb"
        notebook = executed(nbformat.read(path, as_version=4))
        nbformat.write(plain(notebook), path)
        click.echo(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


def executed(notebook: NotebookNode) -> NotebookNode:
    """The notebook with the outputs of a run in an empty folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised an error.
    """
    binaries = str(Path(sys.executable).parent)  # of `nanotabpfn`, where the environment is not activated
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    with TemporaryDirectory() as folder, TemporaryDirectory() as sockets:
        client = NotebookClient(
            deepcopy(notebook),
            kernel_name="python3",
            timeout=None,
            startup_timeout=600,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        # Sockets that are files, not ports, of which two kernels that start at once may take the same.
        manager = client.create_kernel_manager()
        manager.transport, manager.ip = "ipc", f"{sockets}/kernel"
        return client.execute(env=environment)


def plain(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what differs from run to run, its figures with few colours, which are smaller."""
    notebook = deepcopy(notebook)
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", NotebookNode()
        if cell.cell_type == "code":
            cell.execution_count = None
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = None
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = with_few_colours(output.data["image/png"])
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    return notebook


def with_few_colours(image: str) -> str:
    """A PNG in Base64 with a palette of 64 colours; one that has a palette already stays as it is."""
    picture = Image.open(BytesIO(b64decode(image)))
    if picture.mode == "P":
        return image
    file = BytesIO()
    picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    main()
