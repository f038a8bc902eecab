"""A dump in shards: the same dump however it is cut, and an index of shards that is not trusted."""

import os
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from sharded_runs import COUNT, SIZE, TINY, make

from priors.config import ConfigError, PriorConfig
from priors.distributions import choice, log_uniform
from priors.dumps.hash import content_hash
from priors.dumps.join import join_shards
from priors.dumps.read import open_dump
from priors.dumps.schema import MAX_INDEXED_SHARDS, DumpError
from priors.generation.generate import generate_dump, write_shard
from priors.generation.shards import Plan, default_shard_size, shard_path, shards_folder
from priors.sampling.blocks import dataset_at


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The content hash of the dump that all of these tests make."""
    return make(tmp_path_factory.mktemp("undisturbed") / "dump.h5", shard_size=64)


# --------------------------------------------------------------------------------------- one file or many


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("shard_size", [2, 6, 20, 22, None])
def test_the_dump_does_not_depend_on_how_it_is_cut(tmp_path, undisturbed, shard_size, num_workers):
    path = tmp_path / "dump.h5"
    finished = []
    made = make(path, shard_size=shard_size, num_workers=num_workers, on_shard=finished.append)
    assert made == undisturbed == content_hash(path)
    assert sum(finished) == COUNT
    assert list(tmp_path.iterdir()) == [path]


def test_a_joined_dump_is_stored_like_one_that_was_never_cut(tmp_path):
    make(tmp_path / "whole.h5", shard_size=64)
    make(tmp_path / "joined.h5")
    with open_dump(tmp_path / "whole.h5") as whole, open_dump(tmp_path / "joined.h5") as joined:
        assert joined.arrays.keys() == whole.arrays.keys()
        for name, array in whole.arrays.items():
            other = joined.arrays[name]
            assert (other.chunks, other.dtype, other.compression, other.shuffle, other.fletcher32) == (
                (array.chunks, array.dtype, array.compression, array.shuffle, array.fletcher32)
            )
        assert joined.attributes | {"created": 0} == whole.attributes | {"created": 0}


def test_an_index_of_shards_opens_as_one_dump(tmp_path, undisturbed):
    path = tmp_path / "index.h5"
    assert make(path, keep_shards=True) == undisturbed == content_hash(path)
    assert sorted(file.name for file in shards_folder(path).iterdir()) == [
        f"shard-{number:06}.h5" for number in range(6)
    ]
    make(tmp_path / "whole.h5")
    records = [20, 3, 4, 3]
    with open_dump(path) as index, open_dump(tmp_path / "whole.h5") as whole:
        for mine, theirs in zip(index.read_records(records), whole.read_records(records), strict=True):
            assert (mine == theirs).all()
        assert index.attributes["first_dataset"] == 0
    for number, first in enumerate(range(0, COUNT, SIZE)):
        with open_dump(shard_path(shards_folder(path), number)) as shard:
            assert shard.attributes["first_dataset"] == first
    # By a reader that knows nothing of shards, through a link and from another folder.
    (tmp_path / "link.h5").symlink_to(path)
    with h5py.File(path) as plain, h5py.File(tmp_path / "whole.h5") as whole:
        assert (plain["X"][3:9] == whole["X"][3:9]).all()
    with open_dump(tmp_path / "link.h5") as index:
        assert len(index) == COUNT


def test_an_index_can_be_replaced_by_one_file_and_back(tmp_path, undisturbed):
    path = tmp_path / "dump.h5"
    for keep_shards in (True, False, True):
        assert make(path, keep_shards=keep_shards, overwrite=True) == undisturbed == content_hash(path)
        assert shards_folder(path).exists() == keep_shards


def test_too_many_shards_for_an_index_are_refused_before_the_work(tmp_path):
    message = f"at most {MAX_INDEXED_SHARDS} shards for an index of them, got 2, which makes 513"
    with pytest.raises(ConfigError, match=message):
        make(
            tmp_path / "dump.h5",
            num_datasets=2 * MAX_INDEXED_SHARDS + 1,
            shard_size=2,
            keep_shards=True,
            on_shard=lambda _: pytest.fail("work was done"),
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("num_datasets", "shard_size"),
    [(1, 1024), (10**5, 1024), (300_000, 1184), (10**7, 39_072), (10**9, 65_536)],
)
def test_default_shards_are_whole_blocks_of_seconds_to_minutes(num_datasets, shard_size):
    assert default_shard_size(num_datasets, 32) == shard_size


@pytest.mark.parametrize("shard_size", [-2, 0, 3])
def test_shards_of_broken_blocks_are_refused(tmp_path, shard_size):
    with pytest.raises(ConfigError, match=f"shard_size must be a multiple of block_size=2, got {shard_size}"):
        make(tmp_path / "dump.h5", shard_size=shard_size)


def test_shards_of_two_dumps_are_not_joined(tmp_path):
    plans = [Plan(TINY, 8, seed, 4) for seed in (0, 1)]
    for number, plan in enumerate(plans):
        write_shard(plan, number, tmp_path / f"{number}.h5")
    write_shard(plans[0], 1, tmp_path / "1 of the first.h5")
    first, other, second = (tmp_path / name for name in ("0.h5", "1.h5", "1 of the first.h5"))
    for shards in ([first, other], [second, first], [first, first], [first, second, second]):
        with pytest.raises(DumpError, match="does not continue"):
            join_shards(tmp_path / "out.h5", shards, 8)
    with pytest.raises(DumpError, match="must hold 8 datasets, got 4"):
        join_shards(tmp_path / "out.h5", [first], 8)
    assert not (tmp_path / "out.h5").exists()


# -------------------------------------------------------------------------------- an index is not trusted


@pytest.fixture
def index(tmp_path):
    path = tmp_path / "index.h5"
    make(path, keep_shards=True)
    return path


def point_elsewhere(path, sources, shape=(COUNT, 12, 3)):
    """Replace X of the index: sources are (file name, key, first record, number of records)."""
    layout = h5py.VirtualLayout(shape, np.float32)
    for name, key, first, count in sources:
        layout[first : first + count] = h5py.VirtualSource(name, key, (count, *shape[1:]))
    with h5py.File(path, "r+") as file:
        del file["X"]
        file.create_virtual_dataset("X", layout, fillvalue=np.nan)


def shards(folder="index.h5.shards", key="X", numbers=range(6)):
    return [
        (f"{folder}/shard-{number:06}.h5", key, place * SIZE, min(SIZE, COUNT - number * SIZE))
        for place, number in enumerate(numbers)
    ]


@pytest.mark.parametrize(
    "sources",
    [
        shards("../index.h5.shards"),
        shards("./index.h5.shards"),
        shards("index.h5.shards/../index.h5.shards"),
        shards("index.h5.shards/"),
        shards("other.h5.shards"),
        shards(key="y"),
        shards(key="/X"),
        shards(numbers=[0, 1, 2, 3, 4]),
        shards(numbers=[1, 0, 2, 3, 4, 5])[1:],
        [("secret.h5", "X", 0, COUNT)],
        [("index.h5.shards/secret.h5", "X", 0, COUNT)],
        [("index.h5.shards/shard-000000.h5", "X", 0, COUNT)],
        [(".", "X", 0, COUNT)],
    ],
    ids=lambda sources: f"{sources[0][0]}:{sources[0][1]}x{len(sources)}",
)
def test_an_index_that_leads_elsewhere_is_refused(index, sources):
    for folder in (index.parent, shards_folder(index)):
        with h5py.File(folder / "secret.h5", "w") as file:
            file["X"] = np.full((COUNT, 12, 3), 7, np.float32)
    shutil.copytree(shards_folder(index), index.with_name("other.h5.shards"))
    point_elsewhere(index, sources)
    with pytest.raises(DumpError, match=r"index\.h5: "):
        open_dump(index)


def test_an_absolute_name_is_refused(index):
    point_elsewhere(index, shards(str(shards_folder(index))))
    with pytest.raises(DumpError, match="stored in other files"):
        open_dump(index)


def test_an_untouched_copy_of_the_sources_is_accepted(index, undisturbed):
    point_elsewhere(index, shards())
    assert content_hash(index) == undisturbed


def test_links_in_the_place_of_shards_are_refused(index):
    shard, folder = shard_path(shards_folder(index), 2), shards_folder(index)
    aside = index.with_name("aside.h5")
    shard.rename(aside)
    shard.symlink_to(aside)
    with pytest.raises(DumpError, match="is not a regular file"):
        open_dump(index)
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(DumpError, match="is not a regular file"):
        open_dump(index)
    shard.unlink()
    aside.rename(shard)
    folder.rename(index.with_name("aside"))
    folder.symlink_to(index.with_name("aside"))
    with pytest.raises(DumpError, match="there is no folder"):
        open_dump(index)


@pytest.mark.parametrize("kind", ["external link", "virtual", "external storage"])
def test_a_shard_that_leads_on_is_refused(index, tmp_path, kind):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["X"] = np.full((SIZE, 12, 3), 7, np.float32)
    with h5py.File(shard_path(shards_folder(index), 2), "r+") as file:
        del file["X"]
        if kind == "external link":
            file["X"] = h5py.ExternalLink(str(secret), "/X")
        elif kind == "virtual":
            layout = h5py.VirtualLayout((SIZE, 12, 3), np.float32)
            layout[:] = h5py.VirtualSource(str(secret), "X", (SIZE, 12, 3))
            file.create_virtual_dataset("X", layout)
        else:
            file.create_dataset("X", (SIZE, 12, 3), np.float32, external=[(str(secret), 0, SIZE * 144)])
    with pytest.raises(DumpError, match=r"shard-000002\.h5: X is "):
        open_dump(index)


def test_only_x_and_y_of_an_index_may_lie_in_shards(index):
    layout = h5py.VirtualLayout((COUNT,), np.int32)
    with h5py.File(index, "r+") as file:
        del file["num_features"]
        file.create_virtual_dataset("num_features", layout)
    with pytest.raises(DumpError, match="num_features is stored in other files"):
        open_dump(index)


def test_a_missing_shard_is_named_and_one_that_goes_later_is_no_data(index):
    with open_dump(index) as opened:
        shard_path(shards_folder(index), 2).unlink()
        with pytest.raises(DumpError, match=r"X: record 8: its shard cannot be opened any more"):
            opened.read(6, 12)
    with pytest.raises(DumpError, match=r"shard-000002\.h5 is not there"):
        open_dump(index)


def test_an_index_under_another_name_is_refused(index):
    moved = index.rename(index.with_name("moved.h5"))
    with pytest.raises(DumpError, match=r"there is no folder moved\.h5\.shards in "):
        open_dump(moved)


def test_a_prior_of_distributions_is_written_to_a_dump(tmp_path):
    config = replace(TINY, num_features=choice({2: 3, 4: 1}), noise_scale=log_uniform(0.1, 1.0))
    generate_dump(tmp_path / "my.h5", config, 9, seed=0)
    with open_dump(tmp_path / "my.h5") as dump:
        assert PriorConfig.from_json(dump.attributes["config"]) == config
        assert all(
            np.array_equal(dataset.x, dataset_at(config, 0, number).x) for number, dataset in enumerate(dump)
        )
