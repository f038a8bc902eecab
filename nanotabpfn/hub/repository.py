"""Models on the Hugging Face Hub: `push_to_hub` uploads one with its card, `from_pretrained` loads one.

Only safetensors files are read and written: no file of another person is unpickled. Downloads go through the
cache of `huggingface_hub`, and its settings hold: HF_TOKEN, HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanotabpfn.hub.card import CARD, LIBRARY, model_card, read_model
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.checkpoint import MODEL_FILE, CheckpointError, load_model, save_model
from priors.arguments import as_path, check_line
from priors.console import printable

if TYPE_CHECKING:
    from huggingface_hub import HfApi


class HubError(Exception):
    """A repository that cannot be read or written; the message names it and the reason, in a line.

    Examples:
        >>> from_pretrained("no such folder")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        nanotabpfn.hub.repository.HubError: no such folder: is neither a folder nor the name of a ...
    """


def from_pretrained(
    place: str | Path, revision: str | None = None, token: str | None = None
) -> NanoTabPFNModel:
    """The model of a folder or of a repository on the Hugging Face Hub, in evaluation mode, on the CPU.

    Args:
        place: a folder that holds `model.safetensors`, such as that of a run; or, if there is no such folder,
            the name of a repository, `user/name`. What was downloaded once is taken from the cache, also
            without a network.
        revision: of a repository: a branch, a tag or a commit; `main` by default. A commit is the safe choice
            where results must not change.
        token: for a private repository; by default that of HF_TOKEN or of `hf auth login`.

    Raises:
        HubError: there is no such repository, revision or file, or no network.
        CheckpointError: the file is not that of a model.
        ModuleNotFoundError: `huggingface_hub` is missing, which is an extra.
        ValueError: a revision of a folder.

    Examples:
        >>> from nanotabpfn.model.checkpoint import save_model
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = save_model(NanoTabPFNModel(8, 2, 8, 1, num_outputs=3), folder)
        ...     from_pretrained(folder).num_outputs
        3
    """
    if as_path("place", place).is_dir():
        if revision is not None:
            raise ValueError(f"revision is for repositories, and {place} is a folder, got {revision!r}")
        file = Path(place) / MODEL_FILE
        if not file.is_file():
            raise CheckpointError(f"{file}: no such file; `save_model` and `nanotabpfn train` write it")
        return load_model(file)
    with _hub_errors(str(place), revision):
        file = _api(token).hf_hub_download(str(place), MODEL_FILE, revision=revision)
    return load_model(file)


def push_to_hub(
    model: NanoTabPFNModel | str | Path,
    repo_id: str,
    title: str | None = None,
    license_name: str = "apache-2.0",
    card: str | Path | None = None,
    private: bool = False,
    token: str | None = None,
) -> str:
    """Upload a model as `model.safetensors` with its card as `README.md`, in one commit.

    Args:
        model: the model, or the place of one: the directory of a run, whose settings are then in the card, or
            a file.
        repo_id: the repository, `user/name`; it is made if there is none.
        title: of the card; the name of the repository by default.
        license_name: of the card, one of `priors.dumps.licenses.LICENSES`.
        card: the file of a card that is uploaded as it is; by default a new one is written.
        private: whether a new repository is private.
        token: with the right to write; by default that of HF_TOKEN or of `hf auth login`.

    Returns:
        The address of the commit.

    Raises:
        HubError: the repository cannot be written, or there is no network.
        CheckpointError, RunError, ReportError, OSError: the model, its run or the card cannot be read.
        ModuleNotFoundError: `huggingface_hub` is missing, which is an extra.
        TypeError, ValueError: something else than a model, an unknown license, a bad title.

    Examples:
        >>> push_to_hub("absent", "me/mine")
        Traceback (most recent call last):
        nanotabpfn.model.checkpoint.CheckpointError: absent: no such file; `nanotabpfn train` writes one
    """
    check_line("repo_id", repo_id)
    if isinstance(model, NanoTabPFNModel):
        settings, records = None, []
    elif isinstance(model, str | Path):
        model, settings, records = read_model(model)
    else:
        raise TypeError(f"model must be a NanoTabPFNModel or the path of one, got a {type(model).__name__}")
    name = repo_id.rpartition("/")[2]
    text = model_card(model, title or name, license_name, settings, records, place=repo_id)
    if card is not None:
        text = Path(card).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, folder)
        Path(folder, CARD).write_text(text, encoding="utf-8")
        with _hub_errors(repo_id):
            api = _api(token)
            api.create_repo(repo_id, private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=repo_id, folder_path=folder, commit_message=f"Upload a model with {LIBRARY}"
            )
    return str(done.commit_url)


def _api(token: str | None) -> "HfApi":
    from huggingface_hub import HfApi

    return HfApi(token=token, library_name=LIBRARY)


@contextmanager
def _hub_errors(repo_id: str, revision: str | None = None) -> Iterator[None]:
    """What `huggingface_hub` raises, as a `HubError` of one line; that it is missing, with the extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        raise ModuleNotFoundError(
            f'the Hub needs huggingface_hub: pip install "{LIBRARY}[hub]"', name=error.name
        ) from error
    except Exception as error:  # those of several HTTP libraries, by version
        raise HubError(printable(f"{repo_id}: {_reason(error, revision)}")) from error


def _reason(error: Exception, revision: str | None) -> str:
    from huggingface_hub import errors

    reasons: dict[Any, str] = {
        errors.HFValidationError: "is neither a folder nor the name of a repository, such as user/name",
        errors.GatedRepoError: "needs its owner's permission; ask on its page, then `hf auth login`",
        errors.RepositoryNotFoundError: "no such repository on the Hub, or a private one: `hf auth login`",
        errors.RevisionNotFoundError: f"has no revision {revision!r}",
        errors.LocalEntryNotFoundError: "is not in the cache, and the Hub cannot be reached",
        errors.EntryNotFoundError: f"has no {MODEL_FILE}; other files are not loaded",
        errors.LocalTokenNotFoundError: "needs a token: `hf auth login`, or HF_TOKEN",
    }
    for kind, reason in reasons.items():
        if isinstance(error, kind):
            return reason
    if getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
        return "needs a token with the right to do so: `hf auth login`, or HF_TOKEN"
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"the Hub cannot be reached, or refuses: {line}"
