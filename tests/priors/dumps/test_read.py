"""Reading a dump: other layouts and widths, records in any order, damaged chunks."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_dumps import MAX_FEATURES, MAX_ROWS, failure, make_datasets, read_all, replace_key, write

import priors.dumps.read
from priors.dumps.read import open_dump
from priors.dumps.schema import DumpError, finite_records

PUBLISHED_LIKE = Path(__file__).parents[2] / "data" / "published_like.h5"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "10_12x3_2.h5"


@pytest.fixture
def written(path):
    write(path, make_datasets())
    return path


def test_the_published_layout():
    with open_dump(PUBLISHED_LIKE) as dump:
        assert (len(dump), dump.max_rows, dump.max_features, dump.max_num_classes) == (640, 150, 5, 2)
        assert (dump.problem_type, dump.block_size, dump.attributes) == ("classification", 32, {})
        x, y = dump.read(0, 640)
        sound = finite_records(x, y, dump.num_features, dump.num_datapoints, dump.allow_missing)
        assert np.flatnonzero(~sound).tolist() == [77]


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4", np.int32])
def test_other_widths_of_x(written, dtype):
    expected = read_all(written)[0].astype(dtype).astype(np.float32)
    replace_key(written, "X", expected.astype(dtype))
    x, _ = read_all(written)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, expected)


def test_a_float64_beyond_float32_is_damage_and_no_warning(written):
    x, y = read_all(written)
    wide = x.astype(np.float64)
    wide[6, 0, 0] = 1e300
    replace_key(written, "X", wide)
    with open_dump(written) as dump:
        x, y = dump.read(0, 10)
        assert np.flatnonzero(~finite_records(x, y, dump.num_features, dump.num_datapoints)).tolist() == [6]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, bool])
def test_other_kinds_of_y(written, dtype):
    expected = read_all(written)[1]
    replace_key(written, "y", expected.astype(dtype))
    _, y = read_all(written)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, expected)


def test_a_renamed_split_missing_sizes_and_unknown_keys(written):
    with h5py.File(written, "r+") as file:
        split = file["single_eval_pos"][:]
        file.move("single_eval_pos", "train_test_split_index")
        for key in ("num_datapoints", "problem_type", "original_batch_size", "properties"):
            del file[key]
        for name in list(file.attrs):
            del file.attrs[name]
        file["extra"] = h5py.ExternalLink("elsewhere.h5", "/X")
        file["more/of/it"] = [1, 2]
    with open_dump(written) as dump:
        np.testing.assert_array_equal(dump.single_eval_pos, split)
        assert dump.num_datapoints.tolist() == [MAX_ROWS] * 10
        assert dump.unknown_keys == ("extra", "more")
        assert (dump.problem_type, dump.block_size, dump.properties) == ("classification", None, ())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, ">i4"])
def test_other_widths_of_the_sizes(written, dtype):
    with open_dump(written) as dump:
        expected = dump.num_features
    replace_key(written, "num_features", expected.astype(dtype))
    with open_dump(written) as dump:
        np.testing.assert_array_equal(dump.num_features, expected)
        assert dump.num_features.dtype == np.int64


@given(st.lists(st.integers(0, 9), max_size=20))
@settings(max_examples=25)
def test_records_in_any_order(tmp_path_factory, indices):
    path = tmp_path_factory.getbasetemp() / "any_order.h5"
    if not path.exists():
        write(path, make_datasets())
    with open_dump(path) as dump:
        x, y = dump.read(0, 10)
        some_x, some_y = dump.read_records(indices)
    np.testing.assert_array_equal(some_x, x[np.array(indices, int)])
    np.testing.assert_array_equal(some_y, y[np.array(indices, int)])


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (5, 4), (0, 11)])
def test_reading_past_the_end(written, start, stop):
    with open_dump(written) as dump, pytest.raises(IndexError, match="<= 10"):
        dump.read(start, stop)


def test_spans_cover_the_file_in_whole_chunks(written, monkeypatch):
    with open_dump(written) as dump:
        assert list(dump.spans()) == [(0, 10)]
        monkeypatch.setattr(priors.dumps.read, "READ_BYTES", 4 * MAX_ROWS * MAX_FEATURES * 6)
        assert list(dump.spans()) == [(0, 4), (4, 8), (8, 10)]


def test_an_unknown_property_is_named(written):
    with open_dump(written) as dump, pytest.raises(DumpError, match=r"no property 'size'; it has graph, "):
        dump.read_property("size")


def test_a_closed_dump_says_which_file(written):
    with open_dump(written) as dump:
        pass
    with pytest.raises(DumpError, match=written.name):
        dump.read(0, 1)


# --------------------------------------------------------------------------------------------- finite records


def test_finite_records_judge_own_cells_alone():
    x, y = np.zeros((6, 4, 3), np.float32), np.zeros((6, 4), np.float32)
    x[0, 3, 0] = np.nan  # past its own rows
    x[1, 0, 2] = np.inf  # past its own features
    y[2, 3] = np.nan  # past its own rows
    x[3, 2, 1] = np.nan
    x[4, 2, 1] = -np.inf
    y[5, 2] = np.nan
    rows, features = np.full(6, 3), np.full(6, 2)
    assert finite_records(x, y, features, rows).tolist() == [True, True, True, False, False, False]
    assert finite_records(x, y, features, rows, True).tolist() == [True, True, True, True, False, False]
    assert finite_records(x, y, np.full(6, 3), np.full(6, 4)).tolist() == [False] * 6
    assert finite_records(x[:0], y[:0], features[:0], rows[:0]).tolist() == []


# ----------------------------------------------------------------------------------------------------- damage


def flip_a_byte(path, key, chunk):
    with h5py.File(path) as file:
        info = file[key].id.get_chunk_info(chunk)
    data = bytearray(path.read_bytes())
    data[info.byte_offset + info.size // 2] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("key", ["X", "y"])
def test_a_damaged_chunk_is_named_when_it_is_read(written, key):
    flip_a_byte(written, key, 1)
    with open_dump(written) as dump:
        dump.read(0, 4)
        dump.read(8, 10)
        for start, stop, records in [
            (0, 10, "records 4 to 7"),
            (3, 10, "records 4 to 7"),
            (5, 7, "records 5 to 6"),
            (7, 8, "record 7"),
        ]:
            with pytest.raises(DumpError) as caught:
                dump.read(start, stop)
            assert str(caught.value).startswith(f"{written}: {key}: {records} cannot be read: ")
        with pytest.raises(DumpError, match="record 6 cannot be read"):
            dump.read_records([9, 6, 0])


def test_damage_to_the_structure_is_seen(written):
    """Every byte of the header of X is under a checksum."""
    data = written.read_bytes()
    with h5py.File(written) as file:
        header = h5py.h5o.get_info(file["X"].id).addr
    for offset in range(header, header + 100, 3):
        broken = bytearray(data)
        broken[offset] ^= 0xFF
        written.write_bytes(broken)
        failure(written)


def test_damaged_sizes_are_named_on_opening(written):
    flip_a_byte(written, "single_eval_pos", 0)
    assert failure(written).startswith("single_eval_pos cannot be read: ")


def test_a_damaged_property_is_named_when_it_is_read(written):
    flip_a_byte(written, "properties/graph", 0)
    with (
        open_dump(written) as dump,
        pytest.raises(DumpError, match="properties/graph: records 0 to 9 cannot"),
    ):
        dump.read_property("graph")
