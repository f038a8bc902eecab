"""Study files for tests: one of two arms, written as YAML or JSON."""

import json

import yaml

TWO_ARMS = {"arms": {"a": {"preset": "linear"}, "b": {"preset": "gp"}}}


def write(tmp_path, values, name="study.yaml"):
    path = tmp_path / name
    path.write_text(json.dumps(values) if path.suffix == ".json" else yaml.safe_dump(values, sort_keys=False))
    return path
