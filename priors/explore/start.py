"""What the page shows at first, from the arguments of the command."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from priors.config import PriorConfig, with_overrides
from priors.presets import PRESETS
from priors.settings import read_setting

LARGEST_SEED = 2**31 - 1
"""Of the page, whose numbers are those of a browser."""


class Start(NamedTuple):
    """The first prior of the page, and the seed."""

    preset: str
    config: PriorConfig
    """The preset with the settings of the command."""
    seed: int


def start_of(arguments: Mapping[str, Any]) -> Start:
    """The start that the arguments of the page name; `default` with the seed 0 where there are none.

    Args:
        arguments: `preset`, `seed`, and `set`: one FIELD=VALUE, or a list of them.

    Raises:
        ConfigError: a setting that no prior can have.

    Examples:
        >>> start = start_of({"preset": "linear", "seed": "3", "set": ["num_features=3", "clip=10"]})
        >>> start.preset, start.seed, start.config.num_features, start.config.clip
        ('linear', 3, (3, 3), 10.0)
    """
    given = arguments.get("set", [])
    settings = dict(map(read_setting, [given] if isinstance(given, str) else given))
    preset = str(arguments.get("preset", "default"))
    return Start(preset, with_overrides(PRESETS[preset], settings), int(arguments.get("seed", 0)))
