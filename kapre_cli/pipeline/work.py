"""One input on its way from file to output."""

from dataclasses import dataclass, field

from kapre_cli.settings import LayerConfig
from kapre_cli.sources import Source
from kapre_cli.storage.journal import BlockEntry
from kapre_cli.storage.metadata import InputFacts
from kapre_cli.storage.stored import Features


@dataclass(slots=True)
class Work:
    """What has become of one input so far.

    Attributes:
        source: The input.
        facts: What is known of it; ``None`` until it has been opened.
        of: The state of its file that its blocks belong to, see ``journal.identity``.
        entries: Its blocks that are in the journal, by their first frame.
        stored_in: The earlier output that its array is in, if that is kept.
        restated: Whether what is known of it differs from what the earlier output says.
        read: Whether its file has been read, and checked, to the end.
        done: Whether all its features are there.
        kept: Whether an earlier run has done it.
        failed: Whether it has failed; whatever of it is still under way is void.
    """

    source: Source
    facts: InputFacts | None = None
    of: int = 0
    entries: dict[int, BlockEntry] = field(default_factory=dict)
    stored_in: Features | None = None
    restated: bool = False
    read: bool = False
    done: bool = False
    kept: bool = False
    failed: bool = False

    def blocks(self, config: LayerConfig) -> dict[int, int]:
        """Return how many frames each block of the input has, by its first frame."""
        if self.facts is None:
            return {}
        framing = config.framing
        n_time = framing.n_time(self.facts.n_samples)
        return dict(framing.blocks(n_time, config.n_features, self.facts.n_channels))

    def drop_misfits(self, config: LayerConfig) -> None:
        """Forget blocks that are cut in another way than this program cuts them."""
        fitting = self.blocks(config)
        self.entries = {
            first: entry
            for first, entry in self.entries.items()
            if fitting.get(first) == entry.shape[1]
        }

    def is_whole(self, config: LayerConfig) -> bool:
        """Whether every block of the input is in the journal."""
        return self.facts is not None and self.entries.keys() == self.blocks(config).keys()
