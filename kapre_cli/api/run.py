"""Extraction from Python: into an output, or array by array."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kapre_cli.api.arguments import Cut, PathLike, audio_arguments, given_or_of, named_error
from kapre_cli.api.extraction import Extraction, of_shard
from kapre_cli.api.layers import Layer, resolved
from kapre_cli.errors import KapreExtractError, TooManyFailuresError, UsageError
from kapre_cli.event_text import log
from kapre_cli.events import Event, InputFailed, Observer
from kapre_cli.extraction.executor import Executor
from kapre_cli.extraction.local_workers import LocalWorkers
from kapre_cli.extraction.run import arrays
from kapre_cli.formats.arrays import FeatureArray
from kapre_cli.formats.metadata import OutputMetadata
from kapre_cli.inputs import Inputs
from kapre_cli.inputs.segments import Tables
from kapre_cli.osutil import n_processors
from kapre_cli.outputs.validation import validate_output
from kapre_cli.run_result import MaxFailures, RunResult
from kapre_cli.settings import (
    STANDARD_OUTPUT,
    AudioSettings,
    ExtractionSettings,
    LayerConfig,
    OutputSettings,
    Shard,
    checks,
    resolved_layer,
)
from kapre_cli.settings.formats import format_of, output_path

_COLLECT, _SKIP, _RAISE = "collect", "skip", "raise"


class Failure(NamedTuple):
    """An input that failed.

    Attributes:
        path: Its path.
        key: Its key in the output; ``None`` if it is no input, such as an unreadable folder.
        error: The reason.
    """

    path: str
    key: str | None
    error: KapreExtractError


@dataclass(frozen=True)
class Result:
    """The result of an extraction.

    Attributes:
        output: The output in its place; ``None`` if nothing was written.
        n_written: Inputs whose features were computed and written.
        n_skipped: Inputs whose features an earlier run has computed.
        n_failed: Inputs without features.
        seconds: Seconds of audio of the written inputs.
        failures: The failed inputs, in the order of failing.
        summary: The counts in words.
    """

    output: Path | None
    n_written: int
    n_skipped: int
    n_failed: int
    seconds: float
    failures: tuple[Failure, ...]
    summary: str

    @property
    def n_inputs(self) -> int:
        """Number of inputs: written, skipped and failed ones."""
        return self.n_written + self.n_skipped + self.n_failed

    @classmethod
    def of(cls, result: RunResult) -> "Result":
        """Return the result of a run that has ended."""
        return cls(
            output=result.output,
            n_written=result.n_written,
            n_skipped=result.n_skipped,
            n_failed=result.n_failed,
            seconds=result.seconds,
            failures=_failures(result),
            summary=result.summary(),
        )

    def __str__(self) -> str:
        return self.summary


def _failures(result: RunResult) -> tuple[Failure, ...]:
    return tuple(Failure(one.path, one.result.key, one.error) for one in result.failures or ())


def extract(
    inputs: PathLike | Iterable[PathLike] | None,
    output: PathLike,
    layer: Layer,
    *,
    sr: int | None = None,
    resample: bool | None = None,
    channels: int | Sequence[int] | None = None,
    mono: bool | None = None,
    raw_format: str | None = None,
    allow_truncated: bool | None = None,
    non_finite: str | None = None,
    verify_audio: bool | None = None,
    max_samples: int | None = None,
    root: PathLike | None = None,
    hidden: bool = False,
    segments: Tables | None = None,
    clip: float | None = None,
    overlap: float | None = None,
    reference: str | None = None,
    shard: str | None = None,
    format: str | None = None,  # noqa: A002 - the name of the option
    dtype: str | None = None,
    compression: str | None = None,
    dimension_scales: bool | None = None,
    overwrite: bool = False,
    resume: bool | str = False,
    engine: str | None = None,
    jobs: int | None = None,
    batch_size: int | None = None,
    max_failures: int | str | None = None,
    progress: bool | None = None,
    on_event: Observer | None = None,
    on_error: str = _COLLECT,
) -> Result:
    """Extract the features of recordings into one output, as the command line does.

    Worker processes decode and compute. They descend from a new process, so that the function works
    in threads, in notebooks and beside TensorFlow; signals, environment, warnings and the working
    directory of this process stay as they are. The output appears complete, or not at all.

    Args:
        inputs: WAV and FLAC files, and folders, which are searched. ``None``: the recordings that
            ``segments`` name.
        output: ``*.h5``, ``*.hdf5``, ``*.npy`` (of one input), or a folder of ``.npy`` files: a
            name without a suffix, or with a ``/`` at its end.
        layer: A :class:`~kapre_cli.Spectrogram` or :class:`~kapre_cli.Melspectrogram`; its
            configuration, which needs no Keras; the path of an output, whose layer and settings are
            used; or that of a ``.keras`` model with one such layer, or ``"MODEL.keras:NAME"``. The
            weights of a layer that is built, or saved, are used and stored.
        sr: Sample rate of the run in Hz. ``None``: that of the layer, or else of the first input.
        resample: Convert inputs of other rates. ``None``, here and below: the setting of the output
            that ``layer`` names, or else the default of the command, ``False``.
        channels: Channels to use, from 0, in this order. By default all.
        mono: Average the channels into one.
        raw_format: Format of inputs without a header, such as ``"s16le,44100,2"``.
        allow_truncated: Accept files with fewer or more samples than their headers state.
        non_finite: ``"fail"``, ``"zero"`` or ``"keep"``, for NaN and infinite samples.
        verify_audio: Compare FLAC samples with their MD5. By default ``True``.
        max_samples: Reject files of more samples in each channel.
        root: Folder that keys are relative to.
        hidden: Include hidden files and folders.
        segments: Segments of the recordings, which are the inputs then: the path of an annotation
            table or of a folder of tables, several paths, or rows ``(path, start, end[, label[,
            channel]])`` with times in seconds.
        clip: Cut every recording into clips of so many seconds, which are the inputs then.
        overlap: Seconds that successive clips have in common. By default 0.
        reference: The value at 0 dB of a segment or clip in decibels: ``"segment"`` (default), its
            own largest value, or ``"recording"``, that of its recording.
        shard: ``"I/N"``: process part I of N parts of the inputs.
        format: Name of the output format. ``None``: by the suffix.
        dtype: ``"float32"`` (default), ``"float16"`` or ``"float64"``.
        compression: ``"none"`` (default), ``"gzip"`` or ``"lzf"``, in HDF5.
        dimension_scales: Give HDF5 output dimension scales.
        overwrite: Replace an existing output, once the new one is complete.
        resume: Keep arrays of inputs that are unchanged: ``True`` compares path, size and
            modification time, ``"content"`` the bytes.
        engine: ``"auto"`` (default), ``"numpy"`` or ``"keras"``.
        jobs: Number of worker processes; ``None``: one for each processor.
        batch_size: Frames that are computed at once; ``None``: chosen by the layer.
        max_failures: Stop when more inputs have failed: a number, or a share such as ``"5%"``.
        progress: Whether a bar is shown. ``None``: in a notebook and on a terminal.
        on_event: Called with each event of :mod:`kapre_cli.events`, in this thread. ``None``:
            failures, warnings and notes are logged by the logger ``kapre_cli``.
        on_error: ``"collect"``: the result has the inputs that failed, and the others are written.
            ``"raise"``: the first failure stops the run and is raised; finished work is kept for
            ``resume``.

    Returns:
        Counts, failures, and the path of the output.

    Raises:
        SettingsError: If an argument is invalid; a ``ValueError`` too.
        UsageError: If the inputs or the output are rejected before any work; a ``ValueError`` too.
        OutputError: If the output cannot be written; an earlier one is unchanged then.
        TooManyFailuresError: If more inputs fail than ``max_failures``.
        AudioReadError: With ``on_error="raise"``, or another error of an input.

    >>> import kapre_cli, tempfile
    >>> layer = kapre_cli.MelspectrogramConfig(sr=22050, n_mels=64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = kapre_cli.extract("sample_audio", f"{folder}/mels.h5", layer)
    >>> print(result)
    6 inputs: 6 written, 0 failed (10.3 s of audio)
    """
    checks.choice("on_error", on_error, (_COLLECT, _RAISE))
    config, weights, like = resolved(layer)
    name = os.fspath(output)
    settings = OutputSettings(
        path=output_path(name),
        format=format or format_of(name, streams=False),
        overwrite=overwrite,
        resume="stat" if resume is True else resume or None,
        **given_or_of(
            like, dtype=dtype, compression=compression, dimension_scales=dimension_scales
        ),
    )
    if settings.is_stream:
        raise UsageError(
            "an extraction writes a file or a folder; iter_features yields the arrays, and a "
            "folder called - is ./-"
        )
    audio = {
        "sr": sr,
        "resample": resample,
        "channels": channels,
        "mono": mono,
        "raw_format": raw_format,
        "allow_truncated": allow_truncated,
        "non_finite": non_finite,
        "verify_audio": verify_audio,
        "max_samples": max_samples,
    }
    cut = Cut.of(segments, clip, overlap)
    given = given_or_of(like, engine=engine, reference=reference)
    running = {
        **cut.kept(given, reference),
        "jobs": jobs,
        "batch_size": batch_size,
        "weights": weights,
    }
    found = cut.recordings(inputs, root, hidden=hidden)
    plan = _planned(config, like, settings, audio, running, found, cut, shard)
    holds_all = settings.file_format.holds_many
    validate_output(settings, plan.all_sources if holds_all else plan.inputs.sources)
    with _observed(plan, progress, on_event) as emit, workers(jobs) as executor:
        result = RunResult(
            emit,
            max_failures=_limit(max_failures, on_error),
            failures=[],
            n_expected=plan.inputs.n_inputs,
        )
        with _first_failure_raised(result, on_error):
            plan.report_inputs(result)
            known = plan.settings(result)
            if known is not None:
                plan.cut(known, result, executor).run(known, result, executor)
            result.check_failures()
    return Result.of(result)


def iter_features(  # noqa: D417 - most are those of `extract`
    inputs: PathLike | Iterable[PathLike] | None,
    layer: Layer,
    *,
    sr: int | None = None,
    resample: bool | None = None,
    channels: int | Sequence[int] | None = None,
    mono: bool | None = None,
    raw_format: str | None = None,
    allow_truncated: bool | None = None,
    non_finite: str | None = None,
    verify_audio: bool | None = None,
    max_samples: int | None = None,
    root: PathLike | None = None,
    hidden: bool = False,
    segments: Tables | None = None,
    clip: float | None = None,
    overlap: float | None = None,
    reference: str | None = None,
    shard: str | None = None,
    dtype: str | None = None,
    engine: str | None = None,
    jobs: int | None = None,
    batch_size: int | None = None,
    max_failures: int | str | None = None,
    progress: bool | None = None,
    on_event: Observer | None = None,
    on_error: str = _SKIP,
) -> Iterator[tuple[str, FeatureArray]]:
    """Yield key and array of each recording, in order, as ``-o -`` sends them.

    Nothing is written. Worker processes compute a few inputs ahead of the one that is yielded; they
    end when the iterator is exhausted, closed or deleted. An input that fails gives no array.

    Args:
        inputs: As of :func:`extract`, like all arguments that are not listed here.
        on_event: Called with each event. ``None``: failures, warnings and notes are logged.
        on_error: ``"skip"``: a failed input is an event, and the others go on. ``"raise"``: the
            first failure is raised when its turn comes.

    Yields:
        The key of the input and its array, in memory.

    Raises:
        SettingsError: If an argument is invalid, at the call; a ``ValueError`` too.
        UsageError: If the inputs are rejected, at the call; a ``ValueError`` too.
        TooManyFailuresError: If more inputs fail than ``max_failures``.
        AudioReadError: With ``on_error="raise"``, or another error of an input.

    >>> import kapre_cli
    >>> layer = kapre_cli.SpectrogramConfig(n_dft=1024)
    >>> for key, array in kapre_cli.iter_features("sample_audio/pond", layer):
    ...     print(key, array.shape, array[:].max().round(1))
    crickets.wav (87, 513, 1) 1190.6
    frogs.flac (108, 513, 1) 1294.3
    """
    checks.choice("on_error", on_error, (_SKIP, _RAISE))
    config, weights, like = resolved(layer)
    settings = OutputSettings(
        path=STANDARD_OUTPUT, format=format_of("-"), **given_or_of(like, dtype=dtype)
    )
    audio = {
        "sr": sr,
        "resample": resample,
        "channels": channels,
        "mono": mono,
        "raw_format": raw_format,
        "allow_truncated": allow_truncated,
        "non_finite": non_finite,
        "verify_audio": verify_audio,
        "max_samples": max_samples,
    }
    cut = Cut.of(segments, clip, overlap)
    given = given_or_of(like, engine=engine, reference=reference)
    running = {
        **cut.kept(given, reference),
        "jobs": jobs,
        "batch_size": batch_size,
        "weights": weights,
    }
    found = cut.recordings(inputs, root, hidden=hidden)
    plan = _planned(config, like, settings, audio, running, found, cut, shard)
    limit = _limit(max_failures, on_error)
    return _iterated(plan, jobs, limit, progress, on_event, on_error)


def _iterated(
    plan: Extraction,
    jobs: int | None,
    limit: MaxFailures | None,
    progress: bool | None,
    on_event: Observer | None,
    on_error: str,
) -> Iterator[tuple[str, FeatureArray]]:
    with _observed(plan, progress, on_event) as emit, workers(jobs) as executor:
        failures: list[InputFailed] | None = [] if on_error == _RAISE else None
        result = RunResult(emit, limit, failures=failures, n_expected=plan.inputs.n_inputs)
        with _first_failure_raised(result, on_error):
            plan.report_inputs(result)
            settings = plan.settings(result)
            if settings is None:
                result.check_failures()
                return
            layer, audio = resolved_layer(settings.layer), settings.audio
            described = layer, layer.feature_positions(audio.sr).values, audio.channels
            sources = plan.cut(settings, result, executor).inputs.sources
            for source, metadata, values in arrays(sources, settings, result, executor):
                yield source.key, FeatureArray(source.key, values, metadata, *described)


def _planned(
    config: LayerConfig,
    like: OutputMetadata | None,
    output: OutputSettings,
    audio: Mapping[str, Any],
    running: Mapping[str, Any],
    recordings: Inputs,
    cut: Cut,
    shard: str | None,
) -> Extraction:
    """Return the run that arguments ask for; raise SettingsError for invalid ones."""
    chosen, rate = audio_arguments(like, config, audio)
    inputs = cut.inputs(recordings, chosen)
    parsed = None if shard is None else Shard.parse(shard)
    of_run, its_shard = of_shard(inputs, parsed, output, cut.clips)

    def settings_at(sr: int) -> ExtractionSettings:
        audio = AudioSettings(**chosen, sr=sr)
        return ExtractionSettings(
            layer=config, audio=audio, output=output, shard=its_shard, **running
        )

    settings_at(rate or 1)  # raises for an invalid argument, before any work
    return Extraction(settings_at, of_run, inputs.sources, rate, its_shard, cut.clips)


def _limit(max_failures: int | str | None, on_error: str) -> MaxFailures | None:
    if on_error == _RAISE:
        return MaxFailures(0)
    return None if max_failures is None else MaxFailures.parse(str(max_failures))


# Running


@contextmanager
def workers(jobs: int | None) -> Iterator[Executor]:
    """Yield worker processes that descend from a new process."""
    if jobs is not None:
        checks.integer("jobs", jobs, at_least=1)
    with LocalWorkers(jobs or n_processors(), None) as executor:
        yield executor


@contextmanager
def _observed(
    plan: Extraction, progress: bool | None, on_event: Observer | None
) -> Iterator[Observer]:
    """Yield an observer that shows the progress and passes events on."""
    observer = on_event or log
    if progress is False:
        yield observer
        return
    from kapre_cli.api.bar import ProgressBar  # tqdm takes a while to import

    sources = plan.inputs.sources if plan.clips is None else ()  # clips are known later
    with ProgressBar(sources, is_forced=progress is True) as bar:

        def both(event: Event) -> None:
            bar(event)
            observer(event)

        yield both


@contextmanager
def _first_failure_raised(result: RunResult, on_error: str) -> Iterator[None]:
    """Raise the first failure, with its path, for the error that too many have failed."""
    try:
        yield
    except TooManyFailuresError:
        if on_error != _RAISE or not result.failures:
            raise
        first = result.failures[0]
        raise named_error(first.path, first.error) from first.error
