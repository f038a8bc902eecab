"""Kills generation at random lines of its code and resumes it, in a process of its own: for test_resume.py.

A fork is cheap, but only a process without threads may fork, which pytest's is not.

Usage: python killed_runs.py FOLDER NUM_KILLS; prints one line of JSON per kill.
"""

import json
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path

from priors.config import PriorConfig
from priors.dumps import arrays, files, hash, join, new_arrays, outline, provenance, read, schema, write
from priors.dumps.hash import content_hash
from priors.dumps.schema import DumpError
from priors.generation import generate, shards
from priors.generation.generate import generate_dump

CONFIG = PriorConfig(
    num_datapoints=12, num_features=(2, 3), num_nodes=(4, 5), train_fraction=(0.4, 0.6), block_size=2
)
MODULES = (generate, shards, write, join, new_arrays, files, hash, read, arrays, outline, provenance, schema)
FILES = [os.path.basename(module.__file__) for module in MODULES]


def make(path: Path, keep_shards: bool) -> None:
    try:
        generate_dump(path, CONFIG, 21, seed=3, shard_size=4, keep_shards=keep_shards, overwrite=False)
    except DumpError as error:  # all was done, but perhaps for an empty folder
        assert str(error) == f"{path} exists; --overwrite replaces it"  # noqa: PT017


def traced(on_line, path: Path, keep_shards: bool) -> None:
    """`make`, telling `on_line` the file of each line of `FILES` before it is run."""

    def trace(frame, event, argument):
        name = os.path.basename(frame.f_code.co_filename)
        if name not in FILES:
            return None
        if event == "line":
            on_line(name)
        return trace

    sys.settrace(trace)
    make(path, keep_shards)
    sys.settrace(None)


def killed(path: Path, keep_shards: bool, file: str, line: int) -> bool:
    """Whether a run in a process of its own was killed before the `line`-th line that it runs of `file`."""
    child = os.fork()
    if not child:
        seen = Counter()

        def count(name):
            seen[name] += 1
            if name == file and seen[name] == line:
                os.kill(os.getpid(), signal.SIGKILL)

        traced(count, path, keep_shards)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def main(folder: Path, num_kills: int) -> None:
    rng = random.Random(0)
    lines = {}
    for keep_shards in (False, True):
        lines[keep_shards] = Counter()
        traced(
            lambda name, seen=lines[keep_shards]: seen.update([name]),
            folder / f"{keep_shards}.h5",
            keep_shards,
        )
    for number in range(num_kills):
        keep_shards = number % 2 == 1
        place = folder / str(number)
        place.mkdir()
        path = place / "killed.h5"
        kills = []
        while len(kills) < 1 + number % 3:  # some are killed again while they go on
            file = rng.choice(FILES)
            line = rng.randint(1, lines[keep_shards][file])
            if not killed(path, keep_shards, file, line):
                break
            kills.append(f"{file}:{line}")
        if path.exists():  # whatever lies under the final name is complete
            content_hash(path)
        if kills:
            make(path, keep_shards)
        left = sorted(str(file.relative_to(place)) for file in place.rglob("*"))
        print(json.dumps({"kills": kills, "hash": content_hash(path), "shards": keep_shards, "left": left}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
