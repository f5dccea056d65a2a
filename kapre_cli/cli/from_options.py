"""Settings from the options of a command line, which have the settings' names."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

from kapre_cli.errors import AudioReadError, KapreExtractError
from kapre_cli.inputs import InputStream, Source
from kapre_cli.report import Report
from kapre_cli.result_log import InputResult
from kapre_cli.settings import AudioSettings, LayerConfig, MelspectrogramConfig, OutputSettings
from kapre_cli.settings.run import format_of, output_path
from kapre_cli.version import PROGRAM

BANDS = ("n_mels", "fmin", "fmax", "htk", "norm")  # options of the mel layer alone


def as_option(name: str, value: float | None = None) -> str:
    """Spell an argument of a layer as the command line does.

    >>> as_option("n_dft"), as_option("n_dft", 512)
    ('--n-dft', '--n-dft 512')
    """
    spelled = f"--{name.replace('_', '-')}"
    return spelled if value is None else f"{spelled} {value:.15g}"


def output_settings(options: Mapping[str, Any]) -> OutputSettings:
    """Return the settings of the output."""
    names = [one.name for one in fields(OutputSettings) if one.name not in ("path", "format")]
    return OutputSettings(
        path=output_path(options["output"]),
        format=options["format_"] or format_of(options["output"]),
        **{name: options[name] for name in names},
    )


def audio_settings(options: Mapping[str, Any], sr: int) -> AudioSettings:
    """Return the settings of the inputs."""
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
    """Warn of unusual arguments and name better options; --verbose lists empty mel bands."""
    from kapre_cli.layers.filterbank import layer_warnings  # NumPy only where it is needed

    for warning in layer_warnings(config, as_option, lists_bands=report.verbose):
        report.warn(warning)


def sample_rate(
    options: Mapping[str, Any],
    sources: Sequence[Source] | InputStream,
    taken: Collection[Source],
    report: Report,
) -> int | None:
    """Return the sample rate of a run, ``None`` if no input states one.

    All shards have one rate: ``sources`` are the inputs of all shards, or those that arrive. If no
    header states a rate, the inputs of this run are reported: ``taken``, or all that arrive. Raise
    TooManyFailuresError if too many arriving inputs fail.
    """
    if options["sr"] is not None:
        return options["sr"]
    if options["raw_format"] is not None:
        return options["raw_format"].sr
    from kapre_cli.audio import read_header

    failures: dict[Source, AudioReadError] = {}
    arriving = sources if isinstance(sources, InputStream) else None
    try:
        for source in sources:
            try:
                sr = read_header(source.file, is_stream=source.is_stream).sr
            except AudioReadError as error:
                failures[source] = error
                if arriving is not None:
                    report.require_few_failures(len(failures))
                continue
            if arriving is not None:
                arriving.unread([*failures, source])
            return sr
    except KapreExtractError:  # earlier failures are reported first
        _report_failures(failures, report)
        raise
    mine = {*taken, *(failures if arriving is not None else ())}
    _report_failures(
        {source: reason for source, reason in failures.items() if source in mine}, report
    )
    if arriving is None and sources and not taken:
        report.say(f"{PROGRAM}: Error: no input of any shard states a rate; name it with --sr")
        report.broken = True
    return None


def _report_failures(failures: Mapping[Source, AudioReadError], report: Report) -> None:
    for source, reason in failures.items():
        report.failed(source.path, reason, InputResult(source.key))
