"""One input on its way from file to output, in the process that coordinates the run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kapre_cli.errors import KapreExtractError
from kapre_cli.events import InputResult
from kapre_cli.formats.features import Features
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.inputs import Source
from kapre_cli.resume.journal import BlockEntry
from kapre_cli.settings import LayerConfig

NO_ENTRIES: Mapping[int, BlockEntry] = MappingProxyType({})


@dataclass(slots=True, eq=False)
class Job:
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
        was_tried: Whether reading it has begun, in this run or in one whose work is kept.
        work_seconds: Seconds from opening to the last computed frame; ``None`` without one.
        has_blocks: Whether blocks of it have been computed in this run.
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

    @property
    def has_ended(self) -> bool:
        """Whether it is done or has failed."""
        return self.is_done or self.has_failed

    @property
    def required_metadata(self) -> InputMetadata:
        """Metadata of an input that has been opened."""
        if self.metadata is None:
            raise RuntimeError(f"{self.source.key!r} has not been opened")
        return self.metadata

    def reuse_blocks(
        self,
        state: int,
        entries: Mapping[int, BlockEntry],
        metadata: InputMetadata,
        config: LayerConfig,
    ) -> bool:
        """Take blocks of journals if they cover the whole input; return whether they do."""
        blocks = input_blocks(metadata, config)
        if any(first not in entries or entries[first].shape[1] != n for first, n in blocks):
            return False
        self.state, self.metadata = state, metadata
        self.entries = {first: entries[first] for first, _ in blocks}
        return True

    def result(self, config: LayerConfig) -> InputResult:
        """Return the values of an ended input that messages and the report show."""
        metadata, key = self.metadata, self.source.key
        if metadata is None:
            return InputResult(key)
        return InputResult(
            key,
            config.shape(metadata.n_samples, metadata.n_channels),
            metadata.seconds,
            self.work_seconds,
            metadata.note or None,
            metadata.reference,
            metadata.reference_db,
            metadata.is_floored(config),
        )


def input_blocks(metadata: InputMetadata, config: LayerConfig) -> list[tuple[int, int]]:
    """Return the blocks that an input is cut into: first frame and number of frames."""
    n_time = config.framing.n_time(metadata.n_samples)
    return list(config.framing.blocks(n_time, config.n_features, metadata.n_channels))
