"""Runs every command once on tiny inputs, in a temporary folder, and uploads and loads a model: does this
environment work?

`scripts/lowest.sh` runs it with the lowest versions that pyproject.toml allows. It needs no network.
"""

import os
import shlex
import shutil
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import torch

import nanotabpfn.cli.main
import priors.cli.main
from priors.dumps import download
from priors.explore.app import app

ROOT = Path(__file__).parents[1]
GROUPS = {"priors": priors.cli.main.main, "nanotabpfn": nanotabpfn.cli.main.main}
TINY_PRIOR = "--set num_datapoints=24 --set 'num_features=[3,3]' --set 'num_nodes=[5,6]' --set block_size=8"
TINY_MODEL = "--embedding-size 8 --heads 2 --hidden 8 --layers 1 --device cpu"
TINY_RUN = f"--steps 4 --batch-size 8 --eval-every 2 {TINY_MODEL}"

TABLE = "a,b,c,species,price\n" + "\n".join(
    f"{row % 7},{'xyz'[row % 3]},2024-01-{row + 1:02},{('dog', 'cat')[row % 7 > 3]},{row % 7 + row / 9:.2f}"
    for row in range(28)
)
STUDY = """
arms:
  one: {preset: linear, set: {num_datapoints: 24, num_features: [3, 3], num_nodes: [5, 6], block_size: 8}}
  two: {preset: gp, set: {num_datapoints: 24, num_features: [3, 3], num_nodes: [5, 6], block_size: 8}}
data_seeds: [0]
model_seeds: [0]
controls: [repeated]
steps: 4
eval_every: 2
batch_size: 8
held_out: 4
model: {embedding_size: 8, num_attention_heads: 2, mlp_hidden_size: 8, num_layers: 1}
suites: [builtin]
baselines: [logistic_regression]
"""

COMMANDS = f"""
priors presets
priors presets default
priors schema
priors generate a.h5 --num-datasets 64 {TINY_PRIOR} --workers 2
priors generate b.h5 --num-datasets 32 {TINY_PRIOR} --seed 1 --shards --shard-size 16
priors generate d.h5 --num-datasets 16 {TINY_PRIOR} --backend dask --workers 1
priors generate graph.h5 --num-datasets 8 --set num_datapoints=24 --graph credit.graphml
priors generate dot.h5 --num-datasets 8 --set num_datapoints=24 --graph edges.dot --target t
priors generate real.h5 --num-datasets 32 {TINY_PRIOR} --set 'problem_type="regression"'
priors generate mixed.h5 --num-datasets 32 --preset mixed --set num_datapoints=40
priors inspect a.h5
priors diff a.h5 mixed.h5
priors validate a.h5
priors verify a.h5 --sample 8
priors audit a.h5 --num-datasets 8 --figure audit.png --json
priors audit --preset linear --num-datasets 4 --markdown
priors plot graphs --num 2 --out graphs.png
priors plot datasets --num 2 --out datasets.svg
priors plot mechanisms --out mechanisms.pdf
priors plot dump a.h5 --out dump.png
priors explore --help
priors merge a.h5 b.h5 --out both.h5
priors shuffle both.h5 --out shuffled.h5 --seed 0
priors split both.h5 --parts 2 --out-dir parts
priors convert a.h5 published.h5 --layout published
priors convert a.h5 playground.h5 --layout tfm-playground
priors convert a.h5 a.npz
priors convert a.npz back.h5
priors convert a.h5 a.parquet
priors convert a.parquet again.h5
priors card a.parquet --title Tables
priors download 300k_150x5_2 --out downloaded.h5
nanotabpfn train --dump a.h5 --out runs/a {TINY_RUN} --held-out 8 --suite open --log tensorboard
nanotabpfn train --resume runs/a --steps 6
nanotabpfn train --prior default {TINY_PRIOR} --out runs/live {TINY_RUN} --suite none --recipe combined
nanotabpfn train --dump real.h5 --out runs/real {TINY_RUN} --problem regression --suite open-regression
nanotabpfn evaluate --model runs/a --suite builtin --baselines --device cpu --out scores.json
nanotabpfn evaluate --model runs/real --suite builtin-regression --device cpu
nanotabpfn plot runs/a --scores scores.json
nanotabpfn predict --train table.csv --target species --test table.csv --out classes.csv
nanotabpfn predict --train table.csv --target price --test table.csv --out prices.csv --problem regression
nanotabpfn card runs/a --title Tiny
nanotabpfn convert a.h5 batches --batch-size 32
nanotabpfn study init example.yaml
nanotabpfn study schema
nanotabpfn study plan study.yaml --out runs/study
nanotabpfn study run study.yaml --out runs/study --workers 1
nanotabpfn study report runs/study
nanotabpfn study compare runs/study runs/study
"""


class Quiet(SimpleHTTPRequestHandler):
    """A file server that logs nothing."""

    def log_message(self, *arguments) -> None:
        pass


def leaves(command: click.Command, path: tuple[str, ...]) -> set[tuple[str, ...]]:
    """The command paths below `command`, such as ("priors", "plot", "graphs")."""
    if not isinstance(command, click.Group):
        return {path}
    context = click.Context(command)
    names = command.list_commands(context)
    return set().union(*(leaves(command.get_command(context, name), (*path, name)) for name in names))


def run_all(folder: Path) -> None:
    """Run all commands in `folder`, which is the current one.

    Raises:
        SystemExit: a command failed, or a command of the toolkit is not in the list.
    """
    Path("table.csv").write_text(TABLE, encoding="utf-8")
    Path("study.yaml").write_text(STUDY, encoding="utf-8")
    Path("edges.dot").write_text("digraph { a -> t; b -> t; a -> b }", encoding="utf-8")
    shutil.copy(ROOT / "docs" / "credit.graphml", folder)
    missing = set().union(*(leaves(group, (name,)) for name, group in GROUPS.items()))
    for line in COMMANDS.strip().splitlines():
        words = shlex.split(line)
        begun = time.perf_counter()
        try:
            GROUPS[words[0]].main(words[1:], prog_name=words[0])
        except SystemExit as exit:
            if exit.code:
                raise SystemExit(f"failed with exit code {exit.code}: {line}") from exit
        print(f"ok, {time.perf_counter() - begun:.1f} s: {line}", flush=True)
        missing -= {tuple(words[:length]) for length in (2, 3)}
    if missing:
        raise SystemExit(f"not tried: {', '.join(' '.join(path) for path in sorted(missing))}")


def use_hub(run: str) -> None:
    """Upload the model of a run to a Hub on this machine, and load it from there."""
    sys.path.append(str(ROOT / "tests"))
    from hub_server import TOKEN, running_hub

    with running_hub() as hub:
        os.environ |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(Path("hub").absolute())}
        nanotabpfn.push_to_hub(run, "me/tiny", token=TOKEN)
        loaded = nanotabpfn.from_pretrained("me/tiny")
    for weights, expected in zip(loaded.parameters(), nanotabpfn.load_model(run).parameters(), strict=True):
        assert torch.equal(weights, expected)


def run_page() -> None:
    """Run the cells of the page that `priors explore` would serve until Ctrl-C."""
    begun = time.perf_counter()
    outputs, _ = app.run()
    if not any("data:image/png" in getattr(output, "text", "") for output in outputs):
        raise SystemExit("failed: the page of priors explore shows no picture")
    print(f"ok, {time.perf_counter() - begun:.1f} s: the page of priors explore", flush=True)


def main() -> None:
    """Serve a small file in place of the published dump, run all commands, and use the Hub."""
    torch.set_num_threads(1)
    os.environ["no_proxy"] = "127.0.0.1"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=ROOT / "tests" / "data"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/published_like.h5"
    download.PUBLISHED["300k_150x5_2"] = download.Published(url, url, (640, 150, 5))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        run_all(Path(folder))
        use_hub("runs/a")
        run_page()
        os.chdir(ROOT)
    server.shutdown()
    print(f"all {len(COMMANDS.strip().splitlines())} commands work")


if __name__ == "__main__":
    main()
