"""Writes the page of `priors explore` as a folder that needs no installation: Python runs in the browser.

    pip install uv
    python scripts/explore_page.py --out build/page
    python -m http.server --directory build/page      # or any other web server

`marimo export html-wasm` does it, which needs uv and, the first time, the network. When the page is opened,
the browser loads Pyodide (Python and its packages as WebAssembly) from the network. The folder has a wheel of
`priors` alone, with what the page needs of other packages: the toolkit's own wheel asks for torch, which no
browser has.
"""

import base64
import csv
import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import click

PACKAGE = Path(__file__).parents[1] / "priors"
APP, STYLE = PACKAGE / "explore" / "app.py", PACKAGE / "explore" / "page.css"
NAME, VERSION = "priors_page", "0"
WHEEL = f"{NAME}-{VERSION}-py3-none-any.whl"
NEEDS = (
    "anywidget", "click", "matplotlib", "networkx", "numpy", "pydantic", "pyyaml", "scikit-learn", "scipy",
    "typing-extensions",
)  # fmt: skip
"""What the page imports. Pyodide has all of them, or they are pure Python."""
METADATA = [
    "Metadata-Version: 2.1",
    f"Name: {NAME}",
    f"Version: {VERSION}",
    *(f"Requires-Dist: {name}" for name in NEEDS),
]
ABOUT_WHEEL = [
    "Wheel-Version: 1.0",
    f"Generator: {Path(__file__).name}",
    "Root-Is-Purelib: true",
    "Tag: py3-none-any",
]
HEADER = f"""# /// script
# requires-python = ">=3.11"
# dependencies = ["marimo", "{NAME} @ {WHEEL}"]
# ///
"""
"""Of the app in the folder, from which marimo installs the wheel."""


def export_page(out: Path) -> None:
    """Write the page to a new folder, which gets its name when all is there.

    Raises:
        click.ClickException: `out` exists, or marimo could not export the page.
    """
    if out.exists():
        raise click.ClickException(f"{out} exists")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        app, exported = Path(folder, "priors_explore.py"), Path(folder, "exported")
        app.write_text(HEADER + APP.read_text(encoding="utf-8"), encoding="utf-8")
        shutil.copy(STYLE, folder)
        write_wheel(app.with_name(WHEEL))
        command = [sys.executable, "-m", "marimo", "export", "html-wasm", str(app), "--output", str(exported)]
        result = subprocess.run(
            [*command, "--mode", "run", "--no-sandbox"],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if result.returncode:
            raise click.ClickException(f"marimo could not export the page: {result.stderr.strip()}")
        exported.rename(out)


def write_wheel(path: Path) -> None:
    """Write a wheel of `priors`, with the metadata that the browser needs."""
    info = f"{NAME}-{VERSION}.dist-info"
    files = [file for file in sorted(PACKAGE.rglob("*")) if file.suffix in (".py", ".json")]
    contents = {file.relative_to(PACKAGE.parent).as_posix(): file.read_bytes() for file in files}
    contents[f"{info}/METADATA"] = "\n".join([*METADATA, ""]).encode()
    contents[f"{info}/WHEEL"] = "\n".join([*ABOUT_WHEEL, ""]).encode()
    rows = io.StringIO()
    record = csv.writer(rows, lineterminator="\n")
    for name, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        record.writerow([name, f"sha256={digest}", len(content)])
    record.writerow([f"{info}/RECORD", "", ""])
    contents[f"{info}/RECORD"] = rows.getvalue().encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in contents.items():
            wheel.writestr(name, content)


@click.command(help=__doc__.partition("\n")[0])
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
def main(out: Path) -> None:
    """Export the page."""
    export_page(out)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    click.echo(f"{out}: {size / 2**20:.0f} MiB; python -m http.server --directory {out}")


if __name__ == "__main__":
    main()
