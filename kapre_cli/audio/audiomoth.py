"""Triggered recordings of the AudioMoth (``...T.WAV``), which leave out stretches of silence.

In place of each stretch the recorder writes one sector of 512 bytes: the bits of a number of 32
bits as samples of +1 and -1, the lowest bit first, and zeros after them. The number says how many
sectors were left out. Sources: AudioMoth-Firmware-Basic (main.c), AudioMoth-Utils (expander.js).
"""

import numpy as np
import numpy.typing as npt

from kapre_cli.audio.headers import Header
from kapre_cli.audio.samples import Decoded
from kapre_cli.errors import AudioReadError

_SECTOR = 256  # samples of 16 bits
_BITS = 32
_MAX_SECTORS = 2**23  # the recorder's files, silence included, have sizes of 32 bits
_HEADERS = (512, 488)  # bytes: the recorder's own, which another program may have replaced


class OmittedSilence:
    """Detects sectors that replace silence, block by block.

    Sectors are counted from the start of the file, and from where they would begin if another
    program had replaced the recorder's header or converted the samples without changing them.

    Args:
        header: The file's header.
    """

    def __init__(self, header: Header) -> None:
        own = (header.start,) if header.number in ("<i2", ">i2") else ()
        self._borders = sorted({-(n_bytes // 2) % _SECTOR for n_bytes in (*_HEADERS, *own)})
        self._sr = header.sr
        self._position = 0
        self._tail: Decoded = np.empty((0, header.n_channels), np.int16)

    def check(self, block: Decoded) -> None:
        """Check the next samples, shape ``(samples, channels)``.

        Raises:
            AudioReadError: If one of their sectors replaces silence.
        """
        samples = np.concatenate([self._tail, block]) if len(self._tail) else block
        self._check_sectors(samples, self._position - len(self._tail))
        self._position += len(block)
        self._tail = samples[max(len(samples) - _SECTOR + 1, 0) :].copy()

    def _check_sectors(self, samples: Decoded, position: int) -> None:
        one = _one(samples.dtype)
        for border in self._borders:
            first = (border - position) % _SECTOR
            for row, channel in np.argwhere(_may_replace_silence(samples[first:], one)):
                start = first + row * _SECTOR
                n_omitted = _number(samples[start : start + _SECTOR, channel], one)
                if n_omitted:
                    raise self._error(position + start, n_omitted)

    def _error(self, position: int, n_omitted: int) -> AudioReadError:
        seconds = n_omitted * _SECTOR / self._sr
        return AudioReadError(
            f"AudioMoth triggered recording: {seconds:,.3f} s of silence were left out at "
            f"{position / self._sr:,.3f} s, and one sector of +1 and -1 replaces it; "
            "restore them with 'Expand AudioMoth T.WAV Files' of the AudioMoth Configuration App "
            "(or `expand` of audiomoth-utils), and name the files that it makes"
        )


def _one(dtype: np.dtype[np.generic]) -> float:
    """Return the lowest bit of a sample of 16 bits, in samples of a type."""
    if dtype.kind == "f":
        return 2.0**-15
    return int(2 ** (8 * dtype.itemsize - 16))


def _may_replace_silence(samples: Decoded, one: float) -> npt.NDArray[np.bool_]:
    """Return for each complete sector and channel whether a few of its samples match.

    Few sectors of noise of +1, 0 and -1 match; they are then checked in full.
    """
    n_sectors = len(samples) // _SECTOR
    samples = samples[: n_sectors * _SECTOR]
    matches = samples[_BITS - 1 :: _SECTOR] == -one  # the highest bit is never set
    for index in (_BITS, 2 * _BITS, 4 * _BITS, _SECTOR - 1):
        matches &= samples[index::_SECTOR] == 0
    return matches


def _number(sector: npt.NDArray[np.generic], one: float) -> int:
    """Return the number of sectors that a sector replaces; 0 if it replaces none."""
    bits = sector[:_BITS]
    if sector[_BITS:].any() or (np.abs(bits) != one).any():
        return 0
    number = sum(1 << index for index, bit in enumerate(bits) if bit > 0)
    return number if number <= _MAX_SECTORS else 0
