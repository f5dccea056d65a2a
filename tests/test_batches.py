"""Packing: every frame comes back once, to where it belongs, whatever lies beside it."""

import itertools
from functools import partial

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kapre_cli.engines.batches import BatchPacker, ChannelBlock
from kapre_cli.framing import Framing


def count_in(done: list[int], count: int, _are_finite: bool) -> None:
    done.append(count)


@given(
    lengths=st.lists(st.none() | st.integers(1, 30), max_size=12),
    n_frames=st.integers(1, 20),
    n_dft=st.integers(2, 20),
    n_hop=st.integers(1, 25),
)
def test_every_frame_is_computed_once_from_its_own_samples(
    lengths: list[int | None], n_frames: int, n_dft: int, n_hop: int
) -> None:
    """Where there is no length there is no block for a while."""
    framing = Framing(n_dft, n_hop, "valid")
    random = np.random.default_rng(0)
    blocks, counts = list[ChannelBlock | None](), []
    for length in lengths:
        if length is None:
            blocks.append(None)
            continue
        samples = random.uniform(-1, 1, framing.n_samples(length)).astype(np.float32)
        results = np.full((length, n_dft), np.nan, np.float32)
        done: list[int] = []
        counts.append(done)
        blocks.append(ChannelBlock(samples, results, partial(count_in, done)))
    blank = [np.zeros(framing.n_samples(n_frames), np.float32) for _ in range(3)]
    pauses: list[list[int]] = []
    packed = BatchPacker(framing, n_frames).pack(blocks, itertools.cycle(blank))
    batches = itertools.cycle(blank)
    for slots in packed:
        if not slots:  # all that came before is on batches that have been yielded
            pauses.append([sum(done) for done in counts])
            continue
        batch = next(batches)
        for before, after in itertools.pairwise(slots):
            # Side by side without overlap, and with less than a hop between them.
            end = before.position * n_hop + framing.n_samples(before.count)
            assert 0 <= after.position * n_hop - end < n_hop
        for slot in slots:
            for i in range(slot.count):  # the "feature" of a frame: its samples
                start = (slot.position + i) * n_hop
                slot.block.results[slot.first + i] = batch[start : start + n_dft]
            slot.block.computed(slot.count, True)
    before_pause: list[int] = []
    for length in lengths:
        if length is None:
            done_then = pauses.pop(0)
            assert done_then == before_pause + [0] * (len(counts) - len(before_pause))
        else:
            before_pause.append(length)
    assert not pauses
    sound = [block for block in blocks if block is not None]
    for block, done, length in zip(sound, counts, before_pause, strict=True):
        assert sum(done) == length
        for frame in range(length):
            np.testing.assert_array_equal(
                block.results[frame], block.samples[frame * n_hop : frame * n_hop + n_dft]
            )
