"""The options of the commands, each declared once; defaults and choices are the library's own."""

import click

from kapre_cli.cli.options.inputs import audio_options, input_options
from kapre_cli.cli.options.layer import layer_options
from kapre_cli.cli.options.output import output_options
from kapre_cli.cli.options.running import run_options
from kapre_cli.settings import LayerConfig


def extraction_options(config: type[LayerConfig]) -> list[click.Parameter]:
    """Return all options of a command that extracts what such a layer returns."""
    return [
        *input_options(),
        *output_options(),
        *layer_options(config),
        *audio_options(),
        *run_options(),
    ]
