"""What both extracting commands do: options to settings, settings to the library."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from kapre_cli.cli.from_options import audio_settings, layer_config, output_settings
from kapre_cli.cli.recording import recorded
from kapre_cli.cli.signals import Stopped
from kapre_cli.cli.standard_output import StandardOutput, require_reader, while_read
from kapre_cli.errors import (
    AudioReadError,
    OutputError,
    StoredDataError,
    TooManyFailuresError,
    UsageError,
    quoted,
)
from kapre_cli.outcomes import Known
from kapre_cli.report import UNWATCHED, ExitCode, Report, Watch, counted
from kapre_cli.settings import (
    STANDARD_OUTPUT,
    ExtractionSettings,
    LayerConfig,
    OutputSettings,
    Shard,
)
from kapre_cli.sharding import take
from kapre_cli.sources import Inputs, Source, discover
from kapre_cli.version import PROGRAM

if TYPE_CHECKING:
    from kapre_cli.cli.terminal import Terminal


def extraction(config: type[LayerConfig], options: Mapping[str, Any]) -> int:
    """Run one extraction and return the exit code."""
    _refuse_streams(options)
    if options["dry_run"] and options["report"] is not None:
        raise click.UsageError("A dry run (--dry-run) has nothing to report (--report).")
    if options["quiet"] and options["verbose"]:
        raise click.UsageError("--quiet and --verbose ask for opposites; give one of them.")
    output = output_settings(options)
    guard: Callable[..., int] = click.get_current_context().obj

    run = _dry_run if options["dry_run"] else _run

    def work(watch: Watch) -> int:
        try:
            return run(config, options, output, watch)
        except BrokenPipeError:  # whoever read the arrays or the messages has left
            return ExitCode.PIPE_CLOSED

    if options["dry_run"]:
        return guard(work, "nothing was done")
    if output.is_stream:
        return guard(work, "what has gone out is not the whole", streams=True)
    return guard(work)


def _run(
    config: type[LayerConfig], options: Mapping[str, Any], output: OutputSettings, watch: Watch
) -> int:
    inputs = discover(options["inputs"], options["root"])
    sources, shard = _taken(inputs.sources, options["shard"], output)

    from kapre_cli.cli.terminal import Terminal
    from kapre_cli.storage.admission import check_report

    if output.is_stream:
        require_reader()
    _check_output(output, inputs, sources)
    if options["report"] is not None:
        check_report(options["report"], output, inputs.sources)
    with Terminal(sources, quiet=options["quiet"]) as terminal:
        report = Report(
            say=terminal.say,
            max_failures=options["max_failures"],
            n_expected=len(sources) + len(inputs.refusals),
            verbose=options["verbose"],
        )
        with recorded(report, options["report"], again=watch.again):
            _tell(inputs, report, watch)
            if inputs.sources and not sources and not watch.again:
                report.say(f"note: shard {shard} has no inputs: its output has no arrays")
            sr = options["sr"] or _first_sample_rate(inputs.sources, sources, report)
            if sr is not None and inputs.sources:
                settings = _settings(config, options, output, sr, shard)
                run = _stream if output.is_stream else _extract
                run(sources, settings, report, terminal, watch)
    if not options["quiet"]:
        click.echo(f"{report.summary()}{_end(report, output)}", err=True)
    return report.exit_code


def _dry_run(
    config: type[LayerConfig], options: Mapping[str, Any], output: OutputSettings, watch: Watch
) -> int:
    """Say what a run would do, and return the exit code that it would have."""
    inputs = discover(options["inputs"], options["root"])
    sources, shard = _taken(inputs.sources, options["shard"], output)

    from kapre_cli.cli.dry_run import foretell

    _check_output(output, inputs, sources)
    lines: list[str] = []  # should the process come down, nothing has been said
    report = Report(say=lines.append)
    _tell(inputs, report, UNWATCHED)
    sr = options["sr"] or _first_sample_rate(inputs.sources, sources, report)
    if sr is not None and inputs.sources:
        settings = _settings(config, options, output, sr, shard)
        foretell(sources, settings, report, watch)
    place = "standard output" if output.is_stream else quoted(output.path)
    lines.append(
        f"{counted(report.n_inputs, 'input')}: {report.n_written:,} to be written, "
        f"{report.n_failed:,} would fail -> {place}; nothing was done"
    )
    click.echo("\n".join(lines))
    return report.exit_code


def _check_output(output: OutputSettings, inputs: Inputs, taken: Sequence[Source]) -> None:
    """Refuse an output that cannot be had.

    All shards must fit into one output. A single array is never one of several.
    """
    if output.is_stream:
        return
    from kapre_cli.storage.admission import check_output

    check_output(output, taken if output.format == "npy" else inputs.sources)


def _settings(
    config: type[LayerConfig],
    options: Mapping[str, Any],
    output: OutputSettings,
    sr: int,
    shard: Shard | None,
) -> ExtractionSettings:
    return ExtractionSettings(
        layer=layer_config(config, options, sr),
        audio=audio_settings(options, sr),
        output=output,
        batch_size=options["batch_size"],
        jobs=options["jobs"],
        engine=options["engine"],
        shard=shard,
    )


def _tell(inputs: Inputs, report: Report, watch: Watch) -> None:
    """Say what was found beside the inputs, unless the process that came down has said it."""
    for note in () if watch.again else inputs.notes:
        report.say(f"note: {note}")
    for refusal in inputs.refusals:
        if watch.again:
            report.failed_before(refusal.path)
        else:
            report.failed(refusal.path, refusal.reason)


def _extract(
    sources: Sequence[Source],
    settings: ExtractionSettings,
    report: Report,
    terminal: "Terminal",
    watch: Watch,
) -> None:
    """Extract into files; what stops that without ending the process is told here."""
    from kapre_cli.pipeline.extract import extract

    try:
        extract(sources, settings, report, terminal, watch)
    except (OutputError, StoredDataError, TooManyFailuresError) as error:
        terminal.say(f"{PROGRAM}: Error: {error}")
    except Stopped:
        if not report.is_there:
            raise  # else the output is in its place: there was nothing left to stop
    finally:
        if report.kept:
            with suppress(OSError):  # the terminal may be gone
                terminal.say(report.kept)


def _stream(
    sources: Sequence[Source],
    settings: ExtractionSettings,
    report: Report,
    terminal: "Terminal",
    watch: Watch,
) -> None:
    """Extract to standard output; what stops that without ending the process is told here."""
    from kapre_cli.pipeline.streaming import stream

    try:
        with StandardOutput() as output, while_read(output.descriptor):
            stream(sources, settings, report, output.descriptor, terminal, watch)
    except (OutputError, StoredDataError, TooManyFailuresError) as error:
        terminal.say(f"{PROGRAM}: Error: {error}")
    except Stopped as stopped:
        stopped.left = f"{counted(report.n_written, 'array')} went out whole"
        raise


def _end(report: Report, output: OutputSettings) -> str:
    """Return the end of the closing line: where the features are."""
    if output.is_stream:
        return " -> standard output"
    if report.is_there:
        return f" -> {quoted(output.path)}"
    return "; no output is written or changed"


def _refuse_streams(options: Mapping[str, Any]) -> None:
    if "-" in options["inputs"]:
        raise click.UsageError(
            "Standard input (-) cannot be read by this version; name a file. A file called - is ./-"
        )
    if STANDARD_OUTPUT == options["output"] == options["report"]:
        raise click.UsageError(
            "Standard output (-) cannot take the features and the report; name a file for one."
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
            report.failed(source.path, reason, Known(source.key))
    if sources and not taken:
        report.say(f"{PROGRAM}: Error: no input of any shard states a rate; name it with --sr")
        report.broken = True
    return None
