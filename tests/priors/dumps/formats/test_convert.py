"""Dumps as other kinds of file: there and back to the bit, and what is refused."""

import json
import shutil
import zipfile
from dataclasses import replace

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_dumps import write_datasets
from tiny_prior import TINY

import priors.dumps.formats.convert
from priors.dataset import Dataset
from priors.dumps.formats.convert import convert
from priors.dumps.hash import content_hash
from priors.dumps.read import open_dump
from priors.dumps.schema import COUNT_KEYS, DumpError
from priors.dumps.validate import validate
from priors.dumps.verify import verify
from priors.generation.generate import generate_dump

MIXED = replace(TINY, num_features=(1, 4), num_classes=(2, 3))
SIX_KEYS = {"X", "y", "num_features", "num_datapoints", "single_eval_pos", "max_num_classes"}


@pytest.fixture(scope="module")
def mixed_dump(tmp_path_factory):
    """22 datasets of 24 rows x 1 to 4 features in blocks of 4, the last of 2."""
    path = tmp_path_factory.mktemp("dumps") / "mixed.h5"
    generate_dump(path, MIXED, 22, seed=3)
    return path


def bits(path):
    """Everything but properties, as integers, so that NaN equals itself and -0 differs from 0."""
    with open_dump(path) as dump:
        x, y = dump.read(0, len(dump))
        sizes = [getattr(dump, name).tolist() for name in COUNT_KEYS]
        return x.view(np.uint32).tolist(), y.view(np.uint32).tolist(), sizes, dump.max_num_classes


def rewrite_npz(path, **changes):
    with np.load(path) as archive:
        arrays = dict(archive) | {"attributes": np.array("{}")} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


# ------------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("source", ["mixed_dump", "published_like"])
@pytest.mark.parametrize(
    ("ending", "layout"),
    [("npz", "ours"), ("parquet", "ours"), ("h5", "ours"), ("h5", "published"), ("h5", "tfm-playground")],
)
def test_there_and_back_is_the_same_to_the_bit(request, tmp_path, source, ending, layout):
    source = request.getfixturevalue(source)
    convert(source, tmp_path / f"there.{ending}", layout)
    convert(tmp_path / f"there.{ending}", tmp_path / "back.h5")
    assert bits(tmp_path / "back.h5") == bits(source)
    with open_dump(source) as dump, open_dump(tmp_path / "back.h5") as back:
        assert back.block_size == dump.block_size
        kept = layout == "ours" and ending != "parquet"
        assert back.properties == (dump.properties if kept else ())
        assert {name: back.attributes.get(name) for name in ("config", "seed", "generator")} == {
            name: dump.attributes.get(name) for name in ("config", "seed", "generator")
        }
    if kept:
        assert content_hash(tmp_path / "back.h5") == content_hash(source)
    if source.name == "mixed.h5":
        assert validate(tmp_path / "back.h5").findings == []
        assert verify(tmp_path / "back.h5", 22).findings == []


def test_every_nan_and_zero_keeps_its_bits(tmp_path):
    """A missing value is NaN, a feature that is not there null: Parquet must not take one for the other."""
    x = np.ones((6, 2), np.float32)
    x.view(np.uint32)[:3, 0] = [0x7FC00000, 0x7FC12345, 0x80000000]  # two kinds of NaN, -0
    datasets = [Dataset(x, np.arange(6) % 2, 3, {}), Dataset(x[:5, :1], np.arange(5) % 2, 3, {})]
    write_datasets(
        tmp_path / "nan.h5",
        [datasets],
        num_datasets=2,
        max_rows=7,
        max_features=3,
        max_num_classes=2,
        block_size=1,
        config_json="{}",
        seed=0,
        allow_missing=True,
    )
    for ending in ("npz", "parquet"):
        convert(tmp_path / "nan.h5", tmp_path / f"nan.{ending}")
        convert(tmp_path / f"nan.{ending}", tmp_path / "back.h5")
        assert bits(tmp_path / "back.h5") == bits(tmp_path / "nan.h5")
        with open_dump(tmp_path / "back.h5") as dump:
            assert dump.allow_missing
    table = pq.read_table(tmp_path / "nan.parquet")
    assert table["x0"].null_count == 0
    assert table["x1"].null_count == 5
    assert table["x2"].null_count == 11


def test_regression_there_and_back(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(2, 8, 1)).astype(np.float32)
    arguments = {"max_rows": 8, "max_features": 1, "max_num_classes": None, "block_size": 1, "seed": 0}
    write_datasets(
        tmp_path / "a.h5", [[Dataset(x, y[:, 0], 4, {})]], num_datasets=1, config_json="{}", **arguments
    )
    for ending in ("npz", "parquet", "h5"):
        convert(tmp_path / "a.h5", tmp_path / f"there.{ending}", "published" if ending == "h5" else "ours")
        convert(tmp_path / f"there.{ending}", tmp_path / "back.h5")
        assert bits(tmp_path / "back.h5") == bits(tmp_path / "a.h5")
        with open_dump(tmp_path / "back.h5") as dump:
            assert dump.problem_type == "regression"


def test_small_pieces_make_no_difference(mixed_dump, tmp_path, monkeypatch):
    monkeypatch.setattr(priors.dumps.records, "READ_RECORDS", 3)
    monkeypatch.setattr(priors.dumps.formats.parquet, "ROWS_PER_GROUP", 31)
    for ending in ("npz", "parquet"):
        convert(mixed_dump, tmp_path / f"there.{ending}")
        convert(tmp_path / f"there.{ending}", tmp_path / "back.h5")
        assert bits(tmp_path / "back.h5") == bits(mixed_dump)


# ------------------------------------------------------------------------------------------------- layouts


def test_the_published_layout_has_its_keys_and_no_others(mixed_dump, tmp_path):
    convert(mixed_dump, tmp_path / "published.h5", "published")
    with h5py.File(tmp_path / "published.h5") as file:
        assert set(file) == SIX_KEYS
        assert (file["X"].compression, file["X"].chunks) == ("lzf", (4, 24, 4))
        assert {name: file[name].dtype.name for name in file} == {
            "X": "float32",
            "y": "float32",
            "num_features": "int32",
            "num_datapoints": "int32",
            "single_eval_pos": "int32",
            "max_num_classes": "int64",
        }
        assert file["max_num_classes"][0] == 3


def test_the_layout_of_the_playground_has_the_problem_and_the_size_of_a_block_too(mixed_dump, tmp_path):
    convert(mixed_dump, tmp_path / "theirs.h5", "tfm-playground")
    with h5py.File(tmp_path / "theirs.h5") as file:
        more = {"train_test_split_index", "problem_type", "original_batch_size"}
        assert set(file) == SIX_KEYS - {"single_eval_pos"} | more
        assert (file["problem_type"][()], file["original_batch_size"][0]) == (b"classification", 4)


def test_provenance_says_what_was_done_to_which_file(published_like, tmp_path):
    convert(published_like, tmp_path / "a.npz")
    convert(tmp_path / "a.npz", tmp_path / "b.h5")
    with open_dump(tmp_path / "b.h5") as dump:
        assert dump.attributes["operation"] == "convert"
        [source] = json.loads(dump.attributes["sources"])
        assert "config" not in dump.attributes
    assert source["file"] == "a.npz"
    assert len(source["sha256"]) == 64
    [first] = json.loads(source["sources"])
    assert (first["file"], first["content_hash"]) == ("published_like.h5", content_hash(published_like))


def test_npz_is_what_numpy_reads(mixed_dump, tmp_path):
    convert(mixed_dump, tmp_path / "mixed.npz")
    with open_dump(mixed_dump) as dump, np.load(tmp_path / "mixed.npz") as archive:
        x, y = dump.read(0, 22)
        np.testing.assert_array_equal(archive["X"], x)
        np.testing.assert_array_equal(archive["y"], y)
        assert archive["single_eval_pos"].dtype == np.int32
        assert archive["properties/graph"].tolist() == dump.read_property("graph").tolist()
        assert json.loads(str(archive["attributes"]))["seed"] == "3"


def test_npz_of_someone_else_needs_the_tables_and_their_sizes_alone(mixed_dump, tmp_path):
    with open_dump(mixed_dump) as dump:
        x, y = dump.read(0, 22)
        sizes = {name: getattr(dump, name) for name in COUNT_KEYS}
    np.savez(tmp_path / "theirs.npz", X=x.astype(np.float64), y=y.astype(int), max_num_classes=[3], **sizes)
    outline = convert(tmp_path / "theirs.npz", tmp_path / "ours.h5")
    assert bits(tmp_path / "ours.h5") == bits(mixed_dump)
    assert outline.block_size == 1


def test_parquet_has_one_row_per_datapoint(mixed_dump, tmp_path):
    convert(mixed_dump, tmp_path / "mixed.parquet")
    table = pq.read_table(tmp_path / "mixed.parquet")
    assert table.column_names == ["dataset", "row", "is_train", "y", "x0", "x1", "x2", "x3"]
    frame = table.to_pandas()
    with open_dump(mixed_dump) as dump:
        x, y = dump.read(7, 8)
        features, split = int(dump.num_features[7]), int(dump.single_eval_pos[7])
    one = frame[frame["dataset"] == 7]
    np.testing.assert_array_equal(one["row"], np.arange(24))
    np.testing.assert_array_equal(one["is_train"], np.arange(24) < split)
    np.testing.assert_array_equal(one["y"], y[0])
    np.testing.assert_array_equal(one[[f"x{i}" for i in range(features)]], x[0, :, :features])
    assert one[[f"x{i}" for i in range(features, 4)]].isna().all(axis=None)


# ------------------------------------------------------------------------------------------------- refused


@pytest.fixture
def npz(mixed_dump, tmp_path):
    convert(mixed_dump, tmp_path / "in.npz")
    return tmp_path / "in.npz"


@pytest.fixture
def parquet(mixed_dump, tmp_path):
    convert(mixed_dump, tmp_path / "in.parquet")
    return tmp_path / "in.parquet"


def failure(path):
    """What converting `path` fails with: one line that names it, and no file."""
    out = path.with_name("out.h5")
    with pytest.raises(DumpError) as caught:
        convert(path, out)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": None}, "cannot be read: There is no item named 'X.npy'"),
        ({"X": np.zeros((22, 96))}, "X must have a shape (D, max_rows, max_features)"),
        ({"X": np.full((22, 24, 4), "a")}, "X must be of kind"),
        ({"X": np.asfortranarray(np.ones((22, 24, 4)))}, "X must be of kind i or u or f and in C order"),
        ({"y": np.zeros((22, 23))}, "y must have the shape (22, 24), got (22, 23)"),
        ({"num_features": np.ones(21, int)}, "num_features must have the shape (22,)"),
        ({"num_features": np.full(22, 5)}, "record 0: sizes out of range: 5 features"),
        ({"single_eval_pos": np.full(22, 24)}, "record 0: sizes out of range"),
        ({"max_num_classes": np.array([0])}, "max_num_classes must be an int in 1.."),
        ({"max_num_classes": np.array([2**62])}, "max_num_classes must be an int in 1..24, got"),
        ({"original_batch_size": np.array([-1])}, "block_size must be an int in 1.."),
        ({"original_batch_size": np.array([2**62])}, "block_size must be an int in 1..16777216, got"),
        ({"attributes": np.array("[")}, "cannot be read: Expecting value"),
        ({"attributes": np.array("[]")}, "allow_missing must be true or false, attributes an object"),
        ({"attributes": np.array('{"seed": [1]}')}, "attributes must be texts and integers"),
        ({"properties/graph": np.ones(3)}, "properties/graph must have the shape (22,)"),
    ],
)
def test_bad_npz_is_refused(npz, changes, message):
    rewrite_npz(npz, **changes)
    assert failure(npz).startswith(message)


def test_npz_with_a_damaged_name(npz):
    data = npz.read_bytes()
    damaged = data.replace(b"max_num_classes.npy", b"max_num_classet.npy")  # it would read as regression
    npz.write_bytes(damaged)
    assert failure(npz) == "does not hold the arrays that were written"


def test_npz_with_python_objects_is_not_unpickled(npz):
    objects = np.array([print] * 22, object)
    with np.load(npz) as archive:
        arrays = dict(archive) | {"num_features": objects}
    np.savez(npz, allow_pickle=True, **arrays)
    assert failure(npz).startswith("num_features must be of kind i or u")


def test_npz_that_declares_more_than_it_holds(npz):
    for shape in [(22, 24, 4_000_000_000), (10**12, 24, 4), (22, 10**9, 4), (23, 24, 4)]:
        with zipfile.ZipFile(npz) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(npz, "w") as archive:
            for name, data in members.items():
                with archive.open(name, "w") as member:
                    if name == "X.npy":
                        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                        np.lib.format.write_array_header_1_0(member, header)
                        member.write(b"\0" * (22 * 24 * 4 * 4))
                    else:
                        member.write(data)
        assert failure(npz)


def test_damage_to_other_kinds_of_file_is_seen(npz, parquet):
    for path in (npz, parquet):
        whole = path.read_bytes()
        folder = path.parent / path.suffix[1:]
        folder.mkdir()
        damaged = shutil.move(path, folder / path.name)
        for share in (0, 0.3, 0.9, 0.999):
            damaged.write_bytes(whole[: int(share * len(whole))])
            assert failure(damaged)
        flipped = bytearray(whole)
        # Parquet has no checksum for its footer, whose length stands at the end of the file.
        footer = 8 + int.from_bytes(whole[-8:-4], "little") if path == parquet else 0
        flipped[(len(whole) - footer) // 3] ^= 0xFF
        damaged.write_bytes(flipped)
        assert failure(damaged)


def rewrite_parquet(path, change):
    table = pq.read_table(path)
    pq.write_table(change(table), path)


def with_column(name, values):
    def change(table):
        index = table.column_names.index(name)
        column = table[name].to_pylist()
        return table.set_column(index, table.schema.field(name), pa.array(values(column), table[name].type))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.replace_schema_metadata({}), "was not written by `priors convert`"),
        (lambda table: table.drop_columns(["x3"]), "must have the columns dataset, row"),
        (lambda table: table.cast(table.schema.set(3, pa.field("y", pa.float64()))), "must have the columns"),
        (lambda table: table[24:], "dataset must count 0, 1, 2"),
        (lambda table: table[:-24], "must hold 22 datasets, got 21"),
        (lambda table: pa.concat_tables([table, table]), "dataset must count"),
        (with_column("dataset", lambda column: [0] * len(column)), "dataset 0 has more than 24 rows"),
        (with_column("dataset", lambda column: [7, *column[1:]]), "dataset must count"),
        (with_column("row", lambda column: [1, *column[1:]]), "row must count 0, 1, 2"),
        (with_column("is_train", lambda column: [not value for value in column]), "is_train must be true"),
        (with_column("is_train", lambda column: [True] * len(column)), "record 0: sizes out of range"),
        (with_column("y", lambda column: [None, *column[1:]]), "y must not be null"),
        (with_column("x0", lambda column: [None, *column[1:]]), "x must be null in the features that"),
        (
            lambda table: table.replace_schema_metadata(
                {key: text.replace(b'rows": 24', b'rows": 0') for key, text in table.schema.metadata.items()}
            ),
            "max_rows must be an int in 2..",
        ),
    ],
)
def test_bad_parquet_is_refused(parquet, change, message):
    rewrite_parquet(parquet, change)
    assert failure(parquet).startswith(message)


def test_unknown_endings_and_layouts_are_named(mixed_dump, tmp_path):
    with pytest.raises(ValueError, match=r"out\.csv: must end in \.h5"):
        convert(mixed_dump, tmp_path / "out.csv")
    with pytest.raises(ValueError, match="layout must be ours, published, tfm-playground, got 'theirs'"):
        convert(mixed_dump, tmp_path / "out.h5", "theirs")


def test_without_pyarrow_it_says_what_to_install(mixed_dump, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(DumpError, match=r"pip install 'nanotabpfn-priors\[parquet\]'"):
        convert(mixed_dump, tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["npz", "parquet", "h5"])
def test_an_error_on_the_way_leaves_what_was_there(mixed_dump, tmp_path, monkeypatch, ending):
    """The second piece cannot be read any more."""
    out = tmp_path / f"out.{ending}"
    out.write_bytes(b"an older file")
    real = priors.dumps.formats.convert.pieces_of

    def pieces(dump, step):
        yield next(iter(real(dump, 4)))
        raise DumpError(f"{dump.path}: record 4 cannot be read")

    monkeypatch.setattr(priors.dumps.formats.convert, "pieces_of", pieces)
    with pytest.raises(DumpError, match=r"mixed\.h5: record 4 cannot be read$"):
        convert(mixed_dump, out)
    assert out.read_bytes() == b"an older file"
    assert list(tmp_path.iterdir()) == [out]
