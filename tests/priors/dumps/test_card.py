"""The dataset card and the Croissant description: what they say is what is in the files."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import h5py
import pyarrow.parquet as pq
import pytest
import yaml
from commands import assert_refused, run_priors

from priors import PriorConfig, convert, generate_dump, merge_dumps, shuffle_dump, write_card
from priors.dumps.licenses import LICENSES
from priors.dumps.schema import DumpError

CONFIG = PriorConfig(num_datapoints=20, num_features=(2, 4), block_size=2)


@pytest.fixture
def folder(tmp_path):
    """A dump in three formats."""
    generate_dump(tmp_path / "mine.h5", CONFIG, num_datasets=6, seed=3)
    for ending in (".parquet", ".npz"):
        convert(tmp_path / "mine.h5", tmp_path / f"mine{ending}")
    return tmp_path


def card_of(folder, names, title="Small tables", license_name="cc0-1.0"):
    written = write_card([folder / name for name in names], title, license_name)
    assert written == [folder / "README.md", folder / "croissant.json"]
    text = written[0].read_text()
    _, header, body = text.split("---\n", 2)
    return yaml.safe_load(header), body, json.loads(written[1].read_text())


def test_the_header_has_what_the_hub_reads(folder):
    header, _, _ = card_of(folder, ["mine.parquet", "mine.h5"], 'Tables: "small" & more', "cc-by-4.0")
    assert header["pretty_name"] == 'Tables: "small" & more'
    assert header["license"] == "cc-by-4.0"
    assert header["task_categories"] == ["tabular-classification"]
    assert header["size_categories"] == ["n<1K"]
    assert "synthetic" in header["tags"]
    assert header["configs"] == [{"config_name": "mine", "data_files": "mine.parquet"}]


def test_the_card_has_the_files_and_the_config_they_can_be_sampled_from(folder):
    _, body, _ = card_of(folder, ["mine.parquet", "mine.h5", "mine.npz"])
    for name in ("mine.parquet", "mine.h5", "mine.npz"):
        size = (folder / name).stat().st_size / 1e6
        assert f"| `{name}` | 6 | 20 | 4 | 2 | {size:.1f} |" in body
    [config] = re.findall(r"```json\n(.*?)```", body, re.DOTALL)
    assert PriorConfig.from_json(config) == CONFIG
    assert "from the seed `3` and" in body


def test_its_examples_of_priors_and_numpy_run(folder, monkeypatch):
    _, body, _ = card_of(folder, ["mine.parquet", "mine.h5", "mine.npz"])
    monkeypatch.chdir(folder)
    blocks = re.findall(r"```python\n(.*?)```", body, re.DOTALL)
    assert [block.split()[1] for block in blocks] == ["datasets", "priors", "numpy"]
    known = {}
    for block in blocks[1:]:
        exec(block, known)
    assert known["dataset"].x.shape[0] == 20
    assert known["arrays"]["X"].shape == (6, 20, 4)


def test_croissant_has_the_hashes_of_the_files_and_the_columns_of_parquet(folder):
    _, _, found = card_of(folder, ["mine.parquet", "mine.h5"])
    assert found["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert found["license"] == LICENSES["cc0-1.0"]
    for file in found["distribution"]:
        content = (folder / file["contentUrl"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["contentSize"] == f"{len(content)} B"
    [records] = found["recordSet"]
    names = [field["source"]["extract"]["column"] for field in records["field"]]
    assert names == pq.read_schema(folder / "mine.parquet").names
    for field in records["field"]:
        assert field["source"]["fileObject"] == {"@id": "mine.parquet"}
        assert field["@id"] == f"mine/{field['name']}"
    kinds = {field["name"]: field["dataType"] for field in records["field"]}
    assert kinds["is_train"] == "sc:Boolean"
    assert kinds["dataset"] == "sc:Integer"
    assert kinds["x0"] == kinds["y"] == "sc:Float"


def test_regression_and_two_priors_are_told_apart(tmp_path):
    generate_dump(tmp_path / "a.h5", CONFIG, num_datasets=2, seed=0)
    regression = PriorConfig(num_datapoints=20, problem_type="regression", block_size=2)
    generate_dump(tmp_path / "b.h5", regression, num_datasets=2, seed=1)
    header, body, found = card_of(tmp_path, ["b.h5", "a.h5"])
    assert header["task_categories"] == ["tabular-regression"]
    assert "configs" not in header
    assert "| `b.h5` | 2 | 20 | 5 | real targets |" in body
    assert [*re.findall("^### (.*)$", body, re.MULTILINE)] == ["`b.h5`", "`a.h5`"]
    assert found["recordSet"] == []


def test_a_file_made_of_others_names_them_with_their_seeds_and_config(tmp_path):
    for name, seed in (("a", 3), ("b", 4), ("c", 5)):
        config = CONFIG if name != "c" else replace(CONFIG, num_features=(3, 3))
        generate_dump(tmp_path / f"{name}.h5", config, num_datasets=2, seed=seed)
    merge_dumps([tmp_path / f"{name}.h5" for name in "abc"], tmp_path / "all.h5")
    shuffle_dump(tmp_path / "all.h5", tmp_path / "mixed.h5", seed=0)
    for name, operation in (("all.h5", "merge"), ("mixed.h5", "shuffle")):
        _, body, _ = card_of(tmp_path, [name])
        assert f"Made of files that were sampled, by `{operation}" in body
        assert "- `a.h5` from the seed `3`, `b.h5` from the seed `4`, by `" in body
        assert "- `c.h5` from the seed `5`, by `" in body
        first, second = re.findall(r"```json\n(.*?)```", body, re.DOTALL)
        assert PriorConfig.from_json(first) == CONFIG
        assert PriorConfig.from_json(second).num_features == (3, 3)
        assert "neither its prior" not in body


@pytest.mark.parametrize("sources", ["[" * 10_000, "[1]", '{"config": 1}', '[{"file": "a.h5"}]', "nothing"])
def test_sources_that_say_nothing_are_no_origin(tmp_path, published_like, sources):
    (tmp_path / "theirs.h5").write_bytes(published_like.read_bytes())
    with h5py.File(tmp_path / "theirs.h5", "r+") as file:
        file.attrs["sources"] = sources
    _, body, _ = card_of(tmp_path, ["theirs.h5"])
    assert "The file says neither its prior nor its seed." in body


def test_a_file_without_origin_says_so(tmp_path, published_like):
    (tmp_path / "theirs.h5").write_bytes(published_like.read_bytes())
    _, body, _ = card_of(tmp_path, ["theirs.h5"])
    assert "The file says neither its prior nor its seed." in body


def test_a_config_cannot_leave_its_block(tmp_path):
    generate_dump(tmp_path / "mine.h5", CONFIG, num_datasets=2, seed=0)
    for hostile in ('{"a": "```\\n# Hello"}', "```\n# Hello", "[" * 10_000):
        with h5py.File(tmp_path / "mine.h5", "r+") as file:
            file.attrs["config"] = hostile
        _, body, _ = card_of(tmp_path, ["mine.h5"])
        assert body.count("```") == 4
        assert "\n# Hello" not in body


@pytest.mark.parametrize(
    ("names", "options", "error", "message"),
    [
        ([], {}, ValueError, "at least one file, got []"),
        (["mine.csv"], {}, ValueError, "mine.csv: must end in .h5"),
        (["absent.h5"], {}, DumpError, "absent.h5: no such file"),
        (["mine.h5"], {"license_name": "gpl"}, ValueError, "license_name must be one of cc0-1.0"),
        (["mine.h5"], {"title": " "}, ValueError, "title must be a line of text"),
        (["mine.h5"], {"title": "two\nlines"}, ValueError, "title must be a line of text"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_written(folder, names, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        write_card([folder / name for name in names], **{"title": "Tables", **options})
    assert not (folder / "README.md").exists()


def test_files_of_two_folders_are_refused(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "mine.h5"
    other.write_bytes((folder / "mine.h5").read_bytes())
    with pytest.raises(DumpError, match="must lie in the folder of"):
        write_card([folder / "mine.h5", other], "Tables")


def test_an_index_of_shards_is_refused_and_convert_makes_a_file_of_it(tmp_path):
    index = tmp_path / "index.h5"
    generate_dump(index, CONFIG, 6, seed=0, shard_size=2, keep_shards=True)
    with pytest.raises(
        DumpError, match=r"index of shards, .*`priors convert index.h5 OUT.h5` makes one file"
    ):
        write_card([index], "Tables")
    assert not (tmp_path / "README.md").exists()
    convert(index, tmp_path / "whole.h5")
    assert (tmp_path / "README.md") in write_card([tmp_path / "whole.h5"], "Tables")


def test_the_command_writes_both_and_keeps_what_is_there(folder):
    arguments = ("card", folder / "mine.parquet", "--title", "Small tables")
    assert run_priors(*arguments).output.split() == [
        str(folder / "README.md"),
        str(folder / "croissant.json"),
    ]
    (folder / "README.md").write_text("mine")
    refused = run_priors(*arguments)
    assert refused.exit_code == 2
    assert (folder / "README.md").read_text() == "mine"
    assert run_priors(*arguments, "--overwrite").exit_code == 0
    assert Path(folder, "README.md").read_text().startswith("---\n")


def test_the_command_refuses_in_a_line_what_is_no_dump_and_what_is_no_title(folder):
    (folder / "mine.json").write_text("{}")
    assert_refused(run_priors("card", folder / "mine.json", "--title", "Tables"), "mine.json must end in")
    assert_refused(run_priors("card", folder / "mine.h5", "--title", " "), "--title must be a line of text")
    assert not (folder / "README.md").exists()


@pytest.mark.parametrize("name", ["on", "a: b", "1", "#x", "a|b"])
def test_any_name_and_title_stay_what_they_are_in_the_header(folder, name):
    (folder / "mine.parquet").rename(folder / f"{name}.parquet")
    header, body, _ = card_of(folder, [f"{name}.parquet"], "Tables \N{GRINNING FACE}")
    assert header["configs"] == [{"config_name": name, "data_files": f"{name}.parquet"}]
    assert header["pretty_name"] == "Tables \N{GRINNING FACE}"
    [row] = re.findall(r"^\| `.*$", body, re.MULTILINE)
    assert len(re.split(r"(?<!\\)\|", row)) == 8


def test_attributes_of_a_file_from_elsewhere_are_shown_as_they_are(folder):
    with h5py.File(folder / "mine.h5", "r+") as file:
        file.attrs["generator"] = "<img src=x>` [a](javascript:x)\n# Hello"
        file.attrs["seed"] = "\x1b[2J"
    _, body, _ = card_of(folder, ["mine.h5", "mine.npz"])
    assert "By `<img src=x>' [a](javascript:x) # Hello` with" in body
    assert "from the seed `?[2J` and" in body
    assert "```\n\n### `mine.npz`" in body


def test_a_single_path_is_no_list_of_files(folder):
    with pytest.raises(ValueError, match=r"paths must be a list of at least one file, got .*mine\.h5"):
        write_card(str(folder / "mine.h5"), "Tables")
