"""Kills training at random lines and moments and resumes: run by test_run.py, in a process of its own.

A fork is cheap, but only a process without threads may fork, which pytest's is not; nor may one that has
differentiated, so all training is done in forks.

Usage: python killed_training.py DUMP FOLDER NUM_KILLS; prints JSON, a line per run, the first undisturbed.
"""

import contextlib
import hashlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import torch
import torch._dynamo  # which the first step would import, in each fork

import nanotabpfn
import nanotabpfn.cli.train  # these two the command would import, in each fork: seconds
import nanotabpfn.cli.train_run
from nanotabpfn.cli.main import errors_for_users
from nanotabpfn.cli.main import main as command
from nanotabpfn.model.checkpoint import load_state
from nanotabpfn.training.run import checkpoints

PACKAGE = Path(nanotabpfn.__file__).parent
FILES = (
    "model/checkpoint.py",
    "cli/train_run.py",
    "training/run.py",
    "training/loop.py",
    "training/state.py",
    "training/step.py",
)
SETTINGS = (
    "--batch-size 4 --steps 7 --checkpoint-every 2 --keep 2 --eval-every 3 --suite none --held-out 4 "
    "--device cpu --embedding-size 8 --heads 2 --hidden 8 --layers 1"
)
TIMES = ("train_time", "wait_time", "wall_time")


errors_for_users()  # imported here for the same reason


def train(dump: Path, out: Path) -> None:
    """What a user does: resume the run if there is one, else start it."""
    if (out / "config.json").exists():
        arguments = ["train", "--resume", str(out)]
    else:
        arguments = ["train", "--dump", str(dump), "--out", str(out), *SETTINGS.split()]
    with contextlib.redirect_stdout(None):
        command(arguments, standalone_mode=False)


def in_a_fork(work, *arguments) -> int:
    """The status of a process that does `work(*arguments)`, and ends without clearing up."""
    child = os.fork()
    if not child:
        torch.set_num_threads(1)
        work(*arguments)
        os._exit(0)
    return child


def ended(child: int) -> bool:
    """Whether the process did all of its work; False if it was killed."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    assert status == 0, status
    return True


def count_lines(dump: Path, out: Path, on_line) -> None:
    """`train`, telling `on_line` the file of each line of `FILES` before it is run."""

    names = {str(PACKAGE / name): name for name in FILES}

    def trace(frame, event, argument):
        name = names.get(frame.f_code.co_filename)
        if name is None:
            return None
        if event == "line":
            on_line(name)
        return trace

    sys.settrace(trace)
    train(dump, out)
    sys.settrace(None)


def killed_at_line(dump: Path, out: Path, file: str, line: int) -> bool:
    """Whether the process was killed before the `line`-th line that it runs of `file`."""
    seen = Counter()

    def count(name):
        seen[name] += 1
        if name == file and seen[name] == line:
            os.kill(os.getpid(), signal.SIGKILL)

    return not ended(in_a_fork(count_lines, dump, out, count))


def killed_after(dump: Path, out: Path, seconds: float) -> bool:
    child = in_a_fork(train, dump, out)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return not ended(child)


def digest(out: Path) -> dict:
    """All that a run has left, the times apart."""
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    states = [load_state(file) for file in checkpoints(out)]
    for record in [*history, *(state["times"] for state in states)]:
        for name in TIMES:
            record.pop(name)
    model = (out / "model.safetensors").read_bytes()
    return {
        "files": sorted(str(file.relative_to(out)) for file in out.rglob("*")),
        "history": history,
        "model": hashlib.sha256(model).hexdigest(),
        # The repr of a tensor is rounded, its bytes are not.
        "states": hashlib.sha256(repr([_plain(state) for state in states]).encode()).hexdigest(),
    }


def _plain(tree):
    if torch.is_tensor(tree):
        return tree.numpy().tobytes()
    if isinstance(tree, dict):
        return {name: _plain(value) for name, value in tree.items()}
    return [_plain(value) for value in tree] if isinstance(tree, list) else tree


def main(dump: Path, folder: Path, num_kills: int) -> None:
    rng = random.Random(0)
    undisturbed = folder / "undisturbed"
    begun = time.perf_counter()
    ended(in_a_fork(train, dump, undisturbed))
    seconds = time.perf_counter() - begun
    print(json.dumps({"kills": [], **digest(undisturbed)}))
    counts_file = folder / "lines.json"

    def note_lines():
        lines = Counter()
        count_lines(dump, folder / "traced", lambda name: lines.update([name]))
        counts_file.write_text(json.dumps(lines))

    ended(in_a_fork(note_lines))
    lines = json.loads(counts_file.read_text())
    for number in range(num_kills):
        out = folder / str(number)
        kills = []
        while len(kills) < 1 + number % 3:  # some are killed again while they go on
            if number % 2:
                file = rng.choice(FILES)
                line = rng.randint(1, lines[file])
                killed, kill = killed_at_line(dump, out, file, line), f"{file}:{line}"
            else:
                moment = rng.uniform(0, seconds)
                killed, kill = killed_after(dump, out, moment), f"{moment:.4f} s"
            if not killed:
                break
            kills.append(kill)
        ended(in_a_fork(train, dump, out))
        print(json.dumps({"kills": kills, **digest(out)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
