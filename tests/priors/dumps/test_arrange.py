"""Merged, split and shuffled dumps: the same records to the bit, whole blocks, with their origin recorded."""

import json
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
from peak_memory import SOURCE
from small_dumps import write_datasets
from tiny_prior import TINY

import priors.dumps.records
from priors.dataset import Dataset
from priors.dumps.hash import content_hash
from priors.dumps.merge import merge_dumps
from priors.dumps.read import open_dump
from priors.dumps.schema import COUNT_KEYS, DumpError
from priors.dumps.shuffle import shuffle_dump
from priors.dumps.split import equal_sizes, part_names, split_dump
from priors.dumps.validate import validate
from priors.dumps.verify import verify
from priors.generation.generate import generate_dump

WIDE = replace(TINY, num_datapoints=30, num_features=(2, 5), num_classes=(2, 3))


@pytest.fixture(scope="module")
def wide_dump(tmp_path_factory):
    """22 datasets of 30 rows x 2 to 5 features in blocks of 4, the last of 2."""
    path = tmp_path_factory.mktemp("dumps") / "wide.h5"
    generate_dump(path, WIDE, 22, seed=1)
    return path


def records(path):
    """Every record as bytes of its own cells, its sizes and properties: comparable across paddings."""
    with open_dump(path) as dump:
        x, y = dump.read(0, len(dump))
        columns = {name: dump.read_property(name) for name in sorted(dump.properties)}
        return [
            (
                x[i, :rows, :features].tobytes(),
                y[i, :rows].tobytes(),
                tuple(int(getattr(dump, name)[i]) for name in COUNT_KEYS),
                tuple((name, column[i]) for name, column in columns.items()),
            )
            for i, (rows, features) in enumerate(zip(dump.num_datapoints, dump.num_features, strict=True))
        ]


def attributes(path):
    with open_dump(path) as dump:
        return dump.attributes


def write(path, count, *, block_size=4, classes=2, properties=None, **changes):
    x, y = np.random.default_rng(count).normal(size=(count, 8, 2)), np.arange(8) % (classes or 5)
    datasets = [Dataset(x[i], y, 5, properties or {}) for i in range(count)]
    arguments = {"max_rows": 8, "max_features": 2, "max_num_classes": classes, "block_size": block_size}
    arguments |= {"num_datasets": count, "config_json": "{}", "seed": 0}
    write_datasets(path, [datasets], **(arguments | changes))
    return path


# ------------------------------------------------------------------------------------------------- merge


def test_merged_records_are_those_of_the_files_padded_to_the_largest(tiny_dump, wide_dump, tmp_path):
    out = tmp_path / "both.h5"
    outline, left_out = merge_dumps([tiny_dump, wide_dump], out)
    assert records(out) == records(tiny_dump) + records(wide_dump)
    assert left_out == []
    with open_dump(out) as dump:
        assert (len(dump), dump.max_rows, dump.max_features, dump.max_num_classes) == (86, 30, 5, 3)
        assert dump.block_size == outline.block_size == 4
        x, y = dump.read(0, 64)
        assert not x[:, 24:].any()
        assert not x[:, :, 3:].any()
        assert not y[:, 24:].any()
    assert validate(out).findings == []


def test_a_merged_dump_names_its_sources(tiny_dump, wide_dump, tmp_path):
    out = tmp_path / "both.h5"
    merge_dumps([tiny_dump, wide_dump], out)
    found = attributes(out)
    assert found["operation"] == "merge"
    assert found["content_hash"] == content_hash(out)
    assert "seed" not in found
    assert "config" not in found
    sources = json.loads(found["sources"])
    assert [source["file"] for source in sources] == ["tiny.h5", "wide.h5"]
    assert [source["content_hash"] for source in sources] == [
        content_hash(tiny_dump),
        content_hash(wide_dump),
    ]
    assert [source["seed"] for source in sources] == ["0", "1"]
    assert json.loads(sources[1]["config"])["num_datapoints"] == 30
    merge_dumps([tiny_dump, out], tmp_path / "more.h5")
    nested = json.loads(attributes(tmp_path / "more.h5")["sources"])
    assert json.loads(nested[1]["sources"]) == sources


def test_a_hundred_files_still_say_where_they_are_from(tiny_dump, tmp_path):
    """More text than the 64 KiB that an attribute of an older HDF5 holds."""
    merge_dumps([tiny_dump] * 100, tmp_path / "many.h5")
    found = attributes(tmp_path / "many.h5")
    assert len(found["sources"]) > 2**16
    assert len(json.loads(found["sources"])) == 100
    assert validate(tmp_path / "many.h5").findings == []


def test_properties_that_some_lack_or_store_otherwise_are_left_out(tmp_path):
    one = write(tmp_path / "one.h5", 4, properties={"graph": "a", "size": 1, "noise": 0.5})
    two = write(tmp_path / "two.h5", 4, properties={"graph": "b", "size": "big", "depth": 2})
    _, left_out = merge_dumps([one, two], tmp_path / "out.h5")
    assert left_out == ["depth", "noise", "size"]
    with open_dump(tmp_path / "out.h5") as dump:
        assert dump.read_property("graph").tolist() == ["a"] * 4 + ["b"] * 4
        assert dump.properties == ("graph",)


@pytest.mark.parametrize(("sizes", "block"), [((6, 4), 2), ((4, 6), 2), ((6, 3), 3), ((5, 4), 1)])
def test_the_block_is_the_largest_that_divides_all(tmp_path, sizes, block):
    paths = [write(tmp_path / f"{size}.h5", 12, block_size=size) for size in sizes]
    outline, _ = merge_dumps(paths, tmp_path / "out.h5")
    assert outline.block_size == block


def test_what_does_not_fit_together_is_refused(tiny_dump, wide_dump, published_like, tmp_path):
    out = tmp_path / "out.h5"
    regression = write(tmp_path / "regression.h5", 4, classes=None)
    with pytest.raises(DumpError, match=r"regression\.h5: is regression, and .*tiny\.h5 is classification"):
        merge_dumps([tiny_dump, regression], out)
    with pytest.raises(DumpError, match=r"wide\.h5: its 22 datasets are not whole blocks of 4.*name it last"):
        merge_dumps([wide_dump, tiny_dump], out)
    with pytest.raises(ValueError, match="at least two"):
        merge_dumps([tiny_dump], out)
    missing = write(tmp_path / "missing.h5", 4, allow_missing=True)
    with pytest.raises(DumpError, match=r"published_like\.h5: record 77 is damaged"):
        merge_dumps([published_like, missing], out)
    assert not out.exists()
    merge_dumps([tiny_dump, missing], out)
    assert attributes(out)["allow_missing"] is True


def test_a_source_that_is_not_what_it_says_is_refused(tiny_dump, tmp_path):
    changed = tmp_path / "changed.h5"
    changed.write_bytes(tiny_dump.read_bytes())
    with h5py.File(changed, "r+") as file:
        file["X"][5, 0, 0] += 1
    for make in (
        lambda out: merge_dumps([tiny_dump, changed], out),
        lambda out: shuffle_dump(changed, out, 0),
    ):
        with pytest.raises(DumpError, match=r"changed\.h5: its contents do not have the content hash"):
            make(tmp_path / "out.h5")
    with pytest.raises(DumpError, match="do not have the content hash"):
        split_dump(changed, tmp_path, [32, 32])
    assert [path.name for path in tmp_path.iterdir()] == ["changed.h5"]


# ------------------------------------------------------------------------------------------------- split


def test_parts_hold_all_records_in_order_and_can_still_be_verified(wide_dump, tmp_path):
    parts = split_dump(wide_dump, tmp_path, [8, 12, 2])
    assert [path.name for path in parts] == ["wide-1-of-3.h5", "wide-2-of-3.h5", "wide-3-of-3.h5"]
    assert [record for part in parts for record in records(part)] == records(wide_dump)
    for part, first in zip(parts, (0, 8, 20), strict=True):
        assert attributes(part)["first_dataset"] == first
        assert validate(part).findings == []
        report = verify(part, 100)
        assert (report.findings, report.num_datasets) == ([], len(records(part)))
    again = split_dump(parts[1], tmp_path, [4, 8])
    assert attributes(again[1])["first_dataset"] == 12
    assert verify(again[1], 100).findings == []
    assert attributes(again[1])["operation"] == "split, records 4 to 11"


def test_merging_the_parts_gives_the_content_of_the_whole(wide_dump, tmp_path):
    merge_dumps(split_dump(wide_dump, tmp_path, [8, 12, 2]), tmp_path / "again.h5")
    assert content_hash(tmp_path / "again.h5") == content_hash(wide_dump)


@pytest.mark.parametrize(("parts", "sizes"), [(1, [22]), (2, [12, 10]), (3, [8, 8, 6]), (6, [4] * 5 + [2])])
def test_parts_are_as_equal_as_whole_blocks_allow(wide_dump, parts, sizes):
    with open_dump(wide_dump) as dump:
        found = equal_sizes(dump, parts)
    assert sorted(found, reverse=True) == sizes
    assert all(size % 4 == 0 for size in found[:-1])


def test_more_parts_than_blocks_are_refused(wide_dump):
    with open_dump(wide_dump) as dump, pytest.raises(DumpError, match=r"into 1\.\.6 parts .* got 7"):
        equal_sizes(dump, 7)


def test_names_of_parts_sort():
    names = part_names("a/mine.h5", 12)
    assert names[0] == "mine-01-of-12.h5"
    assert sorted(names) == names


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([8, 8], r"sum to its 22 datasets, got 8, 8 \(sum 16\)"),
        ([22, 0], "above 0"),
        ([30, -8], "above 0"),
        ([10, 12], "multiples of 4.*got 10"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(wide_dump, tmp_path, sizes, message):
    with pytest.raises(DumpError, match=message):
        split_dump(wide_dump, tmp_path, sizes)
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------------------- shuffle


def blocks_of(path, block=4):
    listed = records(path)
    return [tuple(listed[i : i + block]) for i in range(0, len(listed), block)]


def test_blocks_move_and_stay_whole(wide_dump, tiny_dump, tmp_path):
    for path in (wide_dump, tiny_dump):
        out = tmp_path / path.name
        assert shuffle_dump(path, out, seed=5) == len(records(path)) // 4
        assert blocks_of(out) != blocks_of(path)
        assert sorted(blocks_of(out)) == sorted(blocks_of(path))
        assert validate(out).findings == []
    assert blocks_of(tmp_path / "wide.h5")[-1] == blocks_of(wide_dump)[-1], "the short one stays last"


def test_the_order_is_the_seeds(tiny_dump, tmp_path):
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        shuffle_dump(tiny_dump, tmp_path / name, seed)
    hashes = {name: content_hash(tmp_path / name) for name in ("one", "same", "other")}
    assert hashes["one"] == hashes["same"] != hashes["other"]
    found = attributes(tmp_path / "one")
    assert found["operation"] == "shuffle of blocks of 4, seed 5"
    assert "seed" not in found


def test_a_published_file_without_a_block_size_moves_by_its_chunks(published_like, tmp_path):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(published_like.read_bytes())
    with h5py.File(copy, "r+") as file:
        del file["original_batch_size"]
    assert shuffle_dump(copy, tmp_path / "out.h5", 0) == 20
    assert sorted(blocks_of(tmp_path / "out.h5", 32)) == sorted(blocks_of(published_like, 32))
    with h5py.File(copy, "r+") as file:  # a chunk whose datasets differ is no block
        file["single_eval_pos"][40] += 1
    assert shuffle_dump(copy, tmp_path / "out.h5", 0) == 640


def test_the_pieces_that_are_moved_make_no_difference(wide_dump, tiny_dump, tmp_path, monkeypatch):
    shuffle_dump(wide_dump, tmp_path / "one", 1)
    merge_dumps([tiny_dump, wide_dump], tmp_path / "both")
    monkeypatch.setattr(priors.dumps.records, "READ_RECORDS", 3)
    shuffle_dump(wide_dump, tmp_path / "small", 1)
    merge_dumps([tiny_dump, wide_dump], tmp_path / "both-small")
    assert content_hash(tmp_path / "one") == content_hash(tmp_path / "small")
    assert content_hash(tmp_path / "both") == content_hash(tmp_path / "both-small")


def test_memory_stays_flat(tmp_path):
    """Twice the datasets, 67 MB more, are moved in nearly the same memory."""
    code = """
import sys
import numpy as np
from pathlib import Path
from priors.dumps.merge import merge_dumps
from priors.dumps.shuffle import shuffle_dump
from priors.dumps.formats.convert import convert
from priors.dumps.outline import Outline, origin_attributes
from priors.dumps.write import write_dump
from priors.dataset import Dataset

folder, blocks = Path(sys.argv[1]), int(sys.argv[2])
x = np.zeros((1500, 50), np.float32)  # quickly compressed
one = Dataset(x, np.arange(1500) % 2, 750, {"n": 1})
origin = origin_attributes("{}", 0)
outline = Outline(8 * blocks, 1500, 50, max_num_classes=2, block_size=8, attributes=origin)
write_dump(folder / "a.h5", ([one] * 8 for _ in range(blocks)), outline)
shuffle_dump(folder / "a.h5", folder / "b.h5", 0)
merge_dumps([folder / "a.h5", folder / "b.h5"], folder / "c.h5")
convert(folder / "a.h5", folder / "a.npz")
convert(folder / "a.npz", folder / "d.h5")
print(peak_bytes())
"""
    peaks = []
    for blocks in (28, 56):
        command = [sys.executable, "-c", SOURCE + code, str(tmp_path), str(blocks)]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert peaks[1] - peaks[0] < 50 * 2**20, peaks


def test_an_older_file_is_as_it_was_when_something_goes_wrong(tiny_dump, tmp_path, monkeypatch):
    out = tmp_path / "out.h5"
    out.write_bytes(b"an older file")
    monkeypatch.setattr("priors.dumps.shuffle.pieces_of", lambda *arguments: iter([]))
    with pytest.raises(DumpError, match="must get 64 records, got 0"):
        shuffle_dump(tiny_dump, out, 0)
    assert out.read_bytes() == b"an older file"
    assert list(tmp_path.iterdir()) == [out]
