"""A worker's tasks: decode inputs, compute them, append results to a journal."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np

from kapre_cli.engines import batches
from kapre_cli.engines.batches import ChannelBlock, Engine, NumpyEngine, batch_frames
from kapre_cli.errors import FeatureError, MissingKerasError, OutputError, input_error
from kapre_cli.extraction.decode import ActiveInput, Block, EndOfInput, Item, decoded
from kapre_cli.extraction.decode_ahead import DecodeAhead
from kapre_cli.extraction.tasks import (
    Computed,
    Failed,
    Finished,
    Message,
    Started,
    Task,
    TaskSettings,
)
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.osutil import Resource
from kapre_cli.resume.journal import SECONDS_AT_RISK, Journal, MemoryJournal, peak_of
from kapre_cli.settings import ExtractionSettings

_SENT_MESSAGES = 64  # messages are sent when they are so many
_SENT_SECONDS = 0.02  # or have waited so long

Send = Callable[[list[Message]], None]


class Outbox(Resource):
    """Sends messages once the blocks that they report are in journals.

    Journals are open as long as inputs need them, that of the last task always.
    """

    def __init__(self, common: TaskSettings, send: Send) -> None:
        self._root = common.root
        self._seconds_at_risk = SECONDS_AT_RISK if common.is_durable else None
        self._send = send
        self._journals: dict[str, Journal] = {}
        self._n_started: Counter[str] = Counter()  # inputs, counted by the thread that decodes
        self._n_ended: Counter[str] = Counter()  # by the one that computes
        self._messages: list[Message] = []
        self._sent = 0.0  # long ago, so that the first message is sent at once
        self._sending = Lock()  # which the end of a worker waits for

    def journal_of(self, task: Task) -> Journal:
        """Return the journal of a task; raise OutputError if it cannot be opened."""
        path = task.journal
        if path not in self._journals:
            self._journals[path] = Journal(Path(path), self._root, self._seconds_at_risk)
        self._n_started[path] += len(task.inputs)
        return self._journals[path]

    def ended(self, journal: Journal | MemoryJournal, message: Finished | Failed) -> None:
        """Add the message of an ended input and count the input for its journal."""
        self._n_ended[str(journal.path)] += 1
        self.add(message)

    def add(self, message: Message) -> None:
        """Add a message; send all after a failure, if they are many or have waited."""
        self._messages.append(message)
        are_many = len(self._messages) >= _SENT_MESSAGES
        if are_many or isinstance(message, Failed) or time.monotonic() - self._sent > _SENT_SECONDS:
            self.send()

    def send(self) -> None:
        """Flush the journals, then send all messages.

        Other processes can then read all blocks. Journals that no input needs any more are closed.
        If one cannot be written, OutputError is raised, and the failures of inputs are sent.
        """
        with self._sending:
            messages, self._messages = self._messages, []
            try:
                for journal in [*self._journals.values()]:
                    journal.flush()
            except OutputError:
                messages = [message for message in messages if not isinstance(message, Finished)]
                raise
            finally:
                if messages:
                    self._send(messages)
            for path in [*self._journals][:-1]:
                if self._n_started[path] == self._n_ended[path]:
                    self._journals.pop(path).close()
                    del self._n_started[path], self._n_ended[path]  # a stream may have no end
            self._sent = time.monotonic()

    def close(self) -> None:
        """Close the journals."""
        for journal in self._journals.values():
            journal.close()


def compute_tasks(tasks: Iterable[Task | None], common: TaskSettings, outbox: Outbox) -> None:
    """Compute all inputs of some tasks; raise OutputError if a journal fails.

    Among the tasks, ``None`` says that the next one may take a while: all earlier ones are computed
    and sent first. A task depends only on its files, the folder of the journals and the settings.
    The caller closes the outbox.
    """
    settings = common.settings
    n_frames = batch_frames(settings.layer, settings.batch_size)
    stage = ComputeStage(settings, outbox)
    try:
        # In this order: an import and a thread that decodes would wait for each other's lock.
        with (
            engine_for(settings, n_frames, common.n_threads) as engine,
            DecodeAhead(_items(tasks, settings, outbox)) as items,
        ):
            batches.run_batches(
                stage.channel_blocks(items), settings.layer.framing, n_frames, engine
            )
    finally:
        outbox.send()  # also of a run that is interrupted in this process


def engine_for(settings: ExtractionSettings, n_frames: int, n_threads: int | None = None) -> Engine:
    """Return the engine of a run, for batches of ``n_frames`` frames."""
    if settings.engine == "numpy":
        return NumpyEngine(settings.layer, n_frames, n_threads)
    try:
        # TensorFlow takes seconds to import: only where it is needed.
        from kapre_cli.engines.keras_engine import KerasEngine
    except ModuleNotFoundError as error:
        raise MissingKerasError(error.name) from error
    return KerasEngine(settings.layer, n_frames, settings.weights)


def _items(
    tasks: Iterable[Task | None], settings: ExtractionSettings, outbox: Outbox
) -> Iterator[Item | None]:
    for task in tasks:
        if task is None:
            yield None
            continue
        journal = outbox.journal_of(task)
        for inputs in task.groups():
            yield from decoded(inputs, settings, journal)


class ComputeStage:
    """Turns decoded items into channel blocks, and computed blocks into journal entries."""

    def __init__(self, settings: ExtractionSettings, outbox: Outbox) -> None:
        self._settings = settings
        self._config = settings.layer
        self._outbox = outbox

    def channel_blocks(self, items: Iterable[Item | None]) -> Iterator[ChannelBlock | None]:
        """Yield channel blocks to compute; ``None`` where the next one may take a while."""
        for item in items:
            if item is None:
                yield None
                self._outbox.send()
            elif isinstance(item, Block):
                yield from self._by_channel(item)
            elif isinstance(item, EndOfInput):
                self._ended(item)
            else:
                self._outbox.add(Started(item.number))

    def _by_channel(self, block: Block) -> Iterator[ChannelBlock]:
        active = block.input
        if active.has_failed:
            return
        n_features, failed = self._config.n_features, partial(self._fail, active)
        try:
            blocks = block.by_channel(n_features, self._append, failed)
        except MemoryError as error:
            self._fail(active, error)
        else:
            yield from blocks

    def _fail(self, active: ActiveInput, reason: Exception, n_alike: int = 1) -> None:
        if active.has_failed:
            return
        active.has_failed = True
        if active.segments:  # of the recording, whose peak cannot be known
            for index, segment in enumerate(active.segments):
                self._fail(segment, reason, 0 if index else len(active.segments))
            return
        failed = Failed(active.number, input_error(reason), active.metadata, n_alike)
        self._outbox.ended(active.journal, failed)

    def _append(self, block: Block) -> None:
        """Append a computed block to the journal."""
        active = block.input
        if active.has_failed:
            return
        try:
            self._check_finite(block)
        except (FeatureError, MemoryError) as error:
            self._fail(active, error)
            return
        active.n_pending -= 1
        if active.segments:
            active.peak = max(active.peak, block.peak)
            self._finish_complete(active.segments)
            return
        is_last = active.is_complete
        metadata = self._metadata(active)
        first, key, ended = block.first_frame, active.source.key, metadata if is_last else None
        entry = active.journal.block(key, active.state, first, block.results, ended, block.peak)
        active.entries.append(entry)
        active.work_seconds = time.monotonic() - active.opened_at
        _, n_time = metadata.frames(self._config.framing)
        length = metadata.seconds
        due, seconds = (n / n_time * length for n in (n_time - active.n_reused, block.n_frames))
        self._outbox.add(Computed(active.number, due, seconds, length))
        if is_last:
            self._finish(active)

    def _check_finite(self, block: Block) -> None:
        """Set non-finite features to NaN if NaN may stay, else raise FeatureError."""
        if math.isfinite(block.peak):
            return
        if self._settings.audio.non_finite != "keep":
            last = block.first_frame + block.n_frames - 1
            raise FeatureError(
                "its samples are so large that float32 overflows in frames "
                f"{block.first_frame:,} to {last:,}; scale it down, for instance to [-1, 1]"
            )
        block.results[~np.isfinite(block.results)] = np.nan  # also where an infinity led
        block.peak = peak_of(block.results)

    def _ended(self, end: EndOfInput) -> None:
        """Fail an input, or finish it if all of it has been computed."""
        active = end.input
        if end.failure is not None:
            self._fail(active, end.failure, end.n_alike)
            return
        active.is_read = True
        self._finish_complete([active])

    def _finish_complete(self, actives: Iterable[ActiveInput]) -> None:
        """Finish the inputs of which all has been computed."""
        for active in actives:
            if active.is_complete and not active.has_failed:
                metadata = self._metadata(active)
                active.journal.done(active.source.key, active.state, metadata)
                self._finish(active)

    def _metadata(self, active: ActiveInput) -> InputMetadata:
        """Return an input's metadata, with the reference of its recording once that is known."""
        metadata = active.required_metadata
        if active.recording is None or not active.is_complete:
            return metadata
        return metadata.with_reference(self._config.finish(active.recording.peak).reference)

    def _finish(self, active: ActiveInput) -> None:
        number, metadata, entries = active.number, self._metadata(active), tuple(active.entries)
        finished = Finished(
            number, metadata, active.state, entries, active.reused, active.work_seconds
        )
        self._outbox.ended(active.journal, finished)
