"""The settings that the options of a command line describe; the options have their names."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from kapre_cli.cli.options.layer import as_option
from kapre_cli.report import Report
from kapre_cli.settings import AudioSettings, LayerConfig, MelspectrogramConfig, OutputSettings
from kapre_cli.settings.run import format_of, output_path

BANDS = ("n_mels", "fmin", "fmax", "htk", "norm")  # the options that only the mel layer has


def output_settings(options: Mapping[str, Any]) -> OutputSettings:
    """Return where features go."""
    return OutputSettings(
        path=output_path(options["output"]),
        format=options["format_"] or format_of(options["output"]),
        dtype=options["dtype"],
        compression=options["compression"],
        dimension_scales=options["dimension_scales"],
        overwrite=options["overwrite"],
        resume=options["resume"],
    )


def audio_settings(options: Mapping[str, Any], sr: int) -> AudioSettings:
    """Return what is taken of the inputs."""
    taken = {one.name: options[one.name] for one in fields(AudioSettings) if one.name != "sr"}
    return AudioSettings(**{**taken, "sr": sr, "channels": options["channels"] or None})


def layer_config(config: type[LayerConfig], options: Mapping[str, Any], sr: int) -> LayerConfig:
    """Return the layer's arguments; three of the options have shorter names."""
    arguments: dict[str, Any] = {
        "n_dft": options["n_dft"],
        "n_hop": options["n_hop"],
        "padding": options["padding"],
        "image_data_format": options["data_format"],
        "amin": options["amin"],
        config.power_name: options["power"],
        config.decibel_name: options["decibel"],
    }
    if issubclass(config, MelspectrogramConfig):
        arguments |= {"sr": sr, **{name: options[name] for name in BANDS}}
    return config(**arguments)


def warn_of_layer(config: LayerConfig, report: Report) -> None:
    """Say what is rarely meant, with options that would do; --verbose lists empty mel bands."""
    from kapre_cli.filterbank import layer_warnings  # NumPy only where it is needed

    for warning in layer_warnings(config, as_option, lists_bands=report.verbose):
        report.warn(warning)
