"""Open, check and decode inputs and cut them into blocks, ahead of the computation."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator

from kapre_cli.audio import AudioReader, sha256_of
from kapre_cli.errors import FeatureError, OutputError, input_error
from kapre_cli.extract.blocks import ActiveInput, Block, EndOfInput, Item, frame_blocks
from kapre_cli.extract.jobs import fitting_blocks, tells_state
from kapre_cli.extract.tasks import TaskInput
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.framing import Framing
from kapre_cli.inputs import Source
from kapre_cli.osutil import Resource
from kapre_cli.resume.journal import Journal, identity
from kapre_cli.settings import ExtractionSettings, LayerConfig
from kapre_cli.settings.checks import within_int64
from kapre_cli.text import counted

AHEAD_VALUES = 2**23  # samples that may wait to be computed: 32 MiB
# So many samples or items are handed over at once: a lock for each would cost more than decoding.
CHUNK_VALUES = 2**18
CHUNK_ITEMS = 128
SECONDS_TO_END = 5.0  # that a thread which waits for a disk may take to end


def decoded(one: TaskInput, settings: ExtractionSettings, journal: Journal) -> Iterator[Item]:
    """Yield an input, its blocks that are to be computed, and its end.

    An OutputError is raised; any other exception fails this input alone.
    """
    active = ActiveInput(one.number, one.source, journal, time.monotonic())
    failure = None
    yield active
    try:
        yield from _blocks(one, active, settings)
    except OutputError:
        raise
    except Exception as error:
        failure = input_error(error)
    yield EndOfInput(active, failure)


def _blocks(one: TaskInput, active: ActiveInput, settings: ExtractionSettings) -> Iterator[Block]:
    source = one.source
    audio, config = settings.audio, settings.layer
    framing = config.framing
    with AudioReader(source.file, audio, is_stream=source.is_stream) as reader:
        check_frame(config, reader)
        active.metadata = metadata = _metadata(source, reader, framing)
        is_told = tells_state(source, metadata.source_mtime_ns)
        content = "" if is_told else sha256_of(source.file)
        active.state = identity(metadata, audio.non_finite, content)
        fitting = fitting_blocks(metadata, config)
        if one.state == active.state:
            kept = {*fitting} & {*one.blocks}
            active.kept = tuple(first for first, _ in kept)
            active.n_kept = sum(n_frames for _, n_frames in kept)
        active.n_due = len(fitting) - len(active.kept)
        for block in frame_blocks(active, reader, framing, config.n_features, active.kept):
            yield block
            if active.has_failed:  # its features cannot be used: no need to read on
                return
        active.metadata = metadata._replace(
            n_non_finite=reader.file.n_non_finite,
            n_silent_channels=reader.n_silent_channels,
            sha256=reader.file.sha256,
        )


def check_frame(config: LayerConfig, reader: AudioReader) -> None:
    """Raise FeatureError for an input too short for a frame, or with too many channels for one."""
    if reader.n_samples < config.framing.min_samples:
        raise FeatureError(
            f"it has {counted(reader.n_samples, 'sample')}, fewer than the {config.n_dft:,} of one "
            "frame; take --padding same or a smaller --n-dft"
        )
    try:
        config.check_frame_size(reader.n_channels)
    except ValueError as error:
        raise FeatureError(f"{error}; take --channel, --mono or a smaller --n-dft") from error


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
            is_over = not chunk  # behind the last
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
        """Hand over a chunk as soon as there is room; return whether more is wanted."""
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
