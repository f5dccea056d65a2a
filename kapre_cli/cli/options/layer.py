"""The options that describe the layer."""

from typing import Any

import click

from kapre_cli.cli.options.declaring import Decorator, WholeNumber, defaults, together
from kapre_cli.settings import DATA_FORMATS, PADDINGS, LayerConfig, MelspectrogramConfig


def as_option(name: str, value: float | None = None) -> str:
    """Spell an argument of a layer as the command line does.

    >>> as_option("n_dft"), as_option("n_dft", 512)
    ('--n-dft', '--n-dft 512')
    """
    option = f"--{name.replace('_', '-')}"
    return option if value is None else f"{option} {value:.15g}"


class _Norm(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.5
    """``slaney``, ``none``, or a number, ``inf`` included."""

    name = "norm"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or value == "slaney":
            return value
        if value == "none":
            return None
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is not 'slaney', 'none' or a number.", param, ctx)


def framing_options(config: type[LayerConfig], *, n_hop: str = "half of --n-dft") -> Decorator[Any]:
    """Return the options that describe the frames of a layer.

    Args:
        config: The class of the layer's arguments.
        n_hop: What --n-hop is without the option, in words.
    """
    default = defaults(config)
    return together(
        click.option(
            "--n-dft",
            metavar="N",
            type=WholeNumber(2),
            default=default["n_dft"],
            show_default=True,
            help="Samples in a frame; a power of two is fastest.",
        ),
        click.option(
            "--n-hop",
            metavar="N",
            type=WholeNumber(1),
            show_default=n_hop,
            help="Samples from frame to frame.",
        ),
        click.option(
            "--padding",
            type=click.Choice(PADDINGS),
            default=default["padding"],
            show_default=True,
            help="same: a frame at every hop, zeros laid around the signal. "
            "valid: only frames wholly inside the signal.",
        ),
    )


def layer_options(config: type[LayerConfig]) -> Decorator[Any]:
    """Return the options that describe a layer, with the layer's own defaults."""
    default = defaults(config)
    return together(
        framing_options(config),
        click.option(
            "--power",
            metavar="P",
            type=click.FloatRange(min=0, min_open=True),
            default=default[config.power_name],
            show_default=True,
            help="Exponent of the magnitudes: 2 for power, 1 for amplitude.",
        ),
        click.option(
            "--decibel/--no-decibel",
            default=default[config.decibel_name],
            show_default=True,
            help="10*log10 of the result, relative to the input's own largest value, floored at "
            "-80.",
        ),
        click.option(
            "--amin",
            metavar="A",
            type=click.FloatRange(min=0, min_open=True),
            default=default["amin"],
            show_default=True,
            help="Raise values below this one to it before --decibel; lower it for quiet "
            "recordings.",
        ),
        click.option(
            "--data-format",
            type=click.Choice(("default", *DATA_FORMATS)),
            default=default["image_data_format"],
            show_default=True,
            help="Where the channel axis stands; default: as Keras is configured.",
        ),
    )


def mel_options() -> Decorator[Any]:
    """Return the options that only the mel layer has."""
    default = defaults(MelspectrogramConfig)
    return together(
        click.option(
            "--n-mels",
            metavar="N",
            type=WholeNumber(1),
            default=default["n_mels"],
            show_default=True,
            help="Number of mel bands.",
        ),
        click.option(
            "--fmin",
            metavar="HZ",
            type=click.FloatRange(min=0),
            default=default["fmin"],
            show_default=True,
            help="Lower edge of the lowest band in Hz.",
        ),
        click.option(
            "--fmax",
            metavar="HZ",
            type=click.FloatRange(min=0, min_open=True),
            show_default="half the sample rate",
            help="Upper edge of the highest band in Hz.",
        ),
        click.option(
            "--htk/--no-htk",
            default=default["htk"],
            show_default=True,
            help="HTK's mel scale instead of Slaney's.",
        ),
        click.option(
            "--norm",
            type=_Norm(),
            metavar="slaney|none|P",
            default=default["norm"],
            show_default=True,
            help="slaney: bands of equal area. none: peaks of 1. A number or inf: divide "
            "each band by that p-norm of its weights.",
        ),
    )
