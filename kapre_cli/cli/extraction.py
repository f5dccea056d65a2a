"""The extracting commands: options to settings, settings to the library."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kapre_cli.cli.config import config_file
from kapre_cli.cli.error_text import error_text
from kapre_cli.cli.executors import RESUME, executor
from kapre_cli.cli.inputs import StdinInputs, sample_rate
from kapre_cli.cli.layer_options import layer_config, warn_of_layer
from kapre_cli.cli.run_options import audio_settings, output_settings
from kapre_cli.cli.signals import ignore_signals, interruptible_waits
from kapre_cli.cli.streams import (
    check_stdout_is_open,
    echo,
    n_lost_messages,
    stdout_for_arrays,
)
from kapre_cli.errors import (
    AudioReadError,
    OutputError,
    StoredDataError,
    TooManyFailuresError,
    UsageError,
)
from kapre_cli.events import Event, InputArrived, InputResult, Note, Observer
from kapre_cli.exit_codes import ExitCode, Stopped, exit_code_of
from kapre_cli.inputs import Inputs, InputStream, Source
from kapre_cli.inputs.shards import take
from kapre_cli.osutil import is_at
from kapre_cli.result_log import ResultLog
from kapre_cli.run_result import RunResult
from kapre_cli.settings import (
    STANDARD_OUTPUT,
    ExtractionSettings,
    LayerConfig,
    OutputSettings,
    Shard,
)
from kapre_cli.text import counted, quoted
from kapre_cli.version import PROGRAM

if TYPE_CHECKING:
    from kapre_cli.cli.report_file import ReportPlace
    from kapre_cli.cli.terminal import Terminal
    from kapre_cli.extract.executor import Executor


@dataclass(frozen=True)
class _Run:
    """The requested run, and its inputs as far as known before any work is done.

    Attributes:
        all_sources: The inputs of all shards.
        shard: The shard that this run computes, if it is one.
    """

    config: type[LayerConfig]
    options: Mapping[str, Any]
    output: OutputSettings
    incoming: StdinInputs
    inputs: Inputs
    all_sources: Sequence[Source]
    shard: Shard | None


def extraction(config: type[LayerConfig], options: Mapping[str, Any]) -> int:
    """Run one extraction and return the exit code."""
    _check_options(options)
    output = output_settings(options)
    with StdinInputs(options, output) as incoming:
        with interruptible_waits(), stdout_for_arrays(output):
            known = incoming.known()
            taken, shard = _shard_inputs(known.sources, options["shard"], output)
        inputs = replace(known, sources=tuple(taken))
        run = _Run(config, options, output, incoming, inputs, known.sources, shard)
        remedy = RESUME
        if output.is_stream:
            remedy = "the arrays sent so far are not all"
        elif options["dry_run"]:
            remedy = "nothing was done"
        with executor(options["jobs"], remedy, incoming.descriptors) as computing:
            return _dry_run(run, computing) if options["dry_run"] else _run(run, computing)


def _check_options(options: Mapping[str, Any]) -> None:
    if options["output"] == "-" and options["report"] == STANDARD_OUTPUT:
        raise click.UsageError(
            "Standard output (-) cannot take the features and the report; name a file for one."
        )
    if options["dry_run"] and options["report"] is not None:
        raise click.UsageError("A dry run (--dry-run) has nothing to report (--report).")
    if options["report"] == STANDARD_OUTPUT:
        check_stdout_is_open("the report", "a file for it")
    if options["quiet"] and options["verbose"]:
        raise click.UsageError("--quiet and --verbose ask for opposites; give one of them.")


def _run(run: _Run, computing: "Executor") -> int:
    options, incoming = run.options, run.incoming
    with stdout_for_arrays(run.output) as descriptor:
        place = _check_paths(run)
        if descriptor is not None or options["report"] == STANDARD_OUTPUT:
            incoming.check_stdout_is_no_input(run.inputs, 1 if descriptor is None else descriptor)

        from kapre_cli.cli.event_lines import summary
        from kapre_cli.cli.terminal import Terminal

        known = () if incoming.arrives else run.inputs.sources
        with Terminal(
            known,
            grows=incoming.arrives,
            quiet=options["quiet"],
            verbose=options["verbose"],
        ) as terminal:
            result = RunResult(
                terminal,
                max_failures=options["max_failures"],
                is_detailed=options["verbose"],
                n_expected=None if incoming.arrives else run.inputs.n_inputs,
            )
            with _reported(result, terminal, place):
                _work(run, result, terminal, computing, descriptor)
                if not options["quiet"]:
                    for line in terminal.failures_by_kind():
                        terminal.say(line)
                    end = "; no output is written or changed"
                    if run.output.is_stream or result.output:
                        end = f" -> {_place(run.output)}"
                    terminal.say(f"{summary(result)}{end}")
                result.is_broken |= n_lost_messages() > 0
    return result.exit_code


@contextmanager
def _reported(
    result: RunResult, terminal: "Terminal", place: "ReportPlace | None"
) -> Iterator[None]:
    """Write each result to the report, and the totals at the end, however that is reached.

    The file is opened when the run starts; a run that is rejected before leaves it unchanged. If
    it cannot be opened, OutputError is raised. If a line cannot be written, the report ends there.
    """
    if place is None:
        yield
        return
    from kapre_cli.cli.report_file import open_report

    path = place.path

    def end_report(error: OutputError) -> None:
        result.is_broken = True
        terminal.say(f"{PROGRAM}: Error: {error_text(error)}; it ends there, the run goes on")

    name = "standard output" if path == STANDARD_OUTPUT else path
    with ResultLog(partial(open_report, place), name, end_report, error_text) as result_log:
        result.emit = _both(terminal, result_log)
        try:
            yield
        except BaseException as error:
            if exit_code_of(error) is not ExitCode.USAGE:
                with suppress(OSError, UsageError):  # the error under way says enough
                    result_log.finish(result, exit_code_of(error))
            raise
        opened, target = result_log.descriptor, place.target
        is_in_place = opened is None or target is None or is_at(opened, target, follow_links=True)
        result.is_broken |= not is_in_place
        result_log.finish(result, result.exit_code)
        if not is_in_place:
            terminal.say(
                f"{PROGRAM}: Error: the report {quoted(path)} was moved, replaced or removed while "
                "the run was on: its lines are lost"
            )


def _both(first: Observer, second: Observer) -> Observer:
    def emit(event: Event) -> None:
        first(event)
        second(event)

    return emit


def _dry_run(run: _Run, computing: "Executor") -> int:
    """Print what a run would do, and return the exit code that it would have."""
    _check_paths(run)
    run.incoming.receive()

    from kapre_cli.cli.dry_run import print_preview
    from kapre_cli.cli.event_lines import EventLines

    lines: list[str] = []
    printed = EventLines(lines.append, verbose=run.options["verbose"])
    result = RunResult(printed, is_detailed=run.options["verbose"])
    _emit_rejected(run, result)
    settings = _settings(run, run.all_sources, result, lines.append)
    if settings is not None:
        print_preview(run.inputs.sources, settings, result, lines.append, computing)
    lines += printed.failures_by_kind()
    lines.append(
        f"{counted(result.n_inputs, 'input')}: {result.n_written:,} to be written, "
        f"{result.n_failed:,} would fail -> {_place(run.output)}; nothing was done"
    )
    echo("\n".join(lines))
    return result.exit_code


def _check_paths(run: _Run) -> "ReportPlace | None":
    """Validate output and report; return the report's place, if one was asked for."""
    from kapre_cli.cli.report_file import check_report
    from kapre_cli.outputs.validation import validate_output

    if not run.output.is_stream:
        run.incoming.check_not_read("output", run.output.path)
        # All shards must fit into one output. A single array is never one of several.
        validate_output(
            run.output,
            run.all_sources if run.output.file_format.holds_many else run.inputs.sources,
        )
    path = run.options["report"]
    if path is None:
        return None
    run.incoming.check_not_read("report", path)
    return check_report(path, run.output, run.all_sources, config_file())


def _shard_inputs(
    sources: Sequence[Source], shard: Shard | None, output: OutputSettings
) -> tuple[Sequence[Source], Shard | None]:
    """Return the inputs of this run, and its shard with the digest of all inputs."""
    if shard is None:
        return sources, None
    taken, shard = take(sources, shard)
    if sources and not taken and not output.file_format.holds_many:
        raise UsageError(
            f"shard {shard} has no inputs, and {quoted(output.path)} would be one array; "
            "name a .h5 file or a folder, or take fewer shards"
        )
    return taken, shard


def _work(
    run: _Run,
    result: RunResult,
    terminal: "Terminal",
    computing: "Executor",
    descriptor: int | None,
) -> None:
    """Do the work of a run; print errors that do not end the process."""
    try:
        _emit_rejected(run, result)
        if _receive(run, result, terminal):
            _extract(run, result, terminal, computing, descriptor)
        ignore_signals()  # the rest takes a moment
    except (OutputError, StoredDataError, TooManyFailuresError) as error:
        result.is_broken = True
        terminal.say(f"{PROGRAM}: Error: {error_text(error)}")
    except Stopped as stopped:
        if run.output.is_stream:
            stopped.outcome = f"{counted(result.n_written, 'array')} sent"
        elif result.output:
            return  # the output is in its place: there was nothing left to stop
        raise
    finally:
        if result.kept is not None:
            terminal(result.kept)


def _emit_rejected(run: _Run, result: RunResult) -> None:
    for note in run.inputs.notes:
        result.emit(Note(note))
    if run.all_sources and not run.inputs.sources:
        result.emit(Note(f"shard {run.shard} has no inputs: its output has no arrays"))
    for rejected in run.inputs.rejected_paths:
        result.failed(rejected.path, UsageError(rejected.reason))


def _receive(run: _Run, result: RunResult, terminal: "Terminal") -> bool:
    """Read standard input, if it is an input; if that fails, all inputs do."""
    try:
        run.incoming.receive()
    except (AudioReadError, OutputError) as error:
        result.is_broken = True
        terminal.say(f"{PROGRAM}: Error: {error_text(error)}")
        for source in run.inputs.sources:
            none = InputResult(source.key)
            result.stopped(source.path, error, none, is_tried=source.is_stream)
        return False
    return True


def _extract(
    run: _Run,
    result: RunResult,
    terminal: "Terminal",
    computing: "Executor",
    descriptor: int | None,
) -> None:
    def rejected(path: str, error: UsageError) -> None:
        result.failed(path, error)
        result.check_failures()

    sources = run.incoming.sources(run.inputs, rejected)
    for source in () if isinstance(sources, InputStream) else sources:
        if source.is_stream:  # received by now; the terminal knows the others
            terminal(InputArrived(source.key, source.size))
    all_sources = sources if isinstance(sources, InputStream) else run.all_sources
    settings = _settings(run, all_sources, result, terminal.say)
    if settings is not None:
        from kapre_cli.extract.run import extract, stream

        if descriptor is None:
            extract(sources, settings, result, computing, is_validated=True)
        else:
            stream(sources, settings, result, descriptor, computing)
    if isinstance(sources, InputStream):
        for note in sources.notes():
            result.emit(Note(note))


def _settings(
    run: _Run,
    all_sources: Sequence[Source] | InputStream,
    result: RunResult,
    say: Callable[[str], None],
) -> ExtractionSettings | None:
    """Return the settings, with notes on unusual ones; ``None`` without a sample rate or inputs."""
    options = run.options
    sr = sample_rate(options, all_sources, run.inputs.sources, result, say)
    if sr is None or not all_sources:
        return None
    layer = layer_config(run.config, options, sr)
    settings = ExtractionSettings(
        layer=layer,
        audio=audio_settings(options, sr),
        output=run.output,
        batch_size=options["batch_size"],
        jobs=options["jobs"],
        engine=options["engine"],
        shard=run.shard,
    )
    source = click.get_current_context().get_parameter_source("power")
    if options.get("decibel") and options["power"] == 1.0 and source is ParameterSource.DEFAULT:
        result.emit(
            Note(
                "--decibel with the default --power 1 gives half of the usual decibels "
                "(10*log10 of amplitude); use --power 2 for decibels of power"
            )
        )
    warn_of_layer(layer, result)
    return settings


def _place(output: OutputSettings) -> str:
    return "standard output" if output.is_stream else quoted(output.path)
