"""The settings that the options of a command line describe; the options have their names."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

from kapre_cli.errors import AudioReadError, KapreExtractError
from kapre_cli.outcomes import Known
from kapre_cli.report import Report
from kapre_cli.settings import AudioSettings, LayerConfig, MelspectrogramConfig, OutputSettings
from kapre_cli.settings.run import format_of, output_path
from kapre_cli.sources import Arriving, Source
from kapre_cli.version import PROGRAM

BANDS = ("n_mels", "fmin", "fmax", "htk", "norm")  # the options that only the mel layer has


def as_option(name: str, value: float | None = None) -> str:
    """Spell an argument of a layer as the command line does.

    >>> as_option("n_dft"), as_option("n_dft", 512)
    ('--n-dft', '--n-dft 512')
    """
    spelled = f"--{name.replace('_', '-')}"
    return spelled if value is None else f"{spelled} {value:.15g}"


def output_settings(options: Mapping[str, Any]) -> OutputSettings:
    """Return where features go."""
    names = [one.name for one in fields(OutputSettings) if one.name not in ("path", "format")]
    return OutputSettings(
        path=output_path(options["output"]),
        format=options["format_"] or format_of(options["output"]),
        **{name: options[name] for name in names},
    )


def audio_settings(options: Mapping[str, Any], sr: int) -> AudioSettings:
    """Return what is taken of the inputs."""
    taken = {one.name: options[one.name] for one in fields(AudioSettings) if one.name != "sr"}
    return AudioSettings(**{**taken, "sr": sr, "channels": options["channels"] or None})


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


def warn_of_layer(config: LayerConfig, report: Report) -> None:
    """Say what is rarely meant, with options that would do; --verbose lists empty mel bands."""
    from kapre_cli.filterbank import layer_warnings  # NumPy only where it is needed

    for warning in layer_warnings(config, as_option, lists_bands=report.verbose):
        report.warn(warning)


def sample_rate(
    options: Mapping[str, Any],
    sources: Sequence[Source] | Arriving,
    taken: Collection[Source],
    report: Report,
) -> int | None:
    """Return the rate of a run, ``None`` if no input states one.

    All shards must have one rate. If no header states one, the inputs taken are reported; those
    that arrive all are.

    Args:
        options: The command's.
        sources: The inputs of all shards, or those that arrive.
        taken: The inputs of the run, unless they arrive.
        report: Told of those that fail.

    Raises:
        TooManyFailuresError: If more inputs that arrive fail than may.
    """
    if options["sr"] is not None:
        return options["sr"]
    if options["raw_format"] is not None:
        return options["raw_format"].sr
    from kapre_cli.audio import promise

    failures: dict[Source, AudioReadError] = {}
    arriving = sources if isinstance(sources, Arriving) else None
    try:
        for source in sources:
            try:
                sr = promise(source.file, is_stream=source.is_stream).sr
            except AudioReadError as error:
                failures[source] = error
                if arriving is not None:
                    report.require_few_failures(len(failures))
                continue
            if arriving is not None:
                arriving.put_back([*failures, source])
            return sr
    except KapreExtractError:  # what is wrong with one of them is told before
        _tell(failures, report)
        raise
    mine = {*taken, *(failures if arriving is not None else ())}
    _tell({source: reason for source, reason in failures.items() if source in mine}, report)
    if arriving is None and sources and not taken:
        report.say(f"{PROGRAM}: Error: no input of any shard states a rate; name it with --sr")
        report.broken = True
    return None


def _tell(failures: Mapping[Source, AudioReadError], report: Report) -> None:
    for source, reason in failures.items():
        report.failed(source.path, reason, Known(source.key))
