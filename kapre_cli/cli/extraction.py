"""What both extracting commands do: options to settings, settings to the library."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import click

from kapre_cli.cli.from_options import audio_settings, layer_config, output_settings
from kapre_cli.cli.guard import Workload
from kapre_cli.cli.incoming import Incoming
from kapre_cli.cli.signals import Stopped
from kapre_cli.errors import AudioReadError, OutputError, StoredDataError, UsageError, quoted
from kapre_cli.report import ExitCode, Report, Watch
from kapre_cli.settings import ExtractionSettings, LayerConfig, OutputSettings, RawFormat, Shard
from kapre_cli.sharding import take
from kapre_cli.sources import Arriving, Source, discover
from kapre_cli.version import PROGRAM


def extraction(config: type[LayerConfig], options: Mapping[str, Any]) -> int:
    """Run one extraction and return the exit code."""
    _refuse_streams(options)
    if options["quiet"] and options["verbose"]:
        raise click.UsageError("--quiet and --verbose ask for opposites; give one of them.")
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
    every = inputs.sources  # of all shards
    taken, shard = _taken(every, options["shard"], output)
    inputs = replace(inputs, sources=tuple(taken))

    from kapre_cli.cli.terminal import Terminal
    from kapre_cli.storage.admission import check_output

    # All shards must fit into one output. A single array is never one of several.
    check_output(output, taken if output.format == "npy" else every)
    if not watch.again:  # else it has been received
        incoming.receive()
    with Terminal(() if incoming.arrives else taken, quiet=options["quiet"]) as terminal:
        report = Report(say=terminal.say, verbose=options["verbose"])
        sources = incoming.sources(inputs, report)
        if not watch.again:
            for note in inputs.notes:
                terminal.say(f"note: {note}")
            if every and not taken:
                terminal.say(f"note: shard {shard} has no inputs: its output has no arrays")
        for refusal in inputs.refusals:
            report.failed(refusal.path, refusal.reason)
        sr = options["sr"] or _first_sample_rate(
            sources if incoming.arrives else every, taken, options["raw_format"], report
        )
        if sr is not None and (every or incoming.arrives):
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
                    come = sources if isinstance(sources, Arriving) else inputs
                    report.unwritten(come.n_inputs)
            except Stopped:
                if not report.is_there:
                    raise  # else the output is in its place: there was nothing left to stop
            finally:
                if report.kept:
                    with suppress(OSError):  # the terminal may be gone
                        terminal.say(report.kept)
            if isinstance(sources, Arriving):
                for note in sources.notes():
                    terminal.say(f"note: {note}")
    end = f" -> {quoted(output.path)}" if report.is_there else "; no output is written or changed"
    if not options["quiet"]:
        click.echo(report.summary() + end, err=True)
    return report.exit_code


def _refuse_streams(options: Mapping[str, Any]) -> None:
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
    sources: Sequence[Source] | Arriving,
    taken: Sequence[Source],
    raw_format: RawFormat | None,
    report: Report,
) -> int | None:
    """Return the rate of the first of all inputs whose header states one.

    All shards must have one rate. If no header states one, the inputs taken are reported; those
    that arrive all are.
    """
    if raw_format is not None:
        return raw_format.sr
    from kapre_cli.audio import promise

    failures, tried = [], list[Source]()
    for source in sources:
        tried.append(source)
        try:
            sr = promise(source.file, is_stream=source.is_stream).sr
        except AudioReadError as error:
            failures.append((source, error))
        else:
            if isinstance(sources, Arriving):
                sources.put_back(tried)
            return sr
    mine = set(tried if isinstance(sources, Arriving) else taken)
    for source, reason in failures:
        if source in mine:
            report.failed(source.path, reason)
    if tried and not mine:
        report.say(f"{PROGRAM}: Error: no input of any shard states a rate; name it with --sr")
        report.broken = True
    return None
