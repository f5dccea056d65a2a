"""What both extracting commands do: options to settings, settings to the library."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from kapre_cli.errors import AudioReadError, quoted
from kapre_cli.report import Report
from kapre_cli.settings import (
    AudioSettings,
    ExtractionSettings,
    LayerConfig,
    MelspectrogramConfig,
    OutputSettings,
)
from kapre_cli.settings.run import format_of
from kapre_cli.sources import Source, discover


def extraction(config: type[LayerConfig], options: Mapping[str, Any]) -> int:
    """Run one extraction and return the exit code."""
    _refuse_streams(options)
    output = OutputSettings(
        path=options["output"],
        format=options["format_"] or format_of(options["output"]),
        dtype=options["dtype"],
        compression=options["compression"],
        overwrite=options["overwrite"],
    )
    inputs = discover(options["inputs"], options["root"])

    from kapre_cli.cli.terminal import Terminal
    from kapre_cli.storage.admission import check_output

    check_output(output, inputs.sources)
    with Terminal(inputs.sources) as terminal:
        report = Report(say=terminal.say)
        for note in inputs.notes:
            terminal.say(f"note: {note}")
        for refusal in inputs.refusals:
            report.failed(refusal.path, refusal.reason)
        sr = options["sr"] or _first_sample_rate(inputs.sources, report)
        if sr is not None and inputs.sources:
            settings = ExtractionSettings(
                layer=_layer(config, options, sr),
                audio=AudioSettings(
                    sr=sr,
                    resample=options["resample"],
                    channels=options["channels"] or None,
                    mono=options["mono"],
                ),
                output=output,
                batch_size=options["batch_size"],
            )
            from kapre_cli.pipeline.extract import extract

            extract(inputs.sources, settings, report, terminal)
    end = f" -> {quoted(output.path)}" if report.n_written else "; no output is written"
    click.echo(report.summary() + end, err=True)
    return report.exit_code


def _refuse_streams(options: Mapping[str, Any]) -> None:
    if "-" in options["inputs"]:
        raise click.UsageError(
            "Standard input (-) cannot be read by this version; name a file. A file called - is ./-"
        )
    if str(options["output"]) == "-":
        raise click.UsageError(
            "Standard output (-) cannot be written by this version; name a file or folder."
        )


def _first_sample_rate(sources: Sequence[Source], report: Report) -> int | None:
    """Return the rate of the first input that can be read; if none can, report them all."""
    from kapre_cli.audio import AudioFile

    failures = []
    for source in sources:
        try:
            with AudioFile(source.path) as file:
                return file.sr
        except AudioReadError as error:
            failures.append((source.path, error))
    for path, reason in failures:
        report.failed(path, reason)
    return None


def _layer(config: type[LayerConfig], options: Mapping[str, Any], sr: int) -> LayerConfig:
    """Return the layer's arguments; the options have their names, but for three short ones."""
    arguments: dict[str, Any] = {
        "n_dft": options["n_dft"],
        "n_hop": options["n_hop"],
        "padding": options["padding"],
        "image_data_format": options["data_format"],
        config.power_name: options["power"],
        config.decibel_name: options["decibel"],
    }
    if issubclass(config, MelspectrogramConfig):
        names = ("n_mels", "fmin", "fmax", "htk", "norm")
        arguments |= {"sr": sr, **{name: options[name] for name in names}}
    return config(**arguments)
