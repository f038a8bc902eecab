"""Damaged and hostile dumps through every verb that reads one: plain lines, in bounded memory and time.

All cases run in one process of their own, so that a crash of HDF5 or a hang is a failed test and not the end
of the suite. ``python tests/test_fuzzed_dumps.py FOLDER DUMP`` is that process.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

pytestmark = pytest.mark.xdist_group("fuzzed dumps")  # on one process: all tests read the same long run

VERBS = {
    "validate": ["validate", "FILE"],
    "verify": ["verify", "FILE", "--sample", "2"],
    "inspect": ["inspect", "FILE"],
    "convert": ["convert", "FILE", "OUT", "--overwrite"],
}
KEYS = ["X", "y", "num_features", "num_datapoints", "single_eval_pos", "max_num_classes"]
TRUNCATIONS = 50
FLIPS = {"ours": 200, "plain": 100}


# ------------------------------------------------------------------------------------- the process of its own


def truncated(whole):
    for i in range(TRUNCATIONS):
        yield f"truncated {i}", whole[: i * len(whole) // TRUNCATIONS]


def flipped(whole, name, seed):
    rng = np.random.default_rng(seed)
    for i in range(FLIPS[name]):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= int(rng.integers(1, 256))
        yield f"{name} flipped {i}", bytes(data)


def written_plainly(path, source):
    """The same contents as a file of older HDF5, whose structure carries no checksums."""
    with h5py.File(source) as file, h5py.File(path, "w") as plain:
        file.visititems(
            lambda name, item: (
                plain.create_dataset(name, data=item[()], chunks=item.chunks)
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
        for name, value in file.attrs.items():
            plain.attrs[name] = value


def edited(fifo):
    """(name, change of an open file): what a file may hold that it should not."""
    size = 10**12

    def put(key, **options):
        def change(file):
            if key in file:
                del file[key]
            file.create_dataset(key, **options)

        return change

    def link(key, target):
        def change(file):
            if key in file:
                del file[key]
            file[key] = target

        return change

    def virtual(file):
        layout = h5py.VirtualLayout(file["X"].shape, np.float32)
        layout[:] = h5py.VirtualSource(str(fifo), "X", file["X"].shape)
        del file["X"]
        file.create_virtual_dataset("X", layout)

    def declared(shape, chunks, keys=("X", "y"), write=True):
        def change(file):
            for key in keys:
                del file[key]
                dims = {"X": 3, "y": 2}.get(key, 1)
                options = {"chunks": chunks[:dims], "compression": "gzip"}
                array = file.create_dataset(key, shape[:dims], np.int32, **options)
                if write:
                    array[(slice(0, 1),) * dims] = 1

        return change

    def bomb(file):
        """30 million datasets of zeros in a few hundred kB."""
        for key in [*KEYS[:5], "properties"]:
            del file[key]
        count = 30_000_000
        for key, shape in [("X", (count, 2, 1)), ("y", (count, 2)), *((key, (count,)) for key in KEYS[2:5])]:
            array = file.create_dataset(
                key, shape, np.int8, chunks=(10**7, *shape[1:]), compression="gzip", fillvalue=1
            )
            array.id.set_extent(shape)
            for start in range(0, count, 10**7):
                array[start : start + 10**7] = 1

    def retyped(key, dtype):
        return lambda file: put(key, data=np.zeros(file[key].shape, dtype))(file)

    def value(key, index, new):
        return lambda file: file[key].__setitem__(index, new)

    for key in KEYS:
        yield f"{key} missing", lambda file, key=key: file.__delitem__(key)
        yield f"{key} wider", lambda file, key=key: put(key, data=file[key][()].astype(np.float64))(file)
        for dtype in ("i8", "u1", "S5", "c8", "?", ">i2", [("a", "f4"), ("b", "i4")]):
            yield f"{key} as {dtype}", retyped(key, dtype)
        yield f"{key} as text", put(key, data=["a", "b"])
        yield f"{key} as references", put(key, shape=(3,), dtype=h5py.ref_dtype)
        yield f"{key} as lists", put(key, shape=(3,), dtype=h5py.vlen_dtype(np.int32))
        yield f"{key} empty", link(key, h5py.Empty("f4"))
        yield f"{key} scalar", put(key, data=1.5)
        yield f"{key} never written", put(key, shape=(size, 2, 1)[: 3 if key == "X" else 1], dtype="f4")
        yield f"{key} linked outside", link(key, h5py.ExternalLink(str(fifo), f"/{key}"))
        yield f"{key} linked to nothing", link(key, h5py.SoftLink("/nowhere"))
        yield f"{key} linked to itself", link(key, h5py.SoftLink(f"/{key}"))
        yield f"{key} a group", lambda file, key=key: link(key, file["properties"])(file)
        yield f"{key} stored outside", put(key, shape=(3,), dtype="i4", external=[(str(fifo), 0, 12)])
    yield "X virtual", virtual
    yield "properties outside", link("properties", h5py.ExternalLink(str(fifo), "/"))
    yield "a property outside", link("properties/more", h5py.ExternalLink(str(fifo), "/X"))
    yield "properties in a circle", lambda file: file.__setitem__("properties/circle", file["/"])
    yield "unknown keys outside", link("extra", h5py.ExternalLink(str(fifo), "/"))
    yield "terabytes of datasets", declared((size, 2, 1), (1000, 2, 1), keys=KEYS[:5])
    yield "terabytes of rows", declared((16, size // 16, 1), (1, 1000, 1))
    yield "terabytes of features", declared((16, 12, size // 192), (1, 12, 1000), keys=("X",))
    yield "a chunk of gigabytes", declared((2**14, 2**14, 2), (2**13, 2**14, 2), write=False)
    yield "a bomb", bomb
    for number in (0, -1, 13, 10**6, 2**31 - 1, -(2**31)):
        yield f"split {number}", value("single_eval_pos", 3, number)
        yield f"rows {number}", value("num_datapoints", 3, number)
        yield f"features {number}", value("num_features", 3, number)
        yield f"classes {number}", value("max_num_classes", 0, number)
        yield f"block {number}", value("original_batch_size", 0, number)
    for label in (np.nan, np.inf, -1, 0.5, 11, 1e30, -1e30):
        yield f"label {label}", value("y", (3, 2), label)
    texts = (b"\xff\xfe", "x" * 10**5, "[" * 10**5, "9" * 5000, "\x1b[2J\n" * 50)
    for name in ("config", "seed", "generator", "content_hash", "first_dataset", "format_version", "sources"):
        for new in (*texts, np.arange(5), -1, np.nan, h5py.Empty("f4")):
            change = lambda file, name=name, new=new: file.attrs.__setitem__(name, new)  # noqa: E731
            yield f"attribute {name} = {str(new)[:20]}", change


def run_all(folder, dump):
    from click.testing import CliRunner

    from priors.cli.main import main
    from priors.dumps.hash import content_hash
    from priors.dumps.schema import DumpError

    folder, original = Path(folder), content_hash(dump)
    fifo, path = folder / "outside", folder / "case.h5"
    os.mkfifo(fifo)  # opening it blocks for ever

    def run(name, same=None):
        is_same = same() if same else None
        for verb, words in VERBS.items():
            words = [{"FILE": str(path), "OUT": str(folder / "out.npz")}.get(word, word) for word in words]
            started = time.perf_counter()
            result = CliRunner().invoke(main, words)
            print(
                json.dumps(
                    {
                        "case": name,
                        "verb": verb,
                        "exit_code": result.exit_code,
                        "exception": None
                        if result.exception is None or isinstance(result.exception, SystemExit)
                        else repr(result.exception),
                        "stdout": result.stdout,
                        "stderr": result.stderr,
                        "seconds": time.perf_counter() - started,
                        "same": is_same,
                        "left": sorted(entry.name for entry in folder.iterdir()),
                    }
                ),
                flush=True,
            )
            (folder / "out.npz").unlink(missing_ok=True)

    def same():
        try:
            return content_hash(path) == original
        except DumpError:
            return False

    whole = Path(dump).read_bytes()
    written_plainly(folder / "plain.h5", dump)
    plain = (folder / "plain.h5").read_bytes()
    (folder / "plain.h5").unlink()
    for name, data in truncated(whole):
        path.write_bytes(data)
        run(name)
    for name, data in [*flipped(whole, "ours", 0), *flipped(plain, "plain", 1)]:
        path.write_bytes(data)
        run(name, same)
    for name, change in edited(fifo):
        shutil.copy(dump, path)
        with h5py.File(path, "r+") as file:
            change(file)
        run(name)
    sys.path.append(str(Path(__file__).parents[2]))
    from peak_memory import peak_bytes

    print(json.dumps({"peak_kib": peak_bytes() // 1024}))


# -------------------------------------------------------------------------------------------------- the tests


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What every verb made of every case, and the peak of memory in KiB."""
    from tiny_prior import TINY

    from priors.generation.generate import generate_dump

    folder = tmp_path_factory.mktemp("fuzzed")
    config = replace(TINY, num_datapoints=12, num_features=(2, 2), num_nodes=(3, 5))
    generate_dump(folder / "whole.h5", config, 16, seed=0)
    (folder / "cases").mkdir()
    command = [sys.executable, "-W", "error", __file__, str(folder / "cases"), str(folder / "whole.h5")]
    log, errors = folder / "log", folder / "errors"
    with (
        open(log, "w") as out,
        open(errors, "w") as err,
        subprocess.Popen(command, stdout=out, stderr=err) as process,
    ):
        seen = -1
        while process.poll() is None:
            # A case takes hundredths of a second: one that takes a minute hangs, however busy the machine is.
            if log.stat().st_size == seen:
                process.kill()
                pytest.fail(f"hangs after {log.read_text().splitlines()[-1:]}")
            seen = log.stat().st_size
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert process.returncode == 0, (process.returncode, lines[-1:], errors.read_text()[-2000:])
    return lines[:-1], lines[-1]["peak_kib"]


def test_never_a_traceback_and_always_an_exit_code_that_says_what_it_is(outcome):
    for case in outcome[0]:
        assert case["exception"] is None, case
        assert case["exit_code"] in (0, 1, 2), case
        assert "Traceback" not in case["stdout"] + case["stderr"], case
        assert case["exit_code"] != 2 or 1 <= len(case["stderr"].splitlines()) <= 2, case


def test_never_more_than_a_few_lines(outcome):
    for case in outcome[0]:
        most = 60 if case["verb"] == "inspect" else 12
        lines = (case["stdout"] + case["stderr"]).splitlines()
        assert len(lines) <= most, case
        assert max(map(len, lines), default=0) < 1000, case


def test_memory_and_time_are_bounded(outcome):
    cases, peak = outcome
    assert peak < 2**20
    slowest = max(cases, key=lambda case: case["seconds"])
    assert slowest["seconds"] < 20, slowest


def test_nothing_is_left_behind(outcome):
    for case in outcome[0]:
        made = ["out.npz"] if case["verb"] == "convert" and case["exit_code"] == 0 else []
        assert case["left"] == ["case.h5", *made, "outside"], case


def test_every_truncated_file_is_found_and_named_in_one_line(outcome):
    cases = [case for case in outcome[0] if case["case"].startswith("truncated")]
    assert len(cases) == len(VERBS) * TRUNCATIONS
    for case in cases:
        checks = case["verb"] in ("validate", "verify")
        assert case["exit_code"] == (1 if checks else 2), case
        [line] = (case["stdout"] if checks else case["stderr"]).splitlines()
        assert "case.h5: is not a whole HDF5 file" in line, case


def test_every_flipped_byte_that_changes_something_is_found_and_named(outcome):
    """The others lie in space that HDF5 does not use."""
    for name in ("ours", "plain"):
        for verb in ("validate", "verify"):
            cases = [c for c in outcome[0] if c["case"].startswith(f"{name} flipped") and c["verb"] == verb]
            assert len(cases) == FLIPS[name]
            if name == "plain":  # its attributes carry no checksum: they can change unseen
                cases = [case for case in cases if "content hash" not in case["stderr"]]
            for case in cases:
                if not case["same"]:
                    assert case["exit_code"] != 0, case
                    assert "case.h5: " in case["stdout"] + case["stderr"], case
        assert sum(not case["same"] for case in cases) > 50


def test_nothing_is_refused_without_a_reason(outcome):
    """Flips in unused space change nothing, and the checks say so."""
    cases = [case for case in outcome[0] if case["case"].startswith("ours flipped") and case["same"]]
    assert cases
    assert all(case["exit_code"] == 0 for case in cases)


@pytest.mark.parametrize("words", ["linked outside", "stored outside", "virtual", "never written", "missing"])
def test_what_is_not_in_the_file_is_refused(outcome, words):
    cases = [case for case in outcome[0] if words in case["case"] and "max_num" not in case["case"]]
    cases = [case for case in cases if "num_datapoints missing" not in case["case"]]
    assert cases
    for case in cases:
        assert case["exit_code"] == (1 if case["verb"] in ("validate", "verify") else 2), case


@pytest.mark.parametrize("words", ["terabytes", "gigabytes", "bomb", "split", "rows", "features", "label"])
def test_absurd_sizes_and_values_are_found(outcome, words):
    cases = [case for case in outcome[0] if words in case["case"] and case["verb"] == "validate"]
    assert cases
    assert [case for case in cases if case["exit_code"] != 1] == []


if __name__ == "__main__":
    run_all(*sys.argv[1:])
