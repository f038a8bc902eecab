"""The documentation site: pages and notebooks of docs/, the README and the docstrings, as a folder of HTML.

pip install -e ".[docs]"
python scripts/docs_site.py              # to build/site; open build/site/index.html
python scripts/docs_site.py --serve      # on http://127.0.0.1:8000
"""

import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import nbformat
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parent.parent
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "nanotabpfn/shipped/classifier.md": "classifier-card.md",
    "nanotabpfn/shipped/regressor.md": "regressor-card.md",
}
"""Pages that lie outside of docs/ -> their names on the site."""
SHOWN = (".md", ".png", ".svg", ".css", ".ipynb")
LINK = re.compile(r"(!?\[[^\]]*\])\(([^)#\s]+)(#[^)\s]*)?\)")


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=ROOT / "build" / "site",
    show_default="build/site",
    help="Folder of the site, which is replaced.",
)
@click.option("--serve", is_flag=True, help="Show the site in a browser in place of writing it.")
def main(out: Path, serve: bool) -> None:
    """Build the site. A link that leads nowhere, or a docstring that cannot be read, is an error."""
    if not serve and out.exists() and any(out.iterdir()) and not (out / "404.html").exists():
        raise click.UsageError(f"--out: {out} holds other files than a site, which would be removed")
    command = ["serve"] if serve else ["build", "--strict", "--site-dir", str(out.absolute())]
    with TemporaryDirectory() as folder:
        write_pages(Path(folder))
        done = subprocess.run(
            [sys.executable, "-m", "mkdocs", *command],
            cwd=ROOT,
            env={**os.environ, "PAGES": folder, "NO_MKDOCS_2_WARNING": "1"},  # an advertisement
            check=False,
        )
    if done.returncode:
        raise click.ClickException("the site was not built; see above")
    if not serve:
        click.echo(f"{out}/index.html")


def write_pages(folder: Path) -> None:
    """Gather all pages in a folder, with the links between them, and write the pages of the API."""
    names = {
        path: str(path.relative_to(ROOT / "docs")).replace(".ipynb", ".md")
        for path in sorted((ROOT / "docs").rglob("*"))
    }
    names |= {ROOT / path: name for path, name in ELSEWHERE.items()}
    for path, name in names.items():
        if path.suffix not in SHOWN:
            continue
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            text = path.read_text(encoding="utf-8")
            place.write_text(linked(text, path, name, names), encoding="utf-8")
        elif path.suffix == ".ipynb":
            write_notebook(path, name, names, folder)
        else:
            shutil.copy(path, place)
    for package in ("priors", "nanotabpfn"):
        (folder / f"api-{package}.md").write_text(reference(package), encoding="utf-8")


def write_notebook(path: Path, name: str, names: dict[Path, str], folder: Path) -> None:
    """Write a notebook with its outputs as a page, with its figures and the notebook itself."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = linked(cell.source, path, name, names)
    text, resources = MarkdownExporter().from_notebook_node(notebook, {"unique_key": path.stem})
    place = folder / name
    for figure, content in resources["outputs"].items():
        (place.parent / figure).write_bytes(content)
    shutil.copy(path, place.parent)
    place.write_text(f"{text}\n[This page as a Jupyter notebook]({path.name})\n", encoding="utf-8")


def linked(text: str, path: Path, name: str, names: dict[Path, str]) -> str:
    """A page's text, its links those of the site; what the site lacks (code, data) is no link.

    Args:
        text: of the page, or a part of it.
        path: of the page.
        name: of the page on the site.
        names: of all pages and figures.
    """

    def moved(match: re.Match) -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target:
            return match[0]
        found = (path.parent / target).resolve()
        if found not in names or found.suffix not in SHOWN:
            return label[1:-1]
        ups = "../" * name.count("/")
        return f"{label}({ups}{names[found]}{anchor})"

    return LINK.sub(moved, text)


def reference(package: str) -> str:
    """A page of mkdocstrings for all public names of a package."""
    module = import_module(package)
    lines = [f"# {package}", "", (module.__doc__ or "").strip(), ""]
    for name in module.__all__:
        lines += [f"::: {module._MODULE_OF[name]}.{name}", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
