"""Run an extracting command: from options to settings to the library; dry runs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kapre_cli.api.extraction import Extraction, of_shard
from kapre_cli.cli.config import config_file
from kapre_cli.cli.inputs import StdinInputs
from kapre_cli.cli.options import error_text
from kapre_cli.cli.run_options import (
    audio_settings,
    clip_settings,
    layer_config,
    output_settings,
    requested_rate,
)
from kapre_cli.cli.signals import RESUME, executor, ignore_signals, interruptible_waits
from kapre_cli.cli.streams import check_stdout_is_open, echo, n_lost_messages, stdout_for_arrays
from kapre_cli.cli.trained import FixedLayer, fixed_layer
from kapre_cli.errors import (
    AudioReadError,
    OutputError,
    StoredDataError,
    TooManyFailuresError,
    UsageError,
)
from kapre_cli.events import InputResult, Note
from kapre_cli.exit_codes import Stopped
from kapre_cli.inputs import InputStream
from kapre_cli.run_result import RunResult
from kapre_cli.settings import (
    STANDARD_OUTPUT,
    ExtractionSettings,
    LayerConfig,
    OutputSettings,
    Shard,
)
from kapre_cli.text import counted, duration, in_bytes, quoted
from kapre_cli.version import PROGRAM

if TYPE_CHECKING:
    from kapre_cli.cli.report_file import ReportFile
    from kapre_cli.cli.terminal import Terminal
    from kapre_cli.extraction.executor import Executor

Shape = tuple[int, int, int]

_FEW_ARRAYS = 20  # that a dry run lists one by one


def extraction(config: type[LayerConfig], options: Mapping[str, Any]) -> int:
    """Run one extraction and return the exit code."""
    _check_options(options)
    fixed = fixed_layer(config, options)
    output = output_settings(options)
    with StdinInputs(options, output) as incoming:
        with interruptible_waits(), stdout_for_arrays(output):
            everything = incoming.known()
            clips = clip_settings(options)
            inputs, shard = of_shard(everything, options["shard"], output, clips)
        remedy = RESUME
        if output.is_stream:
            remedy = "the arrays sent so far are not all"
        elif options["dry_run"]:
            remedy = "nothing was done"
        with executor(options["jobs"], remedy, incoming.descriptors) as computing:
            sr = requested_rate(options, None if fixed is None else fixed.config)
            settings_at = partial(_settings, config, fixed, options, output, shard)
            plan = Extraction(settings_at, inputs, everything.sources, sr, shard, clips)
            run = _Run(options, output, incoming, plan, computing)
            return run.preview() if options["dry_run"] else run.extract()


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
    if options["overlap"] is not None and options["clip"] is None:
        raise click.UsageError("--overlap is about the clips of --clip: add --clip SECONDS.")
    if options["segments"] and options["clip"] is not None:
        raise click.UsageError("--segments and --clip both cut recordings; give one of them.")
    source = click.get_current_context().get_parameter_source("reference")
    if source is ParameterSource.COMMANDLINE and not _is_cut(options):
        raise click.UsageError(
            "--reference is about segments of recordings: add --segments TABLE or --clip SECONDS."
        )


def _is_cut(options: Mapping[str, Any]) -> bool:
    """Whether the inputs are segments of recordings."""
    return bool(options["segments"]) or options["clip"] is not None


def _settings(
    config: type[LayerConfig],
    fixed: FixedLayer | None,
    options: Mapping[str, Any],
    output: OutputSettings,
    shard: Shard | None,
    sr: int,
) -> ExtractionSettings:
    return ExtractionSettings(
        layer=layer_config(config, options, sr) if fixed is None else fixed.config,
        weights=None if fixed is None else fixed.weights,
        audio=audio_settings(options, sr),
        output=output,
        batch_size=options["batch_size"],
        jobs=options["jobs"],
        engine=options["engine"],
        shard=shard,
        reference=options["reference"] if _is_cut(options) else ExtractionSettings.reference,
    )


@dataclass(frozen=True)
class _Run:
    """The requested run, and its inputs as far as known before any work is done."""

    options: Mapping[str, Any]
    output: OutputSettings
    incoming: StdinInputs
    plan: Extraction
    executor: "Executor"

    def extract(self) -> int:
        """Extract features and return the exit code."""
        options, incoming = self.options, self.incoming
        with stdout_for_arrays(self.output) as descriptor:
            report = self._check_paths()
            if descriptor is not None or options["report"] == STANDARD_OUTPUT:
                stdout = 1 if descriptor is None else descriptor
                incoming.check_stdout_is_no_input(self.plan.inputs, stdout)

            from kapre_cli.cli.report_file import reported
            from kapre_cli.cli.terminal import Terminal

            with Terminal(
                () if incoming.arrives or self.plan.clips else self.plan.inputs.sources,
                grows=incoming.arrives,
                quiet=options["quiet"],
                verbose=options["verbose"],
            ) as terminal:
                result = RunResult(
                    terminal,
                    max_failures=options["max_failures"],
                    is_detailed=options["verbose"],
                    n_expected=None if incoming.arrives else self.plan.inputs.n_inputs,
                )
                with reported(result, terminal, report):
                    self._work(result, terminal, descriptor)
                    if not options["quiet"]:
                        for line in terminal.failures.lines():
                            terminal.print_line(line)
                        end = "; no output is written or changed"
                        if self.output.is_stream or result.output:
                            end = f" -> {self._target}"
                        terminal.print_line(f"{result.summary()}{end}")
                    result.is_broken |= n_lost_messages() > 0
        return result.exit_code

    def preview(self) -> int:
        """Print what a run would do, and return the exit code that it would have."""
        self._check_paths()
        self.incoming.receive()

        from kapre_cli.cli.event_lines import EventLines

        lines: list[str] = []
        printed = EventLines(lines.append, verbose=self.options["verbose"])
        result = RunResult(printed, is_detailed=self.options["verbose"])
        self.plan.report_inputs(result)
        try:
            settings = self._settings(result)
        except AudioReadError as error:
            lines.append(f"{PROGRAM}: Error: {error_text(error)}")
            result.is_broken = True
            settings = None
        if settings is not None:
            # A list: while it is made, events are appended to the lines.
            plan = self.plan.cut(settings, result, self.executor)
            lines += [*_preview_lines(plan, settings, result, self.executor)]
        lines += printed.failures.lines()
        lines.append(
            f"{counted(result.n_inputs, 'input')}: {result.n_written:,} to be written, "
            f"{result.n_failed:,} would fail -> {self._target}; nothing was done"
        )
        echo("\n".join(lines))
        return result.exit_code

    @property
    def _target(self) -> str:
        return "standard output" if self.output.is_stream else quoted(self.output.path)

    def _check_paths(self) -> "ReportFile | None":
        """Validate output and report; return the report's file, if there is one."""
        from kapre_cli.cli.report_file import check_report
        from kapre_cli.outputs.validation import validate_output

        output = self.output
        if not output.is_stream:
            self.incoming.check_not_read("output", output.path)
            # All shards must fit into one output. A single array is never one of several.
            holds_all = output.file_format.holds_many
            plan = self.plan
            validate_output(output, plan.all_sources if holds_all else plan.inputs.sources)
        path = self.options["report"]
        if path is None:
            return None
        self.incoming.check_not_read("report", path)
        return check_report(path, output, self.plan.all_sources, config_file())

    def _work(self, result: RunResult, terminal: "Terminal", descriptor: int | None) -> None:
        """Do the work of a run; print errors that do not end the process."""
        try:
            self.plan.report_inputs(result)
            if self._receive(result, terminal):
                self._compute(result, descriptor)
            ignore_signals()  # the rest is quick
        except (AudioReadError, OutputError, StoredDataError, TooManyFailuresError) as error:
            result.is_broken = True
            terminal.print_error(error)
        except Stopped as stopped:
            if self.output.is_stream:
                stopped.outcome = f"{counted(result.n_written, 'array')} sent"
            elif result.output:
                return  # the output is complete: nothing was left to stop
            raise
        finally:
            if result.kept is not None:
                terminal(result.kept)

    def _receive(self, result: RunResult, terminal: "Terminal") -> bool:
        """Read standard input, if it is an input; if that fails, all inputs do."""
        try:
            self.incoming.receive()
        except (AudioReadError, OutputError) as error:
            result.is_broken = True
            terminal.print_error(error)
            for source in self.plan.inputs.sources:
                none = InputResult(source.key)
                result.stopped(source.path, error, none, is_tried=source.is_stream)
            return False
        return True

    def _compute(self, result: RunResult, descriptor: int | None) -> None:
        def rejected(path: str, error: UsageError) -> None:
            result.failed(path, error)
            result.check_failures()

        arriving = self.incoming.arriving(self.plan.inputs, rejected)
        settings = self._settings(result, arriving)
        if settings is not None:
            plan = self.plan.cut(settings, result, self.executor)
            plan.run(settings, result, self.executor, arriving, descriptor)
        if arriving is not None:
            for note in arriving.notes():
                result.emit(Note(note))

    def _settings(
        self, result: RunResult, arriving: InputStream | None = None
    ) -> ExtractionSettings | None:
        """Return the settings, ``None`` without sample rate or inputs; note unusual ones."""
        options = self.options
        settings = self.plan.settings(result, arriving)
        source = click.get_current_context().get_parameter_source("power")
        is_default = source is ParameterSource.DEFAULT
        if settings is None:
            return None
        if options.get("decibel") and options.get("power") == 1.0 and is_default:
            result.emit(
                Note(
                    "--decibel with the default --power 1 gives half of the usual decibels "
                    "(10*log10 of amplitude); use --power 2 for decibels of power"
                )
            )
        return settings


# Dry run


def _preview_lines(
    plan: Extraction, settings: ExtractionSettings, result: RunResult, executor: "Executor"
) -> Iterator[str]:
    """Yield what a run would do; ``result`` counts the inputs that would fail."""
    from kapre_cli.extraction.disk_usage import value_bytes
    from kapre_cli.extraction.executor import previews
    from kapre_cli.extraction.tasks import TaskSettings
    from kapre_cli.formats.metadata import OutputMetadata
    from kapre_cli.settings import resolved_layer

    settings = replace(settings, layer=resolved_layer(settings.layer))
    common = TaskSettings(settings, OutputMetadata.of(settings))
    layer, output = settings.layer, settings.output
    arrays: dict[str, Shape] = {}
    seconds, n_unknown = 0.0, 0
    sources, counts = plan.inputs.sources, plan.clips is not None
    found = previews(sources, common, executor, counts_samples=counts)
    for source, preview in zip(sources, found, strict=True):
        shape = preview.shape(layer)
        if preview.failure is not None:
            none = InputResult(source.key)
            result.failed(source.path, preview.failure, none, preview.n_alike)
        elif shape is None or preview.seconds is None:
            n_unknown += 1
            result.emit(
                Note(
                    f"{quoted(source.path)}: the header does not state a length; the sums leave "
                    "it out"
                )
            )
        else:
            arrays[source.key] = shape
            seconds += preview.seconds
    if len(arrays) > _FEW_ARRAYS:
        yield from _lines_by_channels(arrays.values(), layer.axes.index("channel"))
    else:
        yield from (f"{quoted(key)}: {_shape_text(shape)}" for key, shape in arrays.items())
    total = sum(map(prod, arrays.values())) * value_bytes(settings)
    size = in_bytes(total) if total < 1000 else f"{in_bytes(total)} ({total:,} bytes)"
    yield (
        f"axes {', '.join(layer.axes)}; {duration(seconds)} of audio at {settings.audio.sr:,} Hz; "
        f"{size} of {output.dtype}{'' if output.compression == 'none' else ' before compression'}"
    )
    result.n_written = len(arrays) + n_unknown


def _lines_by_channels(arrays: Iterable[Shape], channel_axis: int) -> Iterator[str]:
    """Yield a line for each number of channels: the number of arrays, their shapes."""
    groups: defaultdict[int, list[Shape]] = defaultdict(list)
    for shape in arrays:
        groups[shape[channel_axis]].append(shape)
    for n_channels, shapes in sorted(groups.items()):
        shortest, longest = min(shapes), max(shapes)  # they differ in time alone
        to = "" if shortest == longest else f" to {_shape_text(longest)}"
        of = f"{counted(len(shapes), 'array')} of {counted(n_channels, 'channel')}"
        yield f"{of}: {_shape_text(shortest)}{to}"


def _shape_text(shape: Shape) -> str:
    return " x ".join(f"{size:,}" for size in shape)
