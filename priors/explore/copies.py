"""A prior as text to copy: options of the command line, JSON, the arm of a study."""

import shlex

from priors.config import PriorConfig, changes_from
from priors.presets import PRESETS
from priors.settings import write_setting


def as_options(preset: str, config: PriorConfig) -> str:
    """The options of `priors generate`, and of every command that takes a prior, that give the config.

    Examples:
        >>> from dataclasses import replace
        >>> as_options("linear", replace(PRESETS["linear"], num_features=(2, 10)))
        "--preset linear --set 'num_features=[2, 10]'"
    """
    changes = changes_from(config, PRESETS[preset])
    options = [f"--set {shlex.quote(write_setting(path, value))}" for path, (value, _) in changes.items()]
    return " ".join([f"--preset {preset}", *options])


def as_json(config: PriorConfig) -> str:
    """The whole config, for `--config FILE`.

    Examples:
        >>> PriorConfig.from_json(as_json(PRESETS["mixed"])) == PRESETS["mixed"]
        True
    """
    return config.to_json(indent=1)


def as_arm(name: str, preset: str, config: PriorConfig) -> str:
    """The arm of a study file: the preset, and the settings that differ from it.

    Examples:
        >>> from dataclasses import replace
        >>> print(as_arm("wide", "linear", replace(PRESETS["linear"], num_features=(2, 10))))
        arms:
          wide:
            preset: linear
            set:
              num_features: [2, 10]
    """
    import yaml  # of the extra `explore`

    changes = {path: value for path, (value, _) in changes_from(config, PRESETS[preset]).items()}
    arm = {"preset": preset, **({"set": changes} if changes else {})}
    text = yaml.safe_dump({"arms": {name: arm}}, sort_keys=False, default_flow_style=None, width=1000)
    return text.rstrip()
