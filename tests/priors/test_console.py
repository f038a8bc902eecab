"""What the two command lines share: a stop by a signal is never lost, warnings are plain lines."""

import os
import signal
import sys
import time
import warnings
import weakref

import click
import pytest
from click.testing import CliRunner
from commands import assert_refused, run_nanotabpfn, run_priors

from priors.console import PlainGroup, interruptible


class Node:
    """Something that can have a weak reference."""


def stop(action):
    with interruptible():
        action()
        time.sleep(5)


def test_sigterm_raises_keyboard_interrupt_and_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        stop(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_inside_the_callback_of_a_weak_reference_is_raised_again(number, capsys):
    report, nodes = sys.unraisablehook, [Node()]
    reference = weakref.ref(nodes[0], lambda _: signal.raise_signal(number))
    with pytest.raises(KeyboardInterrupt):
        stop(nodes.clear)
    assert reference() is None
    assert sys.unraisablehook is report
    assert capsys.readouterr().err == ""


def test_other_errors_in_a_callback_are_reported_as_before(monkeypatch):
    reported, node = [], Node()
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: reported.append(dropped.exc_type))
    reference = weakref.ref(node, lambda _: 1 / 0)
    with interruptible():
        del node
    assert reference() is None
    assert reported == [ZeroDivisionError]


def test_warnings_of_a_command_are_lines_without_the_place_in_the_code():
    @click.group(cls=PlainGroup)
    def group():
        pass

    @group.command()
    def warn():
        warnings.warn("the model\nhas 4 heads", stacklevel=1)
        click.echo("done")

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = CliRunner().invoke(group, ["warn"])
    assert result.stderr == "Warning: the model has 4 heads\n"
    assert result.stdout == "done\n"


def test_an_unknown_command_is_answered_with_those_of_similar_names():
    assert_refused(run_priors("preset"), "No such command 'preset'; did you mean presets?")
    assert_refused(run_nanotabpfn("study", "plna"), "No such command 'plna'; did you mean plan?")
    assert_refused(run_priors("xyz"), "No such command 'xyz'")
