"""What the two command lines share: a stop by a signal is never lost."""

import os
import signal
import sys
import time
import weakref

import pytest

from priors.console import interruptible


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
