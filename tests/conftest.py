"""What all tests share: few threads, the files of tests/data, a tiny dump."""

import signal
import threading
from pathlib import Path

import pytest
import torch
from dump_server import Server
from hypothesis import HealthCheck, settings
from tiny_prior import TINY

from priors.generation.generate import generate_dump

DATA = Path(__file__).parent / "data"

# Ignored where the tests run in the background of a script; processes that they start would ignore it too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# On a loaded machine any example may take long.
settings.register_profile("loaded", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("loaded")

torch.set_num_threads(1)  # tests are small: threads cost more than they bring


@pytest.fixture(scope="session")
def reference_file() -> Path:
    """Inputs, weights, logits and losses of the published model, float64."""
    return DATA / "nanotabpfn_reference.h5"


@pytest.fixture(scope="session")
def published_like() -> Path:
    """640 datasets in the layout of the published dump; record 77 is damaged."""
    return DATA / "published_like.h5"


@pytest.fixture(scope="session")
def tiny_dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 datasets of 24 rows x 3 features, 2 classes, in blocks of 4."""
    path = tmp_path_factory.mktemp("dumps") / "tiny.h5"
    generate_dump(path, TINY, 64, seed=0)
    return path


@pytest.fixture
def server(published_like, monkeypatch):
    """A running server that sends the file `published_like`."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        server.content = published_like.read_bytes()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that figures say, gathered when they are saved."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    found = []
    save = Figure.savefig

    def savefig(self, *args, **kwargs):
        found.extend(" ".join(text.get_text().split()) for text in self.findobj(Text) if text.get_text())
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return found
