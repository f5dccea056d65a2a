"""Messages between a run and its workers; all of them can be pickled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kapre_cli.errors import KapreExtractError
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.inputs import Source
from kapre_cli.resume.journal import BlockEntry
from kapre_cli.settings import ExtractionSettings, LayerConfig

TASK_INPUTS = 64  # of one task, at most


class TaskInput(NamedTuple):
    """One input of a task.

    Attributes:
        number: Its place among the inputs of the run.
        state: The state of its file that ``blocks`` belong to, see ``journal.identity``.
        blocks: Blocks that earlier runs have computed: first frame and number of frames.
    """

    number: int
    source: Source
    state: int = 0
    blocks: tuple[tuple[int, int], ...] = ()
    n_bytes: int = 0


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

    Attributes:
        journal: Path of the journal that their blocks are appended to. Successive tasks may share
            one; it is empty before the first. Empty: the inputs are only previewed.
    """

    inputs: Sequence[TaskInput]
    journal: str


class Began(NamedTuple):
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
        state: The state of its file, see ``journal.identity``.
        entries: Its blocks that the task has computed.
        kept: First frames of the blocks of earlier runs that are still valid.
        work_seconds: Seconds from opening to the last computed frame; ``None`` without one.
    """

    number: int
    metadata: InputMetadata
    state: int
    entries: Sequence[BlockEntry]
    kept: Sequence[int]
    work_seconds: float | None


class Failed(NamedTuple):
    """An input has failed; without metadata if it could not be opened."""

    number: int
    reason: KapreExtractError
    metadata: InputMetadata | None


@dataclass(frozen=True)
class Preview:
    """What a run would do with one input.

    Attributes:
        failure: Why it would fail, if its header shows that.
        source_sr: Its sample rate in Hz; 0 if it cannot be read.
        n_channels: Channels that the layer would see.
        n_samples: Samples per channel that the layer would see; ``None`` if the header does not
            tell or cannot be read.
    """

    failure: KapreExtractError | None = None
    source_sr: int = 0
    n_channels: int = 0
    n_samples: int | None = None

    def shape(self, layer: LayerConfig) -> tuple[int, int, int] | None:
        """Return the shape of its array; ``None`` if there is none or it is not known."""
        if self.failure is not None or self.n_samples is None:
            return None
        return layer.shape(self.n_samples, self.n_channels)


class Previewed(NamedTuple):
    """What a run would do with an input."""

    number: int
    preview: Preview


class Broken(NamedTuple):
    """The worker cannot go on, and neither can the run; ``trace`` is the error's traceback."""

    error: BaseException
    trace: str = ""


class Lost(NamedTuple):
    """A worker process has died.

    Attributes:
        inputs: The inputs that it had not finished.
        worker: Its number, which its replacement has now.
        journal: The journal of its last task.
    """

    inputs: Sequence[TaskInput]
    worker: int
    journal: str
    how: str


Event = Began | Computed | Finished | Failed | Previewed | Broken | Lost
