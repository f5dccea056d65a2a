"""Options that describe the layer."""

from functools import partial
from typing import Any

import click

from kapre_cli.cli.help_text import Group, Option
from kapre_cli.cli.options.declaring import WholeNumber, defaults
from kapre_cli.settings import DATA_FORMATS, PADDINGS, LayerConfig, MelspectrogramConfig

feature_option = partial(Option, group=Group.FEATURES)


def as_option(name: str, value: float | None = None) -> str:
    """Spell an argument of a layer as the command line does.

    >>> as_option("n_dft"), as_option("n_dft", 512)
    ('--n-dft', '--n-dft 512')
    """
    spelled = f"--{name.replace('_', '-')}"
    return spelled if value is None else f"{spelled} {value:.15g}"


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


def framing_options(
    config: type[LayerConfig], *, n_hop: str = "half of --n-dft"
) -> list[click.Parameter]:
    """Return the options of the frames of a layer; ``n_hop``: its default, in words."""
    default = defaults(config)
    return [
        feature_option(
            "--n-dft",
            is_usual=True,
            type=WholeNumber(2),
            default=default["n_dft"],
            help="Frame length in samples. A power of two is fastest.",
        ),
        feature_option(
            "--n-hop",
            is_usual=True,
            type=WholeNumber(1),
            show_default=n_hop,
            help="Hop length in samples. It is the distance from one frame to the next.",
        ),
        feature_option(
            "--padding",
            type=click.Choice(PADDINGS),
            default=default["padding"],
            help="Treatment of the ends of a signal. same: a frame at every hop, with zeros around "
            "the signal. valid: only frames inside the signal.",
        ),
    ]


def layer_options(config: type[LayerConfig]) -> list[click.Parameter]:
    """Return the options that describe a layer, with the layer's own defaults."""
    default = defaults(config)
    return [
        *framing_options(config),
        *(mel_options() if issubclass(config, MelspectrogramConfig) else ()),
        feature_option(
            "--power",
            is_usual=True,
            metavar="P",
            type=click.FloatRange(min=0, min_open=True),
            default=default[config.power_name],
            help="Exponent: 2 for power, 1 for amplitude.",
        ),
        feature_option(
            "--decibel/--no-decibel",
            is_usual=True,
            default=default[config.decibel_name],
            help="Convert to decibels. They are 10*log10 of the values, relative to the largest "
            "value of the input, floored at -80.",
        ),
        feature_option(
            "--amin",
            metavar="A",
            type=click.FloatRange(min=0, min_open=True),
            default=default["amin"],
            help="Smallest value that --decibel distinguishes. Smaller values are raised to it; "
            "lower it for quiet recordings.",
        ),
        feature_option(
            "--data-format",
            type=click.Choice(("default", *DATA_FORMATS)),
            default=default["image_data_format"],
            help="Position of the channel axis. default: that of Keras' configuration.",
        ),
    ]


def mel_options() -> list[click.Parameter]:
    """Return the options that only the mel layer has."""
    default = defaults(MelspectrogramConfig)
    return [
        feature_option(
            "--n-mels",
            is_usual=True,
            type=WholeNumber(1),
            default=default["n_mels"],
            help="Number of mel bands.",
        ),
        feature_option(
            "--fmin",
            is_usual=True,
            metavar="HZ",
            type=click.FloatRange(min=0),
            default=default["fmin"],
            help="Lowest frequency. It is the lower edge of the lowest band.",
        ),
        feature_option(
            "--fmax",
            is_usual=True,
            metavar="HZ",
            type=click.FloatRange(min=0, min_open=True),
            show_default="half the sample rate",
            help="Highest frequency. It is the upper edge of the highest band.",
        ),
        feature_option(
            "--htk/--no-htk",
            default=default["htk"],
            help="Use HTK's mel scale instead of Slaney's.",
        ),
        feature_option(
            "--norm",
            type=_Norm(),
            metavar="slaney|none|P",
            default=default["norm"],
            help="Normalization of the mel bands. slaney: equal area. none: peaks of 1. A number "
            "or inf: divide each band by that p-norm of its weights.",
        ),
    ]
