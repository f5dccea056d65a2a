"""What both extracting commands do: options to settings, settings to the library."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import click

from kapre_cli.cli.from_options import audio_settings, layer_config, output_settings
from kapre_cli.cli.guard import Workload
from kapre_cli.cli.incoming import Incoming
from kapre_cli.cli.signals import Stopped
from kapre_cli.errors import AudioReadError, OutputError, StoredDataError, quoted
from kapre_cli.report import ExitCode, Report, Watch
from kapre_cli.settings import ExtractionSettings, LayerConfig, OutputSettings, RawFormat
from kapre_cli.sources import Arriving, Source, discover
from kapre_cli.version import PROGRAM


def extraction(config: type[LayerConfig], options: Mapping[str, Any]) -> int:
    """Run one extraction and return the exit code."""
    _refuse_streams(options)
    output = output_settings(options)
    guard: Callable[[Workload], int] = click.get_current_context().obj

    with Incoming(options, output) as incoming:

        def work(watch: Watch) -> int:
            try:
                return _extraction(config, options, output, incoming, watch)
            except BrokenPipeError:  # whoever read the messages has left
                return ExitCode.PIPE_CLOSED

        return guard(work)


def _extraction(
    config: type[LayerConfig],
    options: Mapping[str, Any],
    output: OutputSettings,
    incoming: Incoming,
    watch: Watch,
) -> int:
    inputs = discover(
        options["inputs"],
        options["root"],
        spooled=incoming.spooled,
        listed=incoming.names_at_once(),
    )
    incoming.require_any(inputs)

    from kapre_cli.cli.terminal import Terminal
    from kapre_cli.storage.admission import check_output

    check_output(output, inputs.sources)
    if not watch.again:  # else it has been received
        incoming.receive()
    with Terminal(() if incoming.arrives else inputs.sources) as terminal:
        report = Report(say=terminal.say)
        sources = incoming.sources(inputs, report)
        if not watch.again:
            for note in inputs.notes:
                terminal.say(f"note: {note}")
        for refusal in inputs.refusals:
            report.failed(refusal.path, refusal.reason)
        sr = options["sr"] or _first_sample_rate(sources, options["raw_format"], report)
        if sr is not None and sources:
            settings = ExtractionSettings(
                layer=layer_config(config, options, sr),
                audio=audio_settings(options, sr),
                output=output,
                batch_size=options["batch_size"],
                jobs=options["jobs"],
                engine=options["engine"],
            )
            from kapre_cli.pipeline.extract import extract

            try:
                extract(sources, settings, report, terminal, watch)
            except (OutputError, StoredDataError) as error:
                terminal.say(f"{PROGRAM}: Error: {error}")
                report.broken = True
                if not (report.n_written or report.n_skipped):
                    come = sources if isinstance(sources, Arriving) else inputs
                    report.unwritten(come.n_inputs)
            except Stopped:
                if not (report.n_written or report.n_skipped):
                    raise  # else the output is in its place: there was nothing left to stop
            finally:
                if report.kept:
                    with suppress(OSError):  # the terminal may be gone
                        terminal.say(report.kept)
            if isinstance(sources, Arriving):
                for note in sources.notes():
                    terminal.say(f"note: {note}")
    is_there = report.n_written or report.n_skipped
    end = f" -> {quoted(output.path)}" if is_there else "; no output is written or changed"
    click.echo(report.summary() + end, err=True)
    return report.exit_code


def _refuse_streams(options: Mapping[str, Any]) -> None:
    if str(options["output"]) == "-":
        raise click.UsageError(
            "Standard output (-) cannot be written by this version; name a file or folder."
        )


def _first_sample_rate(
    sources: Sequence[Source] | Arriving, raw_format: RawFormat | None, report: Report
) -> int | None:
    """Return the rate of the first input whose header states one; if none does, report them all."""
    if raw_format is not None:
        return raw_format.sr
    from kapre_cli.audio import promise

    failures, taken = [], list[Source]()
    for source in sources:
        taken.append(source)
        try:
            sr = promise(source.file, is_stream=source.is_stream).sr
        except AudioReadError as error:
            failures.append((source.path, error))
        else:
            if isinstance(sources, Arriving):
                sources.put_back(taken)
            return sr
    for path, reason in failures:
        report.failed(path, reason)
    return None
