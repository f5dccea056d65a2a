"""What both extracting commands do: options to settings, settings to the library."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import click

from kapre_cli.cli.from_options import audio_settings, layer_config, output_settings
from kapre_cli.cli.guard import Workload
from kapre_cli.cli.signals import Stopped
from kapre_cli.errors import AudioReadError, OutputError, StoredDataError, UsageError, quoted
from kapre_cli.report import ExitCode, Report, Watch
from kapre_cli.settings import ExtractionSettings, LayerConfig, OutputSettings, Shard
from kapre_cli.sharding import take
from kapre_cli.sources import Source, discover
from kapre_cli.version import PROGRAM


def extraction(config: type[LayerConfig], options: Mapping[str, Any]) -> int:
    """Run one extraction and return the exit code."""
    _refuse_streams(options)
    if options["quiet"] and options["verbose"]:
        raise click.UsageError("--quiet and --verbose ask for opposites; give one of them.")
    output = output_settings(options)
    guard: Callable[[Workload], int] = click.get_current_context().obj

    def work(watch: Watch) -> int:
        try:
            return _extraction(config, options, output, watch)
        except BrokenPipeError:  # whoever read the messages has left
            return ExitCode.PIPE_CLOSED

    return guard(work)


def _extraction(
    config: type[LayerConfig], options: Mapping[str, Any], output: OutputSettings, watch: Watch
) -> int:
    inputs = discover(options["inputs"], options["root"])
    sources, shard = _taken(inputs.sources, options["shard"], output)

    from kapre_cli.cli.terminal import Terminal
    from kapre_cli.storage.admission import check_output

    # All shards must fit into one output. A single array is never one of several.
    check_output(output, sources if output.format == "npy" else inputs.sources)
    with Terminal(sources, quiet=options["quiet"]) as terminal:
        report = Report(say=terminal.say, verbose=options["verbose"])
        if not watch.again:
            for note in inputs.notes:
                terminal.say(f"note: {note}")
            if inputs.sources and not sources:
                terminal.say(f"note: shard {shard} has no inputs: its output has no arrays")
        for refusal in inputs.refusals:
            report.failed(refusal.path, refusal.reason)
        sr = options["sr"] or _first_sample_rate(inputs.sources, sources, report)
        if sr is not None and inputs.sources:
            settings = ExtractionSettings(
                layer=layer_config(config, options, sr),
                audio=audio_settings(options, sr),
                output=output,
                batch_size=options["batch_size"],
                jobs=options["jobs"],
                engine=options["engine"],
                shard=shard,
            )
            from kapre_cli.pipeline.extract import extract

            try:
                extract(sources, settings, report, terminal, watch)
            except (OutputError, StoredDataError) as error:
                terminal.say(f"{PROGRAM}: Error: {error}")
                report.broken = True
                if not report.is_there:
                    report.unwritten(len(sources) + len(inputs.refusals))
            except Stopped:
                if not report.is_there:
                    raise  # else the output is in its place: there was nothing left to stop
            finally:
                if report.kept:
                    with suppress(OSError):  # the terminal may be gone
                        terminal.say(report.kept)
    end = f" -> {quoted(output.path)}" if report.is_there else "; no output is written or changed"
    if not options["quiet"]:
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


def _taken(
    sources: Sequence[Source], shard: Shard | None, output: OutputSettings
) -> tuple[Sequence[Source], Shard | None]:
    """Return the inputs that this run takes, and the shard of all inputs that they are."""
    if shard is None:
        return sources, None
    taken, shard = take(sources, shard)
    if sources and not taken and output.format == "npy":
        raise UsageError(
            f"shard {shard} has no inputs, and {quoted(output.path)} would be one array; "
            "name a .h5 file or a folder, or take fewer shards"
        )
    return taken, shard


def _first_sample_rate(
    sources: Sequence[Source], taken: Sequence[Source], report: Report
) -> int | None:
    """Return the rate of the first of all inputs whose header states one.

    All shards must have one rate. If no header states one, the inputs taken are reported.
    """
    from kapre_cli.audio import promise

    failures = []
    for source in sources:
        try:
            return promise(source.path).sr
        except AudioReadError as error:
            failures.append((source, error))
    mine = set(taken)
    for source, reason in failures:
        if source in mine:
            report.failed(source.path, reason)
    if sources and not taken:
        report.say(f"{PROGRAM}: Error: no input of any shard states a rate; name it with --sr")
        report.broken = True
    return None
