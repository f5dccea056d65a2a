"""Open and check inputs, and decode them into blocks; a preview reads headers only."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kapre_cli.audio import read_header
from kapre_cli.audio.memory import SampleArray
from kapre_cli.audio.reader import AudioReader, n_chosen_channels
from kapre_cli.audio.samples import Samples
from kapre_cli.engines.batches import ChannelBlock
from kapre_cli.errors import AudioReadError, FeatureError, OutputError, input_error
from kapre_cli.extraction.tasks import (
    OpenedInput,
    Preview,
    Previewed,
    Task,
    TaskInput,
    input_blocks,
)
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.framing import Framing
from kapre_cli.inputs import Source, seconds_text
from kapre_cli.resume.journal import BlockEntry, Journal, MemoryJournal, content_of, identity
from kapre_cli.settings import ExtractionSettings, LayerConfig
from kapre_cli.settings.checks import within_int64
from kapre_cli.text import Argument, Text, counted, length

_BEYOND_SECONDS = 0.001  # that a segment may end after its recording


@dataclass(slots=True, eq=False)
class ActiveInput(OpenedInput):
    """One input while a worker decodes and computes it.

    Attributes:
        number: Its position among the inputs of the run.
        opened_at: When its file was opened (:func:`time.monotonic`).
        metadata: Its metadata; ``None`` until it has been opened.
        state: The state of its file, see ``input_state``.
        reused: First frames of the blocks that earlier runs have computed.
        n_reused: Number of frames in these.
        n_pending: Number of blocks still to be computed.
        is_read: Whether its file has been read and checked to the end.
        has_failed: Whether it has failed; its pending blocks are void.
        work_seconds: Seconds from opening to the last computed frame; ``None`` without one.
        recording: All frames of the recording, of which only the peak is used: it is the reference
            of this segment. ``None``: the reference is the input's own.
        segments: The segments whose reference is the peak of this recording.
        peak: The largest feature of this recording.
    """

    number: int
    source: Source
    journal: Journal | MemoryJournal
    opened_at: float
    metadata: InputMetadata | None = None
    state: int = 0
    reused: tuple[int, ...] = ()
    n_reused: int = 0
    n_pending: int = 0
    entries: list[BlockEntry] = field(default_factory=list)
    is_read: bool = False
    has_failed: bool = False
    work_seconds: float | None = None
    recording: "ActiveInput | None" = None
    segments: "Sequence[ActiveInput]" = ()
    peak: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether its file has been read and all that it needs is computed."""
        is_referred = self.recording is None or self.recording.n_pending == 0
        return self.is_read and self.n_pending == 0 and is_referred


@dataclass(slots=True)
class Block:
    """Successive frames of one input, to be computed.

    Attributes:
        samples: Samples of the frames, padding included: ``(n_channels, n_samples)``.
        results: The features, shape ``(n_channels, n_frames, n_features)``, once they are computed.
        peak: The largest feature so far: NaN or infinite if one of them is.
        n_pending: Number of frames, over all channels, that are not computed yet.
    """

    input: ActiveInput
    first_frame: int
    n_frames: int
    samples: Samples
    results: npt.NDArray[np.float32] = field(init=False)
    peak: float = field(init=False, default=0.0)
    n_pending: int = field(init=False)

    def by_channel(
        self,
        n_features: int,
        complete: Callable[["Block"], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> list[ChannelBlock]:
        """Return each channel's frames, of ``n_features`` features.

        ``complete`` is called once all frames have been computed, ``failed`` with the exception
        that computing some of them raises.
        """
        n_channels = len(self.samples)
        self.results = np.empty((n_channels, self.n_frames, n_features), np.float32)
        self.n_pending = n_channels * self.n_frames

        def computed(count: int, peak: float) -> None:
            self.n_pending -= count
            self.peak = float(np.maximum(self.peak, peak))  # NaN stays
            if self.n_pending == 0:
                complete(self)

        return [
            ChannelBlock(samples, results, computed, failed)
            for samples, results in zip(self.samples, self.results, strict=True)
        ]


@dataclass(slots=True)
class EndOfInput:
    """The end of an input, which has been read and checked completely or has failed.

    ``n_alike`` inputs fail by this failure; it is 0 if another end counts them.
    """

    input: ActiveInput
    failure: Exception | None = None
    n_alike: int = 1


class PlannedBlock(NamedTuple):
    """A block that is still to be decoded.

    Attributes:
        frame: Its first frame, in the recording.
        first_frame: The same, in the input.
    """

    frame: int
    first_frame: int
    n_frames: int
    input: ActiveInput


Item = ActiveInput | Block | EndOfInput


def decoded(
    inputs: Sequence[TaskInput],
    settings: ExtractionSettings,
    journal: Journal | MemoryJournal,
    samples: SampleArray | None = None,
) -> Iterator[Item]:
    """Yield the inputs, their blocks that are to be computed, and their ends.

    They are one input, or several segments of one recording, which is read once for all of them.
    Samples in memory have the place of its file, if there are any. An OutputError is raised; any
    other exception fails these inputs alone.
    """
    actives = [ActiveInput(one.number, one.source, journal, time.monotonic()) for one in inputs]
    failure = None
    yield from actives
    try:
        yield from _blocks(inputs, actives, settings, samples)
    except OutputError:
        raise
    except Exception as error:
        failure = input_error(error)
    for index, active in enumerate(actives):
        yield EndOfInput(active, failure, 0 if index else len(actives))


def _blocks(
    inputs: Sequence[TaskInput],
    actives: list[ActiveInput],
    settings: ExtractionSettings,
    samples: SampleArray | None,
) -> Iterator[Item]:
    """Yield the blocks of inputs, and the ends of segments that fail by themselves.

    The latter are removed from ``actives``.
    """
    source, audio, config = inputs[0].source, settings.audio, settings.layer
    with AudioReader(samples or source.file, audio, is_stream=source.is_stream) as reader:
        recording = _metadata(source, reader, config.framing)
        content = content_of(source, recording.source_mtime_ns)
        remaining: list[ActiveInput] = []
        for one, active in zip(inputs, actives, strict=True):
            try:
                metadata = _of_segment(one.source, recording, reader, config)
                _open(active, one, metadata, config, identity(metadata, audio.non_finite, content))
            except (AudioReadError, FeatureError) as error:
                yield EndOfInput(active, error)
            else:
                remaining.append(active)
        actives[:] = remaining
        if not actives:
            return
        of_recording: list[ActiveInput] = []
        if settings.reference == "recording" and source.segment is not None:
            of_recording = [_for_peak(recording, actives, config)]
        planned = _planned([*actives, *of_recording], config)
        planned.sort(key=itemgetter(0))
        for block in frame_blocks(planned, reader, config.framing):
            yield block
            # Features of a failed input cannot be used: no need to read on.
            if block.input.has_failed and all(active.has_failed for active in actives):
                return
        read = {"n_non_finite": reader.file.n_non_finite, "sha256": reader.file.sha256}
        for active in actives:
            metadata = active.required_metadata
            n_silent = reader.n_silent_channels
            if metadata.channel is not None:
                n_silent = int(reader.is_silent(metadata.channel))
            active.metadata = metadata._replace(**read, n_silent_channels=n_silent)


def _open(
    active: ActiveInput, one: TaskInput, metadata: InputMetadata, config: LayerConfig, state: int
) -> None:
    """Record metadata and state of an opened input, and which blocks are computed already."""
    active.metadata, active.state = metadata, state
    blocks = input_blocks(metadata, config)
    if one.state == state:
        reused = {*blocks} & {*one.blocks}
        active.reused = tuple(first for first, _ in reused)
        active.n_reused = sum(n_frames for _, n_frames in reused)
    active.n_pending = len(blocks) - len(active.reused)


def _for_peak(
    recording: InputMetadata, actives: Sequence[ActiveInput], config: LayerConfig
) -> ActiveInput:
    """Return the recording of some segments, all of whose blocks are computed for its peak."""
    check_frame(config, recording)
    first = actives[0]
    whole = ActiveInput(-1, first.source, first.journal, first.opened_at, recording)
    whole.n_pending = len(input_blocks(recording, config))
    whole.segments = tuple(actives)
    for active in actives:
        active.recording = whole
        active.n_pending += len(active.reused)  # their peaks are not that of the recording
        active.reused, active.n_reused = (), 0
    return whole


def check_frame(config: LayerConfig, metadata: InputMetadata) -> None:
    """Raise FeatureError for an input too short, or with too many channels."""
    if metadata.n_samples < config.framing.min_samples:
        samples = f"it has {counted(metadata.n_samples, 'sample')}"
        cause = f"{samples}, fewer than the {config.n_dft:,} of one frame; take "
        remedy = (Argument("padding", "same"), " or a smaller ", Argument("n_dft"))
        raise FeatureError(Text(cause, *remedy))
    try:
        config.check_frame_size(metadata.n_channels)
    except ValueError as error:
        others = ("; take ", Argument("channels"), ", ", Argument("mono", True))
        raise FeatureError(Text(error, *others, " or a smaller ", Argument("n_dft"))) from error


def _metadata(source: Source, reader: AudioReader, framing: Framing) -> InputMetadata:
    """Return the metadata of a recording, as far as they are known when it is opened."""
    time_start, time_step = framing.times(reader.n_samples, reader.sr)
    return InputMetadata(
        source=source.path,
        sr=reader.sr,
        source_sr=reader.file.sr,
        n_samples=reader.n_samples,
        n_channels=reader.n_channels,
        time_start=time_start,
        time_step=time_step,
        source_size=reader.file.size,
        source_mtime_ns=0 if source.is_stream else within_int64(reader.file.mtime_ns),
        n_missing=reader.file.n_missing,
        note="; ".join(reader.file.notes),
    )


def _of_segment(
    source: Source, recording: InputMetadata, reader: AudioReader, config: LayerConfig
) -> InputMetadata:
    """Return the metadata of an input, given those of its recording.

    Raise AudioReadError if the recording lacks the segment, FeatureError without a frame in it.
    """
    segment = source.segment
    if segment is None:
        check_frame(config, recording)
        return recording
    if segment.channel is not None and segment.channel not in reader.channels:
        n_channels = counted(reader.file.n_channels, "channel")
        raise AudioReadError(f"{segment}: it has no channel {segment.channel}: it has {n_channels}")
    seconds = recording.seconds
    if segment.end > seconds + _BEYOND_SECONDS:
        end, whole = seconds_text(segment.end), seconds_text(seconds)
        raise AudioReadError(f"{segment}: it ends at {end} s, the recording at {whole} s")
    metadata = recording._replace(
        n_channels=recording.n_channels if segment.channel is None else 1,
        start=segment.start,
        end=segment.end,
        channel=segment.channel,
        label=segment.label,
    )
    check_frame(config, metadata)
    _, n_time = metadata.frames(config.framing)
    if n_time < 1:
        apart = length(config.framing.n_hop / recording.sr)
        cause = f"{segment}: no frame is centred in it, and frames are {apart} apart; take "
        raise FeatureError(Text(cause, "a longer segment, or a smaller ", Argument("n_hop")))
    time_start, _ = metadata.times(config.framing)
    return metadata._replace(time_start=time_start)


def _planned(actives: Iterable[ActiveInput], config: LayerConfig) -> list[PlannedBlock]:
    """Return the blocks of some inputs that are not computed yet."""
    planned: list[PlannedBlock] = []
    for active in actives:
        metadata, reused = active.required_metadata, {*active.reused}
        offset, _ = metadata.frames(config.framing)
        planned += [
            PlannedBlock(offset + first, first, n_frames, active)
            for first, n_frames in input_blocks(metadata, config)
            if first not in reused
        ]
    return planned


def frame_blocks(
    planned: Iterable[PlannedBlock], reader: AudioReader, framing: Framing
) -> Iterator[Block]:
    """Yield planned blocks, in the order of their first frames; read the file to its end.

    The samples between the first one of a block and the last one read are buffered. AudioReadError
    is raised if the file is damaged.
    """
    n_samples = reader.n_samples
    buffer = np.empty((reader.n_channels, 0), np.float32)  # the last samples read, as far as needed
    n_read = 0
    n_skipped_at_once = max(framing.block_values // reader.n_channels, 1)

    def samples(start: int, stop: int) -> Samples:
        """Return the samples of frames, zeros before the signal's start and after its end."""
        nonlocal buffer, n_read
        first, last = max(start, 0), min(stop, n_samples)
        buffer = buffer[:, first - (n_read - buffer.shape[1]) :]
        while n_read < first:  # between two segments, or where a hop is longer than a frame
            n_read += len(reader.read(min(first - n_read, n_skipped_at_once)))
        if n_read < last:
            new = reader.read(last - n_read).T
            n_read += new.shape[1]
            buffer = np.concatenate([buffer, new], axis=1) if buffer.size else new
        found = buffer[:, : max(last - first, 0)]
        if (first, last) == (start, stop):
            return found
        padded = np.zeros((len(found), stop - start), np.float32)
        padded[:, first - start : last - start] = found
        return padded

    for frame, first_frame, n_frames, active in planned:
        found = samples(*framing.span(n_samples, frame, n_frames))
        channel = None if active is None or active.metadata is None else active.metadata.channel
        if channel is not None:
            index = reader.channels.index(channel)
            found = found[index : index + 1]
        yield Block(active, first_frame, n_frames, found)
    reader.finish()


# Previews


def preview_task(task: Task, settings: ExtractionSettings) -> Iterator[Previewed]:
    """Yield a preview of each input of a task; each recording is opened once."""
    for inputs in task.groups():
        sources = [one.source for one in inputs]
        previewed = _previews(sources, settings, counts_samples=task.counts_samples)
        for one, preview in zip(inputs, previewed, strict=True):
            yield Previewed(one.number, preview)


def _previews(
    sources: Sequence[Source], settings: ExtractionSettings, *, counts_samples: bool
) -> list[Preview]:
    """Return a preview of one input, or of segments of one recording."""
    source, audio = sources[0], settings.audio
    try:
        if not counts_samples:
            header = read_header(source.file, audio.raw_format, is_stream=source.is_stream)
            if header.needs_decoding:
                n_channels = n_chosen_channels(audio, header.sr, header.n_channels)
                return [Preview(None, header.sr, n_channels)] * len(sources)
            if not header.bytes_tell_length:
                audio = replace(audio, allow_truncated=False)  # its header is relied on
        with AudioReader(source.file, audio, is_stream=source.is_stream) as reader:
            recording = _metadata(source, reader, settings.layer.framing)
            return [_preview(one, recording, reader, settings.layer) for one in sources]
    except Exception as error:
        failure, n_alike = input_error(error), [len(sources), *[0] * (len(sources) - 1)]
        return [Preview(failure, n_alike=number) for number in n_alike]


def _preview(
    source: Source, recording: InputMetadata, reader: AudioReader, config: LayerConfig
) -> Preview:
    try:
        metadata = _of_segment(source, recording, reader, config)
    except (AudioReadError, FeatureError) as error:
        return Preview(error)
    _, n_time = metadata.frames(config.framing)
    n_channels, n_samples = metadata.n_channels, metadata.n_samples
    return Preview(None, metadata.source_sr, n_channels, n_samples, n_time, metadata.seconds)
