"""A prior after its settings were moved: the config, or what is wrong with which setting."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import ValidationError

from priors.config import PriorConfig, with_overrides
from priors.registry import ConfigError, UntrustedNameError, imports_allowed
from priors.settings import REPLACE, explain_by_field, read_setting

TEXT = "text"
"""In the place of a field, for what is wrong with the settings that were written."""


class Turned(NamedTuple):
    """What the controls of a prior mean together."""

    config: PriorConfig | None
    """None if the settings are not valid."""
    errors: dict[str, str]
    """Field, or TEXT -> the rule that its value breaks."""


def turned(start: PriorConfig, settings: dict[str, Any], text: str = "") -> Turned:
    """`start` with the settings of the controls, then those of a text, a FIELD=VALUE in each line.

    A text cannot name code outside of this package, which would be imported. `start` can: the user of the
    command wrote it.

    Examples:
        >>> turned(PriorConfig(), {"num_features": [2, 10]}, "num_classes=3").config
        PriorConfig(num_features=(2, 10), num_classes=(3, 3))
        >>> turned(PriorConfig(), {"num_datapoints": 20, "num_classes": [2, 10]}).errors
        {'train_fraction': 'train_fraction: (0.1, 0.9) of num_datapoints=20 rows leaves 2 rows on one side, \
too few for num_classes=(2, 10)'}
        >>> turned(PriorConfig(), {}, "clipp=3").errors
        {'text': "unknown field 'clipp'; did you mean clip?"}
    """
    try:
        written = dict(read_setting(line) for line in text.splitlines() if line.strip())
        with imports_allowed(not any(":" in word for word in _words(written))):
            return Turned(with_overrides(start, settings | written), {})
    except UntrustedNameError as error:
        return Turned(None, {TEXT: f"the page takes families of this package alone: {error}"})
    except ConfigError as error:
        if not isinstance(error.__cause__, ValidationError):
            return Turned(None, {TEXT: str(error)})
        found = explain_by_field(error.__cause__)
    in_text = {path.removeprefix(REPLACE).partition(".")[0] for path in written}
    errors: dict[str, str] = {}
    for field, message in found:
        place = TEXT if field in in_text else field or TEXT
        errors[place] = f"{errors[place]}; {message}" if place in errors else message
    return Turned(None, errors)


def _words(value: Any) -> Iterator[str]:
    """All texts in a setting: names, and keys of dicts. With a colon, one may name a module."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, own in value.items():
            yield str(key)
            yield from _words(own)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _words(one)
