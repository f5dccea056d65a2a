"""The commands that extract features, each made from the configuration of a layer."""

from collections.abc import Collection, Iterator
from typing import Any

import click

from kapre_cli.cli.command import Command
from kapre_cli.cli.config import SHOWS_CONFIG
from kapre_cli.cli.like import LikeOption
from kapre_cli.cli.run_options import AUDIO, INPUTS, OUTPUT, RUNNING, layer_options
from kapre_cli.cli.trained import LAYER, has_fixed_layer
from kapre_cli.errors import UsageError
from kapre_cli.registry import ExtensionError
from kapre_cli.settings import LAYERS, RESUMES, LayerConfig
from kapre_cli.text import quoted

_INPUTS = "INPUTS are WAV and FLAC files, folders, which are searched, or - for standard input."


class _ExtractingCommand(Command):
    """A command whose ``--resume`` has a value only if attached, as ``--resume=x``.

    Click would take the next argument, an input, for the value.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Attach the default value to a bare ``--resume``."""
        end = args.index("--") if "--" in args else len(args)
        bare = f"--resume={RESUMES[0]}"
        options = [bare if argument == "--resume" else argument for argument in args[:end]]
        return super().parse_args(ctx, options + args[end:])

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command, or print its options, if they make its layer."""
        if ctx.meta.get(SHOWS_CONFIG) and has_fixed_layer(ctx):
            raise UsageError(
                "--show-config cannot print the layer of the output of --like, which no option "
                "sets; leave one of both out"
            )
        return super().invoke(ctx)


def _extracting_command(config: type[LayerConfig]) -> click.Command:
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
    return _ExtractingCommand(
        config.command,
        callback=extract,
        params=[
            *(*INPUTS, *OUTPUT, LikeOption(config)),
            *([LAYER] if config.class_name in LAYERS.built_in else []),  # models have these alone
            *(*layer_options(config).values(), *AUDIO, *RUNNING),
        ],
        help="\n\n".join((config.summary, _INPUTS, *shown)),
        short_help=config.summary,
    )


def built_in_commands() -> Iterator[click.Command]:
    """Yield the commands of the layers of this package."""
    for name in LAYERS.built_in:
        yield _extracting_command(LAYERS[name])


def installed_commands(others: Collection[str]) -> Iterator[click.Command]:
    """Yield the commands of the layers of other packages, which are imported.

    They may not have the names of ``others``.
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
            if "command" not in vars(config):
                raise ExtensionError(f"the layer {quoted(name)} has no `command` of its own")
            if config.command in others:
                raise ExtensionError(
                    f"the layer {quoted(name)} has the command {quoted(config.command)}, and this "
                    "program has one of that name"
                )
            command = _extracting_command(config)
        except ExtensionError as error:
            LAYERS.broken[name] = str(error)
        except Exception as error:  # a package may declare anything
            reason = f"{type(error).__name__}: {error}"
            LAYERS.broken[name] = f"the layer {quoted(name)} has no valid command: {reason}"
        else:
            yield command
