"""One input on its way from file to output."""

from dataclasses import dataclass, field

from kapre_cli.errors import quoted
from kapre_cli.outcomes import Known
from kapre_cli.report import duration
from kapre_cli.settings import LayerConfig
from kapre_cli.settings.limits import INT64
from kapre_cli.sources import Source
from kapre_cli.storage.block_store import BlockEntry
from kapre_cli.storage.metadata import InputFacts
from kapre_cli.storage.stored import Features


def tells_state(source: Source, mtime_ns: int) -> bool:
    """Return whether the time of its last change tells one state of an input from another.

    Args:
        source: The input.
        mtime_ns: The time as it is stored. Times beyond 64 bits are stored as the nearest
            time within, so the first and the last of these may stand for any of them.
    """
    return not source.is_stream and INT64[0] < mtime_ns < INT64[1]


@dataclass(slots=True)
class Work:
    """What has become of one input so far.

    Attributes:
        source: The input.
        facts: What is known of it; ``None`` until it has been opened.
        n_blocks: How many blocks its frames are cut into; 0 until it has been opened.
        of: The state of its file that its blocks belong to, see ``journal.identity``.
        entries: Its blocks that are in the journal, by their first frame.
        n_kept: How many of its frames were in the journal when its file was opened.
        stored_in: The earlier output that its array is in, if that is kept.
        restated: Whether what is known of it differs from what the earlier output says.
        read: Whether its file has been read, and checked, to the end.
        done: Whether all its features are there.
        kept: Whether an earlier run has done it.
        failed: Whether it has failed; whatever of it is still under way is void.
        begun: When its file was opened, by the clock of :func:`time.monotonic`.
        work_seconds: Seconds from then until the last of its frames so far was computed; ``None``
            if none was.
    """

    source: Source
    facts: InputFacts | None = None
    n_blocks: int = 0
    of: int = 0
    entries: dict[int, BlockEntry] = field(default_factory=dict)
    n_kept: int = 0
    stored_in: Features | None = None
    restated: bool = False
    read: bool = False
    done: bool = False
    kept: bool = False
    failed: bool = False
    begun: float = 0.0
    work_seconds: float | None = None

    def open(self, facts: InputFacts, config: LayerConfig) -> None:
        """Take note of what is known of the input once its header has been read."""
        self.facts = facts
        self.n_blocks = len(self._blocks(config))

    def _blocks(self, config: LayerConfig) -> dict[int, int]:
        """Return how many frames each block of the input has, by its first frame."""
        assert self.facts is not None  # noqa: S101 - for the type checker: it was opened
        n_time = config.framing.n_time(self.facts.n_samples)
        return dict(config.framing.blocks(n_time, config.n_features, self.facts.n_channels))

    def drop_misfits(self, config: LayerConfig) -> None:
        """Forget blocks that are cut in another way than this program cuts them."""
        fitting = self._blocks(config) if self.entries else {}
        self.entries = {
            first: entry
            for first, entry in self.entries.items()
            if fitting.get(first) == entry.shape[1]
        }

    def known(self, config: LayerConfig) -> Known:
        """Return what there is to say of the input once it has ended.

        Args:
            config: The layer's arguments, with the image data format resolved.
        """
        facts, key = self.facts, self.source.key
        if facts is None:
            return Known(key)
        return Known(
            key,
            config.shape(facts.n_samples, facts.n_channels),
            facts.n_samples / facts.sr,
            self.work_seconds,
            facts.note or None,
            facts.reference,
            facts.reference_db,
            facts.is_floored(config),
        )

    def told(self, config: LayerConfig) -> str:
        """Return what there is to say of an input that is done: its key, shape and length."""
        assert self.facts is not None  # noqa: S101 - for the type checker: it was opened
        shape = config.shape(self.facts.n_samples, self.facts.n_channels)
        sizes = ", ".join(f"{axis} {n:,}" for axis, n in zip(config.axes, shape, strict=True))
        return (
            f"{quoted(self.source.key)}: {sizes}; {duration(self.facts.n_samples / self.facts.sr)}"
        )

    @property
    def was_tried(self) -> bool:
        """Whether reading it has begun, in this run or in one whose work is kept."""
        return bool(self.begun or self.entries or self.facts)

    @property
    def n_lacking(self) -> int:
        """How many blocks of the input, once it is open, are not in the journal."""
        return self.n_blocks - len(self.entries)
