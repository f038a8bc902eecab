"""The verbs of `priors` that check, rearrange, convert and fetch dumps: what they say, their exit codes."""

import shutil

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from commands import assert_refused
from commands import run_priors as run

from priors.cli.main import main
from priors.dumps.download import PUBLISHED, Published
from priors.dumps.hash import content_hash
from priors.dumps.read import open_dump

VERBS = ["merge", "split", "shuffle", "convert", "validate", "verify", "download"]


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches_by_example(verb):
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert f"\n  priors {verb} " in result.output, "an example, in a line of its own"
    assert max(map(len, result.output.splitlines())) < 110


def test_merge_split_shuffle_convert_and_back(tiny_dump, tmp_path):
    def done(*arguments):
        result = run(*arguments)
        assert result.exit_code == 0, result.output
        return result

    assert "64 datasets" in done("convert", tiny_dump, tmp_path / "a.npz").stdout
    done("convert", tmp_path / "a.npz", tmp_path / "a.h5")
    assert done(
        "split", tmp_path / "a.h5", "--sizes", "32,32", "--out-dir", tmp_path / "new/parts"
    ).stdout == (
        f"{tmp_path}/new/parts/a-1-of-2.h5: 32 datasets\n{tmp_path}/new/parts/a-2-of-2.h5: 32 datasets\n"
    )
    parts = sorted((tmp_path / "new/parts").iterdir())
    assert "in blocks of 4" in done("merge", *parts, "--out", tmp_path / "b.h5").stdout
    assert content_hash(tmp_path / "b.h5") == content_hash(tiny_dump)
    assert "16 blocks" in done("shuffle", tmp_path / "b.h5", "--out", tmp_path / "c.h5", "--seed", 1).stdout
    done("split", tmp_path / "c.h5", "--parts", 3, "--out-dir", tmp_path)
    assert (tmp_path / "c-3-of-3.h5").exists()
    done("convert", tiny_dump, tmp_path / "p.h5", "--layout", "published")
    with h5py.File(tmp_path / "p.h5") as file:
        assert "problem_type" not in file
    assert done("validate", tmp_path / "c.h5").stdout == f"{tmp_path}/c.h5: ok, 64 datasets\n"
    assert done("verify", parts[1], "--sample", 5).stdout == (
        f"{parts[1]}: ok, 5 records made again, equal to the bit\n"
    )


def test_merge_tells_what_it_leaves_out(tiny_dump, published_like, tmp_path):
    result = run("merge", published_like, tiny_dump, "--out", tmp_path / "both.h5")
    assert result.exit_code == 0
    assert result.stderr.startswith("note: not in all of them, and left out: attempts, graph")


def test_the_published_file(published_like, tmp_path):
    """Inspected, validated, converted, and not verified."""
    result = run("inspect", published_like)
    assert "1 of 640, namely 77" in result.stdout
    result = run("validate", published_like)
    assert result.exit_code == 1
    assert result.stdout == f"{published_like}: X, y: cells that are not finite: record 77\n"
    assert all(line.startswith(f"{published_like}: note: ") for line in result.stderr.splitlines())
    assert_refused(run("verify", published_like), "does not say how it was made", "priors validate")
    for name in ("ours.h5", "ours.npz", "ours.parquet"):
        assert run("convert", published_like, tmp_path / name).exit_code == 0
    result = run("validate", tmp_path / "ours.h5")
    assert (result.exit_code, result.stdout.count("\n")) == (1, 1)
    assert "record 77" in result.stdout
    with h5py.File(published_like) as file, h5py.File(tmp_path / "right.h5", "w") as right:
        for name in file:
            right[name] = np.nan_to_num(file[name][()]) if name == "X" else file[name][()]
    result = run("validate", tmp_path / "right.h5")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/right.h5: ok, 640 datasets\n")


def test_findings_are_one_line_each_and_exit_code_1(tiny_dump, tmp_path):
    path = shutil.copy(tiny_dump, tmp_path / "bad.h5")
    with h5py.File(path, "r+") as file:
        file["X"][3, 0, 0] = np.nan
        file["single_eval_pos"][9] = 0
    result = run("validate", path)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert len(result.stdout.splitlines()) == 3
    assert all(line.startswith(f"{path}: ") for line in result.stdout.splitlines())
    result = run("verify", path)
    assert result.exit_code == 1
    assert result.stdout == (f"{path}: single_eval_pos: record 9 must have 1..23, got 0\n")


@pytest.mark.parametrize("verb", ["validate", "verify"])
def test_a_truncated_or_flipped_file_is_one_line_that_names_it(tiny_dump, tmp_path, verb):
    path = tmp_path / "bad.h5"
    whole = tiny_dump.read_bytes()
    with h5py.File(tiny_dump) as file:
        place = file["X"].id.get_chunk_info(3).byte_offset + 20
    for data in (whole[:10_000], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
        path.write_bytes(data)
        result = run(verb, path)
        assert (result.exit_code, result.stderr) == (1, "")
        [line] = result.stdout.splitlines()
        assert line.startswith(f"{path}: ")


def test_a_hostile_text_does_not_steer_the_terminal(tiny_dump, tmp_path):
    path = shutil.copy(tiny_dump, tmp_path / "bad.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["generator"] = "nanotabpfn-priors \x1b[31m\n0.1"
        file.attrs["seed"] = "\x1b[2J"
    for verb, exit_code in (("validate", 1), ("verify", 2)):
        result = CliRunner().invoke(main, [verb, str(path)], color=True)  # else click takes colours out
        assert result.exit_code == exit_code
        assert "\x1b" not in result.output
        assert "\\x1b" in result.output
        assert len(result.output.splitlines()) <= 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["merge", "DUMP", "--out", "new.h5"], ["at least two dumps", "priors merge --help"]),
        (["merge", "DUMP", "DUMP", "--out", "DUMP"], ["exists; --overwrite replaces it"]),
        (["merge", "DUMP", "missing.h5", "--out", "new.h5"], ["missing.h5", "does not exist"]),
        (["merge", "DUMP", "DUMP", "--out", "nowhere/new.h5"], ["there is no folder"]),
        (["split", "DUMP", "--out-dir", "parts"], ["either --parts or --sizes"]),
        (["split", "DUMP", "--parts", "2", "--sizes", "32,32", "--out-dir", "parts"], ["either --parts or"]),
        (["split", "DUMP", "--sizes", "32,some", "--out-dir", "parts"], ["--sizes must be integers"]),
        (["split", "DUMP", "--sizes", "", "--out-dir", "parts"], ["--sizes must be integers"]),
        (["split", "DUMP", "--sizes", "32,31", "--out-dir", "parts"], ["sum to its 64 datasets"]),
        (["split", "DUMP", "--sizes", "30,34", "--out-dir", "parts"], ["multiples of 4", "got 30"]),
        (["split", "DUMP", "--parts", "17", "--out-dir", "parts"], ["into 1..16 parts"]),
        (["shuffle", "DUMP", "--out", "new.h5"], ["--seed"]),
        (["shuffle", "DUMP", "--out", "new.h5", "--seed", "-1"], ["-1"]),
        (["shuffle", "DUMP", "--out", "DUMP", "--seed", "1"], ["exists; --overwrite"]),
        (["convert", "DUMP", "new.csv"], ["new.csv must end in one of .h5"]),
        (["convert", "DUMP", "new.npz", "--layout", "published"], ["--layout is for HDF5"]),
        (["convert", "DUMP", "new.h5", "--layout", "theirs"], ["theirs"]),
        (["convert", "DUMP", "DUMP"], ["exists; --overwrite"]),
        (["validate", "missing.h5"], ["missing.h5", "does not exist"]),
        (["verify", "DUMP", "--sample", "0"], ["0"]),
        (["download", "unknown"], ["unknown", "300k_150x5_2"]),
        (["download", "300k_150x5_2", "--out", "DUMP"], ["exists; --overwrite"]),
        (["download", "300k_150x5_2", "--out", "nowhere/new.h5"], ["there is no folder"]),
    ],
)
def test_bad_input_is_refused_in_plain_lines(tiny_dump, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    before = tiny_dump.read_bytes()
    assert_refused(run(*[tiny_dump if word == "DUMP" else word for word in arguments]), *words)
    assert tiny_dump.read_bytes() == before
    assert not list(tmp_path.rglob("*"))


def test_overwrite_replaces(tiny_dump, tmp_path):
    out = tmp_path / "out.h5"
    for arguments in (
        ["merge", tiny_dump, tiny_dump, "--out", out],
        ["shuffle", tiny_dump, "--out", out, "--seed", 1],
        ["convert", tiny_dump, out],
        ["shuffle", out, "--out", out, "--seed", 1],
    ):
        out.touch()
        result = run(*arguments, "--overwrite")
        assert result.exit_code == 0, result.output
        with open_dump(out) as dump:
            assert len(dump) in (64, 128)
    (tmp_path / "tiny-1-of-1.h5").touch()
    assert_refused(run("split", tiny_dump, "--parts", 1, "--out-dir", tmp_path), "tiny-1-of-1.h5 exists")
    assert run("split", tiny_dump, "--parts", 1, "--out-dir", tmp_path, "--overwrite").exit_code == 0


def test_download_fetches_checks_and_records(server, tmp_path, monkeypatch):
    published = Published(server.url, "https://example.org/page", (640, 150, 5))
    monkeypatch.setitem(PUBLISHED, "300k_150x5_2", published)
    monkeypatch.chdir(tmp_path)
    server.plan["status"] = 403
    assert_refused(run("download", "300k_150x5_2"), "403", "https://example.org/page", "priors validate")
    server.plan.clear()
    result = CliRunner().invoke(main, ["download", "300k_150x5_2"])
    assert result.exit_code == 0, result.output
    checksum = result.stdout.split("sha256 ")[1].strip()
    assert result.stdout.startswith(f"300k_150x5_2.h5: {len(server.content):,} bytes, sha256 ")
    with open("300k_150x5_2.h5.sha256") as record:
        assert record.read() == f"{checksum}  300k_150x5_2.h5\n"
    assert run("validate", "300k_150x5_2.h5").exit_code == 1
