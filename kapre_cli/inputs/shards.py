"""The inputs that one of several runs takes: a contiguous, stable part, balanced in bytes."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import accumulate

from kapre_cli.inputs import Source
from kapre_cli.settings import Shard


def take(sources: Sequence[Source], shard: Shard) -> tuple[Sequence[Source], Shard]:
    """Return the inputs of a shard, and the shard with the digest of the whole list.

    Runs that find the same inputs, of the same sizes, cut them in the same way.
    """
    sizes = [source.size for source in sources]
    taken = cut(sizes, shard.index, shard.of)
    digest = sha256()
    for source, size in zip(sources, sizes, strict=True):
        digest.update(json.dumps([source.key, size]).encode())
    return sources[taken.start : taken.stop], replace(shard, inputs=digest.hexdigest())


def cut(sizes: Sequence[int], index: int, of: int) -> range:
    """Return the indices of the ``index``-th of ``of`` parts, counted from 1.

    All inputs, laid end to end, are cut into equal lengths; an input belongs to the part that
    contains its middle. So no part exceeds such a length plus the largest input. If all sizes are
    0, every input counts the same. Parts may be empty.

    >>> [list(cut([5, 1, 1, 1, 2], index, 2)) for index in (1, 2)]
    [[0], [1, 2, 3, 4]]
    """
    if not any(sizes):
        sizes = [1] * len(sizes)
    total = sum(sizes)
    parts = [
        min((2 * before + size) * of // (2 * total), of - 1)  # without a size, at the very end
        for before, size in zip(accumulate(sizes, initial=0), sizes, strict=False)
    ]
    return range(bisect_left(parts, index - 1), bisect_right(parts, index - 1))
