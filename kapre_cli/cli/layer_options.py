"""The options that describe a layer, the layer that they describe, and warnings about it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import click

from kapre_cli.cli.options import Group, Option, WholeNumber, parsed
from kapre_cli.report import Report
from kapre_cli.settings import DATA_FORMATS, PADDINGS, LayerConfig, MelspectrogramConfig

BANDS = ("n_mels", "fmin", "fmax", "htk", "norm")  # options of the mel layer alone

feature_option = partial(Option, group=Group.FEATURES)


def _norm(text: str) -> str | float | None:
    """Return ``slaney``, ``none`` as ``None``, or a number, ``inf`` included."""
    if text in ("slaney", "none"):
        return None if text == "none" else text
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not 'slaney', 'none' or a number.") from None


MEL = [
    feature_option(
        "--n-mels",
        is_usual=True,
        type=WholeNumber(1),
        default=MelspectrogramConfig.n_mels,
        help="Number of mel bands.",
    ),
    feature_option(
        "--fmin",
        is_usual=True,
        metavar="HZ",
        type=click.FloatRange(min=0),
        default=MelspectrogramConfig.fmin,
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
        default=MelspectrogramConfig.htk,
        help="Use HTK's mel scale instead of Slaney's.",
    ),
    feature_option(
        "--norm",
        type=parsed(_norm),
        metavar="slaney|none|P",
        default=MelspectrogramConfig.norm,
        help="Normalization of the mel bands. slaney: equal area. none: peaks of 1. A number "
        "or inf: divide each band by that p-norm of its weights.",
    ),
]


def framing_options(n_hop: str = "half of --n-dft") -> list[Option]:
    """Return the options of the frames of a layer; ``n_hop``: its default, in words."""
    return [
        feature_option(
            "--n-dft",
            is_usual=True,
            type=WholeNumber(2),
            default=LayerConfig.n_dft,
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
            default=LayerConfig.padding,
            help="Treatment of the ends of a signal. same: a frame at every hop, with zeros around "
            "the signal. valid: only frames inside the signal.",
        ),
    ]


def layer_options(config: type[LayerConfig]) -> list[Option]:
    """Return the options of a layer, with the layer's own defaults."""
    return [
        *framing_options(),
        *(MEL if issubclass(config, MelspectrogramConfig) else ()),
        feature_option(
            "--power",
            is_usual=True,
            metavar="P",
            type=click.FloatRange(min=0, min_open=True),
            default=getattr(config, config.power_name),
            help="Exponent: 2 for power, 1 for amplitude.",
        ),
        feature_option(
            "--decibel/--no-decibel",
            is_usual=True,
            default=getattr(config, config.decibel_name),
            help="Convert to decibels. They are 10*log10 of the values, relative to the largest "
            "value of the input, floored at -80.",
        ),
        feature_option(
            "--amin",
            metavar="A",
            type=click.FloatRange(min=0, min_open=True),
            default=config.amin,
            help="Smallest value that --decibel distinguishes. Smaller values are raised to it; "
            "lower it for quiet recordings.",
        ),
        feature_option(
            "--data-format",
            type=click.Choice(("default", *DATA_FORMATS)),
            default=config.image_data_format,
            help="Position of the channel axis. default: that of Keras' configuration.",
        ),
    ]


def layer_config(config: type[LayerConfig], options: Mapping[str, Any], sr: int) -> LayerConfig:
    """Return the layer's arguments; three of the options have shorter names."""
    arguments: dict[str, Any] = {
        **{name: options[name] for name in ("n_dft", "n_hop", "padding", "amin")},
        "image_data_format": options["data_format"],
        config.power_name: options["power"],
        config.decibel_name: options["decibel"],
    }
    if issubclass(config, MelspectrogramConfig):
        arguments |= {"sr": sr, **{name: options[name] for name in BANDS}}
    return config(**arguments)


def as_option(name: str, value: float | None = None) -> str:
    """Spell an argument of a layer as the command line does.

    >>> as_option("n_dft"), as_option("n_dft", 512)
    ('--n-dft', '--n-dft 512')
    """
    spelled = f"--{name.replace('_', '-')}"
    return spelled if value is None else f"{spelled} {value:.15g}"


def warn_of_layer(config: LayerConfig, report: Report) -> None:
    """Warn of unusual arguments and name better options; --verbose lists empty mel bands."""
    from kapre_cli.layers.filterbank import layer_warnings  # NumPy only where it is needed

    for warning in layer_warnings(config, as_option, lists_bands=report.verbose):
        report.warn(warning)
