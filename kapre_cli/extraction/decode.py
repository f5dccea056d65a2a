"""Open and check inputs, and decode them into blocks ahead of the computation.

A preview reads headers only.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from kapre_cli.audio import read_header
from kapre_cli.audio.memory import SampleArray
from kapre_cli.audio.reader import AudioReader, n_chosen_channels
from kapre_cli.audio.samples import Samples
from kapre_cli.engines.batches import Segment
from kapre_cli.errors import FeatureError, OutputError, input_error
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
from kapre_cli.inputs import Source
from kapre_cli.osutil import Resource
from kapre_cli.resume.journal import BlockEntry, Journal, MemoryJournal, input_state
from kapre_cli.settings import ExtractionSettings, LayerConfig
from kapre_cli.settings.checks import within_int64
from kapre_cli.text import Argument, Text, counted

AHEAD_VALUES = 2**23  # samples that may wait to be computed: 32 MiB
# So many samples or items are handed over at once: a lock for each would cost more than decoding.
CHUNK_VALUES = 2**18
CHUNK_ITEMS = 128
SECONDS_TO_END = 5.0  # that a thread which waits for a disk may take to end


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

    def segments(
        self,
        n_features: int,
        complete: Callable[["Block"], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> list[Segment]:
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
            Segment(samples, results, computed, failed)
            for samples, results in zip(self.samples, self.results, strict=True)
        ]


@dataclass(slots=True)
class EndOfInput:
    """The end of an input, which has been read and checked completely or has failed."""

    input: ActiveInput
    failure: Exception | None = None


Item = ActiveInput | Block | EndOfInput


def decoded(
    one: TaskInput,
    settings: ExtractionSettings,
    journal: Journal | MemoryJournal,
    samples: SampleArray | None = None,
) -> Iterator[Item]:
    """Yield an input, its blocks that are to be computed, and its end.

    Samples in memory have the place of its file, if there are any. An OutputError is raised; any
    other exception fails this input alone.
    """
    active = ActiveInput(one.number, one.source, journal, time.monotonic())
    failure = None
    yield active
    try:
        yield from _blocks(one, active, settings, samples)
    except OutputError:
        raise
    except Exception as error:
        failure = input_error(error)
    yield EndOfInput(active, failure)


def _blocks(
    one: TaskInput, active: ActiveInput, settings: ExtractionSettings, samples: SampleArray | None
) -> Iterator[Block]:
    source = one.source
    audio, config = settings.audio, settings.layer
    framing = config.framing
    with AudioReader(samples or source.file, audio, is_stream=source.is_stream) as reader:
        check_frame(config, reader)
        active.metadata = metadata = _metadata(source, reader, framing)
        active.state = input_state(source, metadata, audio.non_finite)
        blocks = input_blocks(metadata, config)
        if one.state == active.state:
            reused = {*blocks} & {*one.blocks}
            active.reused = tuple(first for first, _ in reused)
            active.n_reused = sum(n_frames for _, n_frames in reused)
        active.n_pending = len(blocks) - len(active.reused)
        for block in frame_blocks(active, reader, framing, config.n_features, active.reused):
            yield block
            if active.has_failed:  # its features cannot be used: no need to read on
                return
        active.metadata = metadata._replace(
            n_non_finite=reader.file.n_non_finite,
            n_silent_channels=reader.n_silent_channels,
            sha256=reader.file.sha256,
        )


def check_frame(config: LayerConfig, reader: AudioReader) -> None:
    """Raise FeatureError for an input too short, or with too many channels."""
    if reader.n_samples < config.framing.min_samples:
        samples = f"it has {counted(reader.n_samples, 'sample')}"
        cause = f"{samples}, fewer than the {config.n_dft:,} of one frame; take "
        remedy = (Argument("padding", "same"), " or a smaller ", Argument("n_dft"))
        raise FeatureError(Text(cause, *remedy))
    try:
        config.check_frame_size(reader.n_channels)
    except ValueError as error:
        others = ("; take ", Argument("channels"), ", ", Argument("mono", True))
        raise FeatureError(Text(error, *others, " or a smaller ", Argument("n_dft"))) from error


def _metadata(source: Source, reader: AudioReader, framing: Framing) -> InputMetadata:
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


def frame_blocks(
    active: ActiveInput,
    reader: AudioReader,
    framing: Framing,
    n_features: int,
    reused: Container[int] = (),
) -> Iterator[Block]:
    """Yield the frames of an input in blocks; read the file to its end.

    ``reused`` has the first frames of blocks that are computed already and left out. SettingsError
    is raised if the input is too short for one frame, AudioReadError if it is damaged.
    """
    length = reader.n_samples
    buffer = np.empty((reader.n_channels, 0), np.float32)  # the last samples read, as far as needed
    n_read = 0

    def samples(start: int, stop: int) -> Samples:
        """Return the samples of frames, zeros before the signal's start and after its end."""
        nonlocal buffer, n_read
        first, last = max(start, 0), min(stop, length)
        buffer = buffer[:, first - (n_read - buffer.shape[1]) :]
        while n_read < first:  # a hop longer than a frame leaves samples out
            n_read += len(reader.read(min(first - n_read, framing.block_values)))
        if n_read < last:
            new = reader.read(last - n_read).T
            n_read += new.shape[1]
            buffer = np.concatenate([buffer, new], axis=1) if buffer.size else new
        if (first, last) == (start, stop):
            return buffer
        padded = np.zeros((len(buffer), stop - start), np.float32)
        padded[:, first - start : last - start] = buffer
        return padded

    for first, count in framing.blocks(framing.n_time(length), n_features, reader.n_channels):
        if first not in reused:
            yield Block(active, first, count, samples(*framing.span(length, first, count)))
    reader.finish()


class DecodeAhead(Resource):
    """Decodes items in a thread, ahead of the loop that iterates over them.

    Decoding releases Python's lock, so it runs in parallel to everything else. The samples that
    wait are bounded for inputs of any length.

    Args:
        items: ``None`` where the next item may take a while: all earlier ones are handed over.
    """

    def __init__(self, items: Iterable[Item | None]) -> None:
        self._changed = threading.Condition()  # guards all that follows
        self._chunks: deque[tuple[list[Item | None], int]] = deque()
        self._n_waiting = 0  # samples in the chunks
        self._is_closed = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(
            target=self._decode, args=(items,), name="decoder", daemon=True
        )
        self._thread.start()

    def __iter__(self) -> Iterator[Item | None]:
        is_over = False
        while not is_over:
            with self._changed:
                self._changed.wait_for(lambda: self._chunks)
                chunk, n_values = self._chunks.popleft()
                self._n_waiting -= n_values
                self._changed.notify_all()
            yield from chunk
            is_over = not chunk  # after the last
        if self._failure is not None:
            raise self._failure

    def _decode(self, items: Iterable[Item | None]) -> None:
        chunk: list[Item | None] = []
        n_values = 0
        try:
            for item in items:
                chunk.append(item)
                if isinstance(item, Block):
                    n_values += item.samples.size
                is_full = n_values >= CHUNK_VALUES or len(chunk) >= CHUNK_ITEMS
                if item is None or is_full:
                    if not self._hand_over(chunk, n_values):
                        return
                    chunk, n_values = [], 0
        except BaseException as error:
            self._failure = error
        finally:
            if chunk:
                self._hand_over(chunk, n_values)
            self._hand_over([], 0)

    def _hand_over(self, chunk: list[Item | None], n_values: int) -> bool:
        """Hand over a chunk when few samples wait; return whether more is wanted."""
        with self._changed:
            self._changed.wait_for(lambda: self._n_waiting <= AHEAD_VALUES or self._is_closed)
            self._chunks.append((chunk, n_values))
            self._n_waiting += n_values
            self._changed.notify_all()
            return not self._is_closed

    def close(self) -> None:
        """End the thread; one that hangs in a read is abandoned."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join(SECONDS_TO_END)


# Previews


def preview_task(task: Task, settings: ExtractionSettings) -> Iterator[Previewed]:
    """Yield a preview of each input of a task; nothing is decoded."""
    for one in task.inputs:
        yield Previewed(one.number, _preview(one.source, settings))


def _preview(source: Source, settings: ExtractionSettings) -> Preview:
    audio = settings.audio
    try:
        header = read_header(source.file, audio.raw_format, is_stream=source.is_stream)
        if header.needs_decoding:
            n_channels = n_chosen_channels(audio, header.sr, header.n_channels)
            return Preview(None, header.sr, n_channels)
        if not header.bytes_tell_length:
            audio = replace(audio, allow_truncated=False)  # its header is relied on
        with AudioReader(source.file, audio, is_stream=source.is_stream) as reader:
            check_frame(settings.layer, reader)
            return Preview(None, reader.file.sr, reader.n_channels, reader.n_samples)
    except Exception as error:
        return Preview(input_error(error))
