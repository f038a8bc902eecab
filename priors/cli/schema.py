"""`priors schema`: the JSON Schema of a prior's config, for editors."""

import json

import click

from priors.json_schema import config_schema


@click.command()
def schema() -> None:
    """Print the JSON Schema of a prior's config, with which an editor completes and checks a file.

    The editor finds it by the line "$schema": "prior.schema.json" in the config.

    \b
    priors schema > prior.schema.json
    """
    click.echo(json.dumps(config_schema(), indent=1))
