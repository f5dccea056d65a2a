"""What a process that computes and the one that it computes for have in common.

They share memory: tapes of samples, and the features of each. To the process that computes go lines
and then bytes: ``import``, if that can begin before anything else is known; the layer and the
frames of a tape as JSON; then the number of each tape that is to be computed, a byte each. From it
come a line of JSON with the layer's warnings, and the number of each tape when it is done; or, at
any time, a line of JSON with an error.
"""

import json
import mmap
from typing import TYPE_CHECKING, Any

from kapre_cli.pipeline.processors import n_processors
from kapre_cli.settings import LayerConfig

if TYPE_CHECKING:
    from kapre_cli.audio.samples import Samples
    from kapre_cli.pipeline.transform import Features

IMPORT = b"import\n"
READY, FAILED = "warnings", "error"
ERROR = b'{"error"'  # how the line with one begins; no text in JSON has it

_ROOM_BYTES = 2**28
_MOST_THREADS = 8
_FLOAT_BYTES = 4


def shared_memory() -> mmap.mmap:
    """Return memory that a fork shares with its parent; it is taken up only as it is written to."""
    return mmap.mmap(-1, _ROOM_BYTES)


def n_tapes(config: LayerConfig, n_frames: int) -> int:
    """Return how many tapes there is room for, and for the features of each."""
    n_values = config.framing.n_samples(n_frames) + n_frames * config.n_features
    return min(_ROOM_BYTES // (_FLOAT_BYTES * n_values), n_threads() + 2)


def arrays(
    memory: mmap.mmap, config: LayerConfig, n_frames: int
) -> tuple[list["Samples"], list["Features"]]:
    """Return the tapes in the shared memory, and the features of each."""
    import numpy as np

    count = n_tapes(config, n_frames)
    sizes = [count * config.framing.n_samples(n_frames), count * n_frames * config.n_features]
    every = np.frombuffer(memory, np.float32)
    tapes, features, _ = np.split(every, np.cumsum(sizes))
    return [*tapes.reshape(count, -1)], [*features.reshape(count, n_frames, -1)]


def n_threads() -> int:
    """Return how many tapes are computed at once."""
    return min(n_processors(), _MOST_THREADS)


def line_of(said: dict[str, Any]) -> bytes:
    """Return what is said as a line."""
    return json.dumps(said).encode() + b"\n"
