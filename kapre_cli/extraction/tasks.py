"""The jobs of a run, messages between the run and its workers, their channel."""

import pickle
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from types import MappingProxyType
from typing import Any, NamedTuple

from kapre_cli.errors import KapreExtractError
from kapre_cli.events import InputResult
from kapre_cli.formats.features import Features
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.inputs import Source, grouped
from kapre_cli.osutil import Resource
from kapre_cli.resume.journal import BlockEntry
from kapre_cli.settings import ExtractionSettings, LayerConfig

TASK_INPUTS = 64  # of one task, at most

_LENGTH = struct.Struct("<Q")

# SIGPIPE from an ended process would be mistaken for that of standard output's reader.
NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)

NO_ENTRIES: Mapping[int, BlockEntry] = MappingProxyType({})

# Jobs


class OpenedInput:
    """An input that has metadata once it has been opened."""

    __slots__ = ()
    source: Source
    metadata: InputMetadata | None

    @property
    def required_metadata(self) -> InputMetadata:
        """Metadata of an input that has been opened."""
        if self.metadata is None:
            raise RuntimeError(f"{self.source.key!r} has not been opened")
        return self.metadata


@dataclass(slots=True, eq=False)
class Job(OpenedInput):
    """One input of a run.

    Attributes:
        n_bytes: Bytes of its file, as far as known.
        metadata: Its metadata; ``None`` until it has been opened.
        state: The state of its file that its blocks belong to, see ``input_state``.
        entries: Its blocks that are in journals, by their first frame.
        stored_in: The earlier output that holds its array, if that is kept.
        has_new_metadata: Whether its metadata differs from that in the earlier output.
        is_done: Whether all its features are computed.
        is_reused: Whether an earlier run has computed it.
        failure: Why it has failed, until that is reported.
        was_tried: Whether it has been opened, in this run or in one whose work is kept.
        work_seconds: Seconds from opening to the last computed frame; ``None`` without one.
        has_blocks: Whether blocks of it have been computed in this run.
        n_alike: Inputs of its file that fail by its error; 0 if another one stands for them.
    """

    source: Source
    n_bytes: int = 0
    metadata: InputMetadata | None = None
    state: int = 0
    entries: Mapping[int, BlockEntry] = field(default_factory=lambda: NO_ENTRIES)
    stored_in: Features | None = None
    has_new_metadata: bool = False
    is_done: bool = False
    is_reused: bool = False
    has_failed: bool = False
    failure: KapreExtractError | None = None
    was_tried: bool = False
    work_seconds: float | None = None
    has_blocks: bool = False
    n_alike: int = 1

    @property
    def has_ended(self) -> bool:
        """Whether it is done or has failed."""
        return self.is_done or self.has_failed

    def result(self, config: LayerConfig) -> InputResult:
        """Return the values of an ended input that messages and the report show."""
        metadata, key = self.metadata, self.source.key
        if metadata is None:
            return InputResult(key)
        return InputResult(
            key,
            metadata.shape(config),
            metadata.seconds,
            self.work_seconds,
            metadata.note or None,
            metadata.reference,
            metadata.reference_db,
            metadata.is_floored(config),
        )


def input_blocks(metadata: InputMetadata, config: LayerConfig) -> list[tuple[int, int]]:
    """Return the blocks that an input is cut into: first frame and number of frames."""
    _, n_time = metadata.frames(config.framing)
    return list(config.framing.blocks(n_time, config.n_features, metadata.n_channels))


# Tasks


class TaskInput(NamedTuple):
    """One input of a task.

    Attributes:
        number: Its position among the inputs of the run.
        state: The state of its file that ``blocks`` belong to, see ``input_state``.
        blocks: Blocks that earlier runs have computed: first frame and number of frames.
        is_retry: Whether a worker died before finishing it; its file is then alone in its task.
    """

    number: int
    source: Source
    state: int = 0
    blocks: tuple[tuple[int, int], ...] = ()
    n_bytes: int = 0
    is_retry: bool = False


@dataclass(frozen=True)
class TaskSettings:
    """Settings common to all tasks of a run.

    Attributes:
        settings: The run's, the layer's image data format resolved.
        root: The same, as journals begin with it.
        n_threads: Threads of a worker that compute.
        is_durable: Whether journals are synced to the disk, for a run that resumes this one.
    """

    settings: ExtractionSettings
    root: OutputMetadata
    n_threads: int = 1
    is_durable: bool = True


class Task(NamedTuple):
    """Successive inputs, to be computed by one worker.

    Segments of one recording are neighbours; the recording is read once for them.

    Attributes:
        journal: Path of the journal that their blocks are appended to. Successive tasks may share
            one; it is empty before the first. Empty: the inputs are only previewed.
        counts_samples: Whether a preview counts samples by decoding where the header does not
            state their number.
    """

    inputs: Sequence[TaskInput]
    journal: str
    counts_samples: bool = False

    def groups(self) -> Iterator[list[TaskInput]]:
        """Yield the inputs: segments of one recording together, others each alone."""
        return grouped(self.inputs, lambda one: one.source)


# Messages of workers


class Started(NamedTuple):
    """An input is being read."""

    number: int


class Computed(NamedTuple):
    """Some frames of an input have been computed: ``seconds`` of audio.

    This run computes ``due`` seconds of the input, which has ``length`` seconds.
    """

    number: int
    due: float
    seconds: float
    length: float


class Finished(NamedTuple):
    """All frames of an input are in journals.

    Attributes:
        state: The state of its file, see ``input_state``.
        entries: Its blocks that the task has computed.
        reused: First frames of the blocks of earlier runs that are still valid.
        work_seconds: Seconds from opening to the last computed frame; ``None`` without one.
    """

    number: int
    metadata: InputMetadata
    state: int
    entries: Sequence[BlockEntry]
    reused: Sequence[int]
    work_seconds: float | None


class Failed(NamedTuple):
    """An input has failed; without metadata if it could not be opened.

    ``n_alike`` inputs of its file fail by this error; it is 0 if another message counts them.
    """

    number: int
    reason: KapreExtractError
    metadata: InputMetadata | None
    n_alike: int = 1


@dataclass(frozen=True)
class Preview:
    """What a run would do with one input.

    Attributes:
        failure: Why it would fail, if its header shows that.
        source_sr: Its sample rate in Hz; 0 if it cannot be read.
        n_channels: Channels that the layer would see.
        n_samples: Samples per channel of the recording that the layer would see; ``None`` if the
            header does not state a length or cannot be read.
        n_time: Frames of its array, likewise.
        seconds: Seconds of audio of the recording or the segment, likewise.
        n_alike: Segments of its file that would fail alike; 0 if another preview counts it.
    """

    failure: KapreExtractError | None = None
    source_sr: int = 0
    n_channels: int = 0
    n_samples: int | None = None
    n_time: int | None = None
    seconds: float | None = None
    n_alike: int = 1

    def shape(self, layer: LayerConfig) -> tuple[int, int, int] | None:
        """Return the shape of its array; ``None`` if there is none or it is not known."""
        if self.failure is not None or self.n_time is None:
            return None
        return layer.array_shape(self.n_time, self.n_channels)


class Previewed(NamedTuple):
    """What a run would do with an input."""

    number: int
    preview: Preview


class WorkerBroken(NamedTuple):
    """The worker and the run must end; ``trace`` is the text of the error's traceback."""

    error: BaseException
    trace: str = ""


class WorkerLost(NamedTuple):
    """A worker process has died.

    Attributes:
        inputs: The inputs to be tried once more, each alone in a task, as retries.
        worker: Its number, which its replacement has now.
        journal: The journal of its last task.
    """

    inputs: Sequence[TaskInput]
    worker: int
    journal: str
    how: str


Message = Started | Computed | Finished | Failed | Previewed | WorkerBroken | WorkerLost


# The channel


class Channel(Resource):
    """One end of a socket pair to another process of this program."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._sending = Lock()

    def fileno(self) -> int:
        """Return the descriptor of this end, readable when a message arrives."""
        return self._socket.fileno()

    def send(self, message: object) -> None:
        """Send a message, from any thread; raise OSError if the other side has ended.

        The call blocks while the other side does not read.
        """
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with self._sending:
            self._socket.sendall(_LENGTH.pack(len(data)) + data, NO_SIGNAL)

    def receive(self) -> Any:
        """Wait for the next message; raise EOFError if the other side has ended."""
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return pickle.loads(self._read(length))  # noqa: S301 - from a process of our own

    def _read(self, n_bytes: int) -> bytearray:
        data = bytearray(n_bytes)
        left = memoryview(data)
        while left:
            n_read = 0
            with suppress(ConnectionError):  # it ended without reading all messages
                n_read = self._socket.recv_into(left)
            if not n_read:
                raise EOFError("the other process has ended")
            left = left[n_read:]
        return data

    def end(self) -> None:
        """Send nothing more; what the other side sends can still be received."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close this end; the other side notices."""
        self._socket.close()
