"""Reads a study from a file, YAML or JSON, and checks it whole before any work."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nanotabpfn.studies.arms import resolve_arms, warm_starts_of
from nanotabpfn.studies.spec import ArmSettings, ModelSettings, Ropes, Study, StudyError, WarmStart
from priors.registry import find_modules_in, nearest_or_all
from priors.settings import explain

MAX_BYTES, MAX_DEPTH = 1_000_000, 30


def load_study(path: str | Path, folder: str | Path | None = None) -> Study:
    """Read a study file, YAML or JSON.

    The modules of families that it names are found in its folder too.

    Args:
        path: of the file.
        folder: where configs and dumps with relative paths are; by default the folder of the file.

    Raises:
        StudyError: it cannot be read, or a field is wrong; the message names the file and the field.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "noise.json"
        ...     _ = file.write_text('{"arms": {"linear": {"preset": "linear"}}, "steps": 200}')
        ...     study = load_study(file)
        >>> study.name, study.steps
        ('noise', 200)
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise StudyError(f"{path}: a study file has at most {MAX_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read: {error}") from error
    find_modules_in(path.parent, text)
    values = _parse_json(path, text) if path.suffix == ".json" else _parse_yaml(path, text)
    if not isinstance(values, dict):
        raise StudyError(f"{path}: must hold the fields of a study (arms, steps ...), got {values!r}")
    folder = path.parent if folder is None else Path(folder)
    for arm in values["arms"].values() if isinstance(values.get("arms"), dict) else ():
        for source in ("config", "dump"):
            if isinstance(arm, dict) and isinstance(arm.get(source), str):
                arm[source] = str((folder / arm[source]).absolute())
    try:
        _check_names(values)
        study = Study(**{"name": path.stem, **values})
        resolve_arms(study)
        warm_starts_of(study)
    except ValidationError as error:
        raise StudyError(f"{path}: {explain(error)}") from error
    except TypeError as error:  # keys that are not text
        raise StudyError(f"{path}: names of fields must be text: {error}") from error
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from error
    return study


def _check_names(values: dict[str, Any]) -> None:
    """Refuse names that no field has, with the nearest ones.

    Raises:
        StudyError: the message names the place of the field.
    """
    arms = values["arms"].items() if isinstance(values.get("arms"), dict) else ()
    parts = [
        ("", values, Study),
        ("model.", values.get("model"), ModelSettings),
        ("warm_start.", values.get("warm_start"), WarmStart),
        ("rope.", values.get("rope"), Ropes),
    ]
    for place, fields, kind in [*parts, *((f"arms.{name}.", arm, ArmSettings) for name, arm in arms)]:
        for name in fields if isinstance(fields, dict) else ():
            if isinstance(name, str) and name not in kind.model_fields:
                known = nearest_or_all(name, kind.model_fields)
                raise StudyError(f"unknown field {place + name!r}; {known}")


def _parse_json(path: Path, text: str) -> Any:
    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _refuse_duplicates([key for key, _ in pairs])
        return dict(pairs)

    strings = r'"(?:[^"\\]|\\.)*"'
    try:
        _check_depth(re.findall(r"[][{}]", re.sub(strings, "", text)), "[{", "]}")
        return json.loads(text, object_pairs_hook=without_duplicates)
    except ValueError as error:
        raise StudyError(f"{path}: is not valid JSON: {error}") from error


def _parse_yaml(path: Path, text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise StudyError(
            f'{path}: YAML needs the package pyyaml: pip install "nanotabpfn-priors[studies]"; '
            "a study can be written as JSON too"
        ) from error

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            _refuse_duplicates([self.construct_object(key, deep=True) for key, _ in node.value])
            return super().construct_mapping(node, deep)

    try:
        opening = yaml.events.SequenceStartEvent, yaml.events.MappingStartEvent
        closing = yaml.events.SequenceEndEvent, yaml.events.MappingEndEvent
        _check_depth(map(_without_aliases, yaml.parse(text)), opening, closing)
        return yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise StudyError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from error


def _check_depth(marks: Iterable[Any], opening: Any, closing: Any) -> None:
    """Bound the nesting of a file before it is parsed: parsers of nested values are recursive."""
    depth = 0
    for mark in marks:
        is_text = isinstance(mark, str)
        depth += (mark in opening) if is_text else isinstance(mark, opening)
        depth -= (mark in closing) if is_text else isinstance(mark, closing)
        if depth > MAX_DEPTH:
            raise ValueError(f"values are nested more than {MAX_DEPTH} deep")


def _without_aliases(event: Any) -> Any:
    """Refuse aliases: a few lines of them can stand for more values than memory holds."""
    if type(event).__name__ == "AliasEvent":
        raise ValueError(f"aliases (*{event.anchor}) are not read; write the value out")
    return event


def _refuse_duplicates(keys: list[Any]) -> None:
    """Refuse a key that is given twice: both formats would keep the second value without a word."""
    for key, count in Counter(map(str, keys)).items():
        if count > 1:
            raise ValueError(f"the key {key!r} is given {count} times")
