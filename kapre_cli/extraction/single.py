"""Compute one input in this process, without a work folder."""

from kapre_cli.audio.memory import SampleArray
from kapre_cli.engines import batches
from kapre_cli.engines.batches import batch_frames
from kapre_cli.extraction.assembly import final_array
from kapre_cli.extraction.compute import ComputeStage, Outbox, engine_for
from kapre_cli.extraction.decode import decoded
from kapre_cli.extraction.tasks import Failed, Finished, Message, TaskInput, TaskSettings
from kapre_cli.formats.array_chunks import ArrayChunks
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.inputs import Source
from kapre_cli.resume.journal import MemoryJournal
from kapre_cli.settings import ExtractionSettings


def compute_one(
    source: Source, settings: ExtractionSettings, samples: SampleArray | None = None
) -> tuple[InputMetadata, ArrayChunks]:
    """Return metadata and array of one input, which is decoded and computed in this thread.

    Samples in memory have the place of its file, if there are any.

    Raises:
        KapreExtractError: If the input cannot be read or computed.
    """
    journal, messages = MemoryJournal(), list[Message]()
    outbox = Outbox(TaskSettings(settings, OutputMetadata.of(settings)), messages.extend)
    n_frames = batch_frames(settings.layer, settings.batch_size)
    items = decoded([TaskInput(0, source)], settings, journal, samples)
    with engine_for(settings, n_frames) as engine:
        blocks = ComputeStage(settings, outbox).channel_blocks(items)
        batches.run_batches(blocks, settings.layer.framing, n_frames, engine)
    outbox.send()
    last = messages[-1]
    if isinstance(last, Failed):
        raise last.reason
    assert isinstance(last, Finished)  # noqa: S101 - for the type checker
    dtype = settings.output.dtype
    reference = last.metadata.reference
    array = final_array(journal.read, last.entries, settings.layer, dtype, reference)
    return last.metadata.with_reference(array.reference), array
