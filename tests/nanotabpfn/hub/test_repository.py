"""Models on a Hub on this machine: uploaded with a card, loaded from there, from the cache, from folders."""

import subprocess
import sys

import pytest
import torch
from hub_server import TOKEN, commit_of, point_to, running_hub
from huggingface_hub import ModelCard, constants

from nanotabpfn import (
    CheckpointError,
    HubError,
    NanoTabPFNClassifier,
    NanoTabPFNModel,
    from_pretrained,
    push_to_hub,
    save_model,
)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub, which `huggingface_hub` takes for the real one, and an empty cache."""
    with running_hub() as hub:
        point_to(hub, tmp_path / "cache", monkeypatch)
        monkeypatch.setattr("time.sleep", lambda seconds: None)  # before it asks again
        yield hub


@pytest.fixture
def model():
    torch.manual_seed(0)
    return NanoTabPFNModel(8, 2, 8, 1, num_outputs=3)


def assert_same_model(found, expected):
    assert found.config == expected.config
    assert not found.training
    for name, weights in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], weights), name


def upload(hub, model, tmp_path, name="me/mine", revision="main"):
    file = save_model(model, tmp_path / "upload.safetensors")
    hub.repositories.setdefault(name, {})[revision] = {"model.safetensors": file.read_bytes()}


# -------------------------------------------------------------------------------------------- there and back


def test_there_and_back(hub, model):
    address = push_to_hub(model, "me/mine", token=TOKEN)
    files = hub.repositories["me/mine"]["main"]
    assert address == f"{hub.url}/me/mine/commit/{commit_of(files)}"
    assert set(files) == {"model.safetensors", "README.md"}
    assert not hub.private
    card = ModelCard(files["README.md"].decode())
    assert card.data.pipeline_tag == "tabular-classification"
    assert card.text.strip().startswith("# mine\n")
    assert 'from_pretrained("me/mine")' in card.text
    assert_same_model(from_pretrained("me/mine"), model)


def test_a_second_upload_replaces_the_first_in_one_commit(hub, model, tmp_path):
    push_to_hub(model, "me/mine", private=True, token=TOKEN)
    assert hub.private == {"me/mine"}
    other = NanoTabPFNModel(16, 2, 8, 1)
    (tmp_path / "card.md").write_text("---\nlicense: mit\n---\nMine.\n")
    hub.requests.clear()
    push_to_hub(
        save_model(other, tmp_path / "other.safetensors"), "me/mine", card=tmp_path / "card.md", token=TOKEN
    )
    assert sum(path.endswith("/commit/main") for _, path in hub.requests) == 1
    assert hub.repositories["me/mine"]["main"]["README.md"] == b"---\nlicense: mit\n---\nMine.\n"
    assert_same_model(from_pretrained("me/mine", token=TOKEN), other)


def test_a_published_state_dict_is_uploaded_as_safetensors(hub, model, tmp_path):
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    with pytest.warns(UserWarning, match="attention heads"):
        push_to_hub(tmp_path / "mine.pth", "me/mine", title="From a state dict", token=TOKEN)
    files = hub.repositories["me/mine"]["main"]
    assert set(files) == {"model.safetensors", "README.md"}
    assert b"# From a state dict\n" in files["README.md"]


def test_what_was_loaded_is_a_model_of_the_estimators(hub, model, tmp_path):
    upload(hub, model, tmp_path)
    x = [[float(i % 3), 1.0] for i in range(30)]
    classifier = NanoTabPFNClassifier(from_pretrained("me/mine"), "cpu").fit(x, [i % 3 for i in range(30)])
    assert classifier.predict_proba(x).shape == (30, 3)


def test_a_revision_is_a_branch_or_a_commit(hub, model, tmp_path):
    other = NanoTabPFNModel(16, 2, 8, 1)
    upload(hub, model, tmp_path)
    upload(hub, other, tmp_path, revision="v2")
    assert_same_model(from_pretrained("me/mine"), model)
    assert_same_model(from_pretrained("me/mine", revision="v2"), other)
    commit = commit_of(hub.repositories["me/mine"]["v2"])
    assert_same_model(from_pretrained("me/mine", revision=commit), other)


# ---------------------------------------------------------------------------------- the cache, and no network


def test_a_model_is_downloaded_once(hub, model, tmp_path):
    upload(hub, model, tmp_path)
    for _ in range(2):
        assert_same_model(from_pretrained("me/mine"), model)
    assert [method for method, path in hub.requests if "resolve" in path].count("GET") == 1


def test_without_a_network_it_comes_from_the_cache(hub, model, tmp_path, monkeypatch):
    upload(hub, model, tmp_path)
    from_pretrained("me/mine")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    assert_same_model(from_pretrained("me/mine"), model)
    with pytest.raises(HubError, match=r"^me/other: is not in the cache, and the Hub cannot be reached$"):
        from_pretrained("me/other")
    assert hub.requests == []


@pytest.mark.filterwarnings("ignore")  # of the library, which tries again
def test_a_hub_that_does_not_answer_is_said_in_a_line(hub, model, tmp_path, monkeypatch):
    with running_hub() as gone:
        point_to(gone, tmp_path / "cache", monkeypatch)
    with pytest.raises(HubError, match=r"^me/mine: is not in the cache, and the Hub cannot be reached$"):
        from_pretrained("me/mine")
    with pytest.raises(HubError, match=r"^me/mine: the Hub cannot be reached, or refuses: .+$"):
        push_to_hub(model, "me/mine", token=TOKEN)


def test_the_environment_names_the_hub_and_the_cache(model, tmp_path):
    """As users set it: huggingface_hub reads it when it is imported."""
    with running_hub() as hub:
        upload(hub, model, tmp_path)
        code = "import nanotabpfn; print(nanotabpfn.from_pretrained('me/mine').num_outputs)"
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "no_proxy": "127.0.0.1"}
        done = subprocess.run(
            [sys.executable, "-c", f"import os; os.environ |= {environment}; {code}"],
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == "3\n"
    assert list((tmp_path / "home" / "hub").glob("models--me--mine/snapshots/*/model.safetensors"))


# ------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("place", "revision", "message"),
    [
        ("me/absent", None, "no such repository on the Hub, or a private one: `hf auth login`"),
        ("me/secret", None, "no such repository on the Hub, or a private one: `hf auth login`"),
        ("me/gated", None, "needs its owner's permission; ask on its page, then `hf auth login`"),
        ("me/mine", "v9", "has no revision 'v9'"),
        ("me/empty", None, "has no model.safetensors; other files are not loaded"),
        ("no such folder", None, "is neither a folder nor the name of a repository, such as user/name"),
        ("a/b/c", None, "is neither a folder nor the name of a repository, such as user/name"),
    ],
)
def test_what_is_not_there_is_said_in_a_line(hub, model, tmp_path, place, revision, message):
    for name in ("me/mine", "me/secret", "me/gated"):
        upload(hub, model, tmp_path, name)
    hub.private, hub.gated = {"me/secret"}, {"me/gated"}
    hub.repositories["me/empty"] = {"main": {"pytorch_model.bin": b"a pickle"}}
    with pytest.raises(HubError) as caught:
        from_pretrained(place, revision=revision)
    assert str(caught.value) == f"{place}: {message}"


def test_who_may_not_write_is_said_before_anything_is_there(hub, model):
    for token in ("hf_other", None):
        with pytest.raises(HubError, match=r"^me/mine: needs a token with the right to do so"):
            push_to_hub(model, "me/mine", token=token)
    with pytest.raises(HubError, match=r"^no such name: is neither a folder nor the name of a repository"):
        push_to_hub(model, "no such name", token=TOKEN)
    assert hub.repositories == {}


def test_a_file_that_holds_no_model_is_refused(hub, tmp_path):
    hub.repositories["me/mine"] = {"main": {"model.safetensors": b"not one"}}
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        from_pretrained("me/mine")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": 3}, TypeError, "model must be a NanoTabPFNModel or the path of one, got a int"),
        ({"model": "absent"}, CheckpointError, "absent: no such file"),
        ({"license_name": "gpl"}, ValueError, "license_name must be one of"),
        ({"title": "two\nlines"}, ValueError, "title must be a line of text"),
        ({"card": "absent.md"}, FileNotFoundError, "absent.md"),
    ],
)
def test_what_cannot_be_uploaded_is_refused_before_any_request(hub, model, arguments, error, message):
    with pytest.raises(error, match=message):
        push_to_hub(**{"model": model, "repo_id": "me/mine", "token": TOKEN} | arguments)
    assert hub.requests == []


# --------------------------------------------------------------------------------------------------- folders


def test_a_folder_is_read_without_the_hub(hub, model, tmp_path):
    save_model(model, tmp_path)
    assert_same_model(from_pretrained(tmp_path), model)
    assert_same_model(from_pretrained(str(tmp_path)), model)
    with pytest.raises(ValueError, match=r"revision is for repositories, and .* is a folder, got 'v2'"):
        from_pretrained(tmp_path, revision="v2")
    assert hub.requests == []


def test_no_pickle_of_a_folder_is_read(model, tmp_path):
    torch.save(
        {"architecture": model.config, "model": model.state_dict()}, tmp_path / "latest_checkpoint.pth"
    )
    with pytest.raises(CheckpointError, match=r"model\.safetensors: no such file"):
        from_pretrained(tmp_path)


def test_a_missing_extra_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for use in (lambda: from_pretrained("me/mine"), lambda: push_to_hub(model, "me/mine")):
        with pytest.raises(ModuleNotFoundError, match=r'pip install "nanotabpfn-priors\[hub\]"'):
            use()
    save_model(model, tmp_path)
    assert_same_model(from_pretrained(tmp_path), model)
