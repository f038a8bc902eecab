"""Tables of OpenML, from a local cache as the package openml keeps it: which are taken, and as what."""

import builtins
import hashlib
import threading
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from nanotabpfn.cli.main import main
from nanotabpfn.cli.study import BUILT_IN
from nanotabpfn.evaluation.openml_tables import FILTER, TABARENA, OpenMLError, load_fitting
from nanotabpfn.evaluation.protocol import prepare
from nanotabpfn.evaluation.suites import load_suite
from nanotabpfn.studies.real_tables import suite_key, suite_properties, suite_tasks
from nanotabpfn.studies.report.write import write_report
from nanotabpfn.studies.run import run_study
from nanotabpfn.studies.spec import StudyError
from nanotabpfn.studies.study_file import load_study
from priors.config import PriorConfig
from priors.generation.generate import generate_dump

OML = 'xmlns:oml="http://openml.org/openml"'
FITS = {
    "NumberOfFeatures": 4,
    "NumberOfClasses": 2,
    "PercentageOfInstancesWithMissingValues": 0,
    "MinorityClassPercentage": 40,
}


class Cache:
    """OpenML's cache directory of one server, filled by hand."""

    def __init__(self, root: Path):
        self.root = root

    def add(self, task_id: int, name: str, task_type: int = 1, **qualities: float) -> None:
        """A task on a dataset of its own: 60 rows, a number, a category, a category of digits, a constant."""
        kind = {1: "Supervised Classification", 2: "Supervised Regression"}[task_type]
        data_id = task_id + 1000
        self._write(
            f"tasks/{task_id}/task.xml",
            f"""<oml:task {OML}><oml:task_id>{task_id}</oml:task_id>
            <oml:task_type_id>{task_type}</oml:task_type_id><oml:task_type>{kind}</oml:task_type>
            <oml:input name="source_data"><oml:data_set><oml:data_set_id>{data_id}</oml:data_set_id>
            <oml:target_feature>class</oml:target_feature></oml:data_set></oml:input>
            <oml:input name="estimation_procedure"><oml:estimation_procedure>
            <oml:type>crossvalidation</oml:type><oml:data_splits_url>none</oml:data_splits_url>
            <oml:parameter name="number_folds">10</oml:parameter>
            <oml:parameter name="number_repeats">1</oml:parameter>
            </oml:estimation_procedure></oml:input></oml:task>""",
        )
        arff = self._arff(task_id)
        self._write(
            f"datasets/{data_id}/description.xml",
            f"""<oml:data_set_description {OML}><oml:id>{data_id}</oml:id><oml:name>{name}</oml:name>
            <oml:version>1</oml:version><oml:description>Made for a test.</oml:description>
            <oml:format>ARFF</oml:format><oml:url>http://127.0.0.1:9/{data_id}.arff</oml:url>
            <oml:default_target_attribute>class</oml:default_target_attribute>
            <oml:md5_checksum>{hashlib.md5(arff.encode()).hexdigest()}</oml:md5_checksum>
            </oml:data_set_description>""",
        )
        self._write(f"datasets/{data_id}/dataset.arff", arff)
        kinds = {"size": "numeric", "colour": "nominal", "digits": "nominal", "same": "numeric"}
        features = "".join(
            f"<oml:feature><oml:index>{number}</oml:index><oml:name>{feature}</oml:name>"
            f"<oml:data_type>{kind}</oml:data_type>{values}"
            "<oml:number_of_missing_values>0</oml:number_of_missing_values></oml:feature>"
            for number, (feature, kind, values) in enumerate(
                [(feature, kind, NOMINAL.get(feature, "")) for feature, kind in kinds.items()]
                + [("class", "nominal", NOMINAL["class"])]
            )
        )
        self._write(
            f"datasets/{data_id}/features.xml",
            f"<oml:data_features {OML}>{features}</oml:data_features>",
        )
        rows = "".join(
            f"<oml:quality><oml:name>{quality}</oml:name><oml:value>{value}</oml:value></oml:quality>"
            for quality, value in (FITS | qualities).items()
        )
        self._write(
            f"datasets/{data_id}/qualities.xml",
            f"<oml:data_qualities {OML}>{rows}</oml:data_qualities>",
        )

    @staticmethod
    def _arff(seed: int) -> str:
        rng = np.random.default_rng(seed)
        lines = ["@RELATION made", "@ATTRIBUTE size REAL", "@ATTRIBUTE colour {red,green,blue}"]
        lines += [
            "@ATTRIBUTE digits {10,9,200}",
            "@ATTRIBUTE same REAL",
            "@ATTRIBUTE class {yes,no}",
            "@DATA",
        ]
        for row in range(60):
            size = rng.normal()
            colour, digits = ("red", "green", "blue")[row % 3], (10, 9, 200)[row // 2 % 3]
            lines.append(f"{size},{colour},{digits},1.5,{'yes' if size + rng.normal() > 0 else 'no'}")
        return "\n".join(lines) + "\n"

    def _write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


NOMINAL = {
    feature: "".join(f"<oml:nominal_value>{value}</oml:nominal_value>" for value in values)
    for feature, values in {
        "colour": ("red", "green", "blue"),
        "digits": ("10", "9", "200"),
        "class": ("yes", "no"),
    }.items()
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and the address of a server that does not answer."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "config").mkdir()
    with warnings.catch_warnings(action="ignore"):
        import openml
    monkeypatch.setattr(openml.config, "_root_cache_directory", tmp_path / "openml")
    monkeypatch.setattr(openml.config, "server", "http://127.0.0.1:9/api/v1/xml")
    monkeypatch.setattr(openml.config, "connection_n_retries", 1)
    for cached in (suite_tasks, suite_properties, suite_key):  # what an earlier test had in its cache
        cached.cache_clear()
    yield Cache(Path(openml.config.get_cache_directory()))
    for cached in (suite_tasks, suite_properties, suite_key):
        cached.cache_clear()


def test_a_task_is_read_as_numbers_text_and_labels(cache):
    cache.add(7, "made")
    [table] = load_suite("openml:task/7")
    assert table.name == "made"
    assert list(table.x.columns) == ["size", "colour", "digits"]  # no constant column, and not the target
    assert table.x["colour"].tolist()[:4] == ["red", "green", "blue", "red"]
    assert table.x["digits"].tolist()[:6] == [10, 10, 9, 9, 200, 200]  # categories that are all numbers
    assert table.x["size"].dtype == table.x["digits"].dtype == np.float64
    lines = cache._arff(7).splitlines()[7:]
    assert table.y.tolist() == [line.split(",")[-1] for line in lines]
    assert np.allclose(table.x["size"], [float(line.split(",")[0]) for line in lines])
    task = prepare(table)
    assert task.classes.tolist() == ["no", "yes"]
    assert task.num_features == 3


UNFIT = [
    ({"NumberOfFeatures": 11}, "NumberOfFeatures must be 2 to 10, got 11"),
    ({"NumberOfClasses": 3}, "NumberOfClasses must be 2 to 2, got 3"),
    ({"PercentageOfInstancesWithMissingValues": 0.1}, "must be 0 to 0, got 0.1"),
    ({"MinorityClassPercentage": 2.4}, "MinorityClassPercentage must be 2.5 to 100, got 2.4"),
    ({"MinorityClassPercentage": "NaN"}, "MinorityClassPercentage must be 2.5 to 100, got nan"),
    ({"task_type": 2}, "it is Supervised Regression, and must be Supervised Classification"),
]


@pytest.mark.parametrize(("changes", "reason"), UNFIT)
def test_the_published_filter(cache, changes, reason):
    cache.add(7, "fits", **{name: limits[1] for name, limits in FILTER.items() if name != "NumberOfClasses"})
    cache.add(8, "unfit", **changes)
    assert [table.name for table in load_fitting([8, 7], "a list")] == ["fits"]
    with pytest.raises(OpenMLError, match=rf"task 8 \(unfit\) does not fit the published filter: .*{reason}"):
        load_suite("openml:task/7,8")
    with pytest.raises(OpenMLError, match="a list: none of its 1 tasks fits"):
        load_fitting([8], "a list")


def test_tables_of_one_name_are_told_apart(cache):
    for task_id, name in {7: "made", 8: "made", 9: "other"}.items():
        cache.add(task_id, name)
    assert [table.name for table in load_suite("openml:task/7,8,9")] == ["made (7)", "made (8)", "other"]


THREE = {
    363613: "Amazon_employee_access",
    363621: "blood-transfusion-service-center",
    363629: "diabetes",
}


@pytest.fixture
def tabarena(cache):
    """TabArena's tasks, of which three fit the filter. Which numbers they have is made up."""
    for task_id in TABARENA:
        cache.add(
            task_id, THREE.get(task_id, "large"), **({} if task_id in THREE else {"NumberOfFeatures": 99})
        )


def test_tabarena_under_the_filter(tabarena):
    assert [table.name for table in load_suite("tabarena")] == list(THREE.values())


def test_a_study_of_openml_is_asked_of_the_server(cache, monkeypatch):
    import openml

    for task_id in (7, 8):
        cache.add(task_id, f"made {task_id}", NumberOfFeatures=task_id + 3)
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(
                f"""<oml:study {OML}><oml:id>99</oml:id><oml:main_entity_type>task</oml:main_entity_type>
                <oml:name>two</oml:name><oml:description>Two.</oml:description><oml:status>active</oml:status>
                <oml:creation_date>2025-01-01</oml:creation_date><oml:creator>1</oml:creator>
                <oml:tasks><oml:task_id>7</oml:task_id><oml:task_id>8</oml:task_id></oml:tasks>
                </oml:study>""".encode()
            )

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/api/v1/xml"
        filled = cache.root
        monkeypatch.setattr(openml.config, "server", address)
        cache.root = Path(openml.config.get_cache_directory())  # there is one for each server
        cache.root.parent.mkdir(parents=True, exist_ok=True)
        if cache.root != filled:
            filled.rename(cache.root)
        try:
            tables = load_suite("openml:study/99")
        finally:
            server.shutdown()
            thread.join()
    assert [table.name for table in tables] == ["made 7"]  # the other has 11 features
    assert asked == ["/api/v1/xml/study/99"]


@pytest.mark.parametrize("suite", ["openml:study/99", "openml:task/7", "tabarena"])
def test_without_network_and_cache_it_is_told_plainly(cache, suite, tmp_path):
    result = CliRunner().invoke(
        main, ["train", "--prior", "linear", "--suite", suite, "--out", str(tmp_path / "r")]
    )
    assert result.exit_code == 2
    assert "all else needs the network" in result.output
    assert len(result.output.strip().splitlines()) == 2
    assert str(cache.root.parent) in result.output.replace("\n", "")


def test_without_the_package_it_names_the_extra(monkeypatch):
    real = builtins.__import__

    def no_openml(name, *args, **kwargs):
        if name == "openml":
            raise ImportError("No module named 'openml'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_openml)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "nanotabpfn-priors\[openml\]"'):
        load_suite("tabarena")


@pytest.mark.parametrize(
    "suite",
    ["openml:", "openml:data/3", "openml:task/", "openml:task/07", "openml:task/1,", "openml:study/1,2"],
)
def test_names_that_are_no_suite(suite):
    with pytest.raises(ValueError, match=r"unknown suite .*openml:(study|task)/ID"):
        load_suite(suite)
    result = CliRunner().invoke(main, ["evaluate", "--model", ".", "--suite", suite])
    assert result.exit_code == 2
    assert "unknown suite" in result.output


def test_a_task_named_twice():
    with pytest.raises(ValueError, match="only once"):
        load_suite("openml:task/15,37,15")


# ------------------------------------------------------------------------------ the published experiment


def published_dump(folder: Path) -> None:
    config = PriorConfig(
        num_datapoints=24, num_features=(3, 3), num_nodes=(5, 8), train_fraction=(0.4, 0.6), block_size=4
    )
    generate_dump(folder / "300k_150x5_2.h5", config, 80, seed=0)


def test_the_published_study_and_its_figure(tabarena, tmp_path, monkeypatch, texts):
    """Its file as it comes, but for its size; the figure has its curve, its baselines and its tables."""
    monkeypatch.chdir(tmp_path)
    published_dump(tmp_path)
    file = Path(load_study.__code__.co_filename).with_name(BUILT_IN["published"])
    study = load_study(file, folder=".")
    assert (study.name, study.steps, study.batch_size, study.training["lr"]) == ("published", 2500, 32, 0.004)
    assert study.recipe == "published"
    assert study.suites == ("tabarena",)
    small = {"steps": 2, "eval_every": 1, "batch_size": 4, "held_out": 2, "model_seeds": (0,)}
    model = {"embedding_size": 8, "num_attention_heads": 2, "mlp_hidden_size": 8, "num_layers": 1}
    study = type(study)(**study.model_dump() | small | {"model": model})
    outcomes = run_study(study, tmp_path / "out")
    assert not [outcome.error for outcome in outcomes if outcome.error]
    _, markdown = write_report(tmp_path / "out")
    said = markdown.read_text().replace("\\", "")  # its escapes
    assert "ROC AUC on the suite tabarena against training steps" in said
    assert {"published", "random forest", "k nearest neighbours", "decision tree"} <= set(texts)
    for name in THREE.values():
        assert f"| {name} |" in said


def test_the_published_study_without_dump_or_network(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in ("plan", "run"):
        result = CliRunner().invoke(main, ["study", command, "published"])
        assert result.exit_code == 2
        assert "`priors download 300k_150x5_2` fetches it" in result.output
        assert len(result.output.strip().splitlines()) <= 2
    published_dump(tmp_path)
    result = CliRunner().invoke(main, ["study", "run", "published"])
    assert result.exit_code == 2
    assert "all else needs the network" in result.output
    assert len(result.output.strip().splitlines()) == 2
    assert not Path("runs").exists()


def test_the_published_study_can_be_edited(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["study", "init", "mine.yaml", "--study", "published"])
    assert result.exit_code == 0, result.output
    published_dump(tmp_path)
    assert load_study("mine.yaml").suites == ("tabarena",)


def test_a_file_of_that_name_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("published").write_text("steps: 1")
    result = CliRunner().invoke(main, ["study", "plan", "published"])
    assert result.exit_code == 2
    assert "published: arms: field required" in result.output


def test_only_a_dump_that_is_published_can_be_downloaded(tmp_path):
    (tmp_path / "s.json").write_text('{"arms": {"a": {"dump": "mine.h5"}}}')
    with pytest.raises(StudyError) as raised:
        load_study(tmp_path / "s.json")
    assert "there is no file" in str(raised.value)
    assert "download" not in str(raised.value)
