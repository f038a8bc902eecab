"""`nanotabpfn card`: the page that goes with a model to where it is published."""

from pathlib import Path

import click

from priors.console import Choice, json_option, line_of_text, refuse_existing, report
from priors.dumps.licenses import LICENSES


@click.command("card")
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.option("--title", required=True, callback=line_of_text, help="Name of the model.")
@click.option(
    "--license",
    "license_name",
    type=Choice(list(LICENSES)),
    default="apache-2.0",
    show_default=True,
    help="License under which you publish it.",
)
@click.option("--overwrite", is_flag=True, help="Replace a README.md that exists.")
@json_option
def card_command(model: Path, title: str, license_name: str, overwrite: bool, as_json: bool) -> None:
    """Write README.md next to a model: a card with the header that the Hugging Face Hub reads.

    MODEL is the directory of a run, or the file of a model. The card says what the model is, how it was
    trained and on which priors or dumps, as far as the run records it, and how to load it.

    \b
    nanotabpfn card runs/mine --title "Small tables"
    """
    from nanotabpfn.hub.card import CARD, write_model_card

    refuse_existing((model if model.is_dir() else model.parent) / CARD, overwrite)
    written = write_model_card(model, title, license_name)
    report(as_json, str(written), {"card": written})
