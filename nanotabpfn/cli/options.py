"""Options that several commands of `nanotabpfn` share: the device, the suite of real tables."""

from typing import Any

import click
import torch

from nanotabpfn.evaluation.suites import REGRESSION_SUITES, SUITES, check_suite
from nanotabpfn.model.architecture import get_default_device
from priors.console import PlainError

device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute; auto takes a GPU if there is one.",
)


class SuiteName(click.ParamType):
    """The name of a suite of real tables, or one of a few other words."""

    name = "suite"

    def __init__(self, *others: str):
        self.others = others

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.others:
            try:
                check_suite(value)
            except ValueError as error:
                self.fail(str(error), param, ctx)
        return value

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        names = [
            *SUITES,
            *REGRESSION_SUITES,
            "tabarena",
            "openml:study/ID",
            "openml:task/ID,ID",
            *self.others,
        ]
        return f"[{'|'.join(names)}]"


def resolve_suite(problem: str, suite: str | None) -> str:
    """`suite`, or where it is None the problem's own.

    Raises:
        click.BadParameter: the suite is for another problem.
    """
    own = REGRESSION_SUITES if problem == "regression" else SUITES
    if suite is None:
        return next(iter(own))
    is_own = suite in own or (problem != "regression" and suite not in REGRESSION_SUITES)  # OpenML's
    if suite != "none" and not is_own:
        raise click.BadParameter(
            f"{suite} is not for {problem}, which has {', '.join(own)}", param_hint="--suite"
        )
    return suite


def resolve_device(name: str) -> str:
    """The device that `name` means, where `auto` is a GPU if there is one.

    Raises:
        PlainError: it is not available here.
    """
    if name == "auto":
        return get_default_device()
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[name]:
        raise PlainError(f"--device {name}: there is none here; --device auto takes what there is")
    return name
