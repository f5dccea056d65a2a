"""The commands that extract features, each made from the configuration of a layer."""

from collections.abc import Iterator
from typing import Any

import click

from kapre_cli.cli.command import ExtractingCommand
from kapre_cli.cli.layer_options import layer_options
from kapre_cli.cli.run_options import AUDIO, INPUTS, OUTPUT, RUNNING
from kapre_cli.registry import ExtensionError
from kapre_cli.settings import LAYERS, LayerConfig
from kapre_cli.text import quoted

_INPUTS = "INPUTS are WAV and FLAC files, folders, which are searched, or - for standard input."


def extracting_command(config: type[LayerConfig]) -> click.Command:
    """Return the command of a layer."""

    def extract(**options: Any) -> int:
        from kapre_cli.cli.extraction import extraction  # not needed for --help

        return extraction(config, options)

    examples = vars(config).get("examples") or (  # its own, not those of a layer it is derived from
        (
            "All recordings below a folder, into one HDF5 file:",
            f"kapre-extract {config.command} sample_audio -o features.h5",
        ),
    )
    shown = [f"\b\n{sentence}\n  {line}" for sentence, line in examples]
    return ExtractingCommand(
        config.command,
        callback=extract,
        params=[*INPUTS, *OUTPUT, *layer_options(config).values(), *AUDIO, *RUNNING],
        help="\n\n".join((config.summary, _INPUTS, *shown)),
        short_help=config.summary,
    )


def built_in_commands() -> Iterator[click.Command]:
    """Yield the commands of the layers of this package."""
    for name in LAYERS.built_in:
        yield extracting_command(LAYERS[name])


def installed_commands() -> Iterator[click.Command]:
    """Yield the commands of the layers of other packages, which are imported.

    A layer that cannot be used has none; ``LAYERS.broken`` tells why.
    """
    for name in LAYERS.names:
        if name in LAYERS.built_in:
            continue
        try:
            config = LAYERS[name]
            if config.class_name != name:
                raise ExtensionError(
                    f"the layer {quoted(name)} has the class_name {quoted(config.class_name)}: "
                    "its entry point must have the same name"
                )
            yield extracting_command(config)
        except ExtensionError as error:
            LAYERS.broken[name] = str(error)
