"""The options of the commands, each declared once; defaults and choices are the library's own."""

import click

from kapre_cli.cli.options.audio import audio_options
from kapre_cli.cli.options.inputs import input_options
from kapre_cli.cli.options.layer import layer_options
from kapre_cli.cli.options.output import output_options
from kapre_cli.cli.options.running import run_options
from kapre_cli.cli.printing import Command
from kapre_cli.settings import RESUMES, LayerConfig


def extraction_options(config: type[LayerConfig]) -> list[click.Parameter]:
    """Return all options of a command that extracts what such a layer returns."""
    return [
        *input_options(),
        *output_options(),
        *layer_options(config),
        *audio_options(),
        *run_options(),
    ]


class ExtractingCommand(Command):
    """A command whose ``--resume`` takes a value only if that is attached, as in ``--resume=x``.

    Click would take the next argument, an input, for the value.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Attach the value that a bare ``--resume`` stands for."""
        end = args.index("--") if "--" in args else len(args)
        bare = f"--resume={RESUMES[0]}"
        options = [bare if argument == "--resume" else argument for argument in args[:end]]
        return super().parse_args(ctx, options + args[end:])
