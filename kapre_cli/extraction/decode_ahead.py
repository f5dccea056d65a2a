"""Decode in a thread, ahead of the computation."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator

from kapre_cli.extraction.decode import Block, Item
from kapre_cli.osutil import Resource

AHEAD_VALUES = 2**23  # samples that may wait to be computed: 32 MiB
# So many samples or items are handed over at once: a lock for each would cost more than decoding.
CHUNK_VALUES = 2**18
CHUNK_ITEMS = 128
SECONDS_TO_END = 5.0  # that a thread which waits for a disk may take to end


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
