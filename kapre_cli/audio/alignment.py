"""Integers that are wider than their samples: which of their bits these are.

By the WAV format samples fill their bytes from the highest bit on. ALSA's ``S24_LE`` (``arecord -f
S24_LE``) has 24 bits in the lowest of four bytes, and Cool Edit wrote floats of a full scale of
2**23 under the same header. What a header leaves open, all samples together tell.
"""

from dataclasses import replace

import numpy as np

from kapre_cli.audio.decoding import BLOCK_VALUES
from kapre_cli.audio.header import Header
from kapre_cli.audio.opening import RegularFile
from kapre_cli.audio.pcm import PcmDecoder
from kapre_cli.audio.remedies import as_raw, by_ffmpeg, raw_format_of
from kapre_cli.audio.samples import Decoded
from kapre_cli.audio.stream import HashingReader
from kapre_cli.errors import AudioReadError

_LEAST_FLOAT, _LARGEST_FLOAT = 2.0**-40, 2.0**24


def aligned(header: Header, stream: HashingReader, file: RegularFile) -> Header:
    """Return a header that says which bits of its integers the samples are.

    Args:
        header: The header of a WAV whose samples are narrower than its integers.
        stream: The samples that there are.
        file: The file, for remedies.

    Raises:
        AudioReadError: If neither the format nor the samples tell.
    """
    fits = _Fits(header)
    stated = f"its header says {fits.valid_bits} bits a sample in {fits.n_bytes} bytes"
    decoder = PcmDecoder(stream, header)
    while fits.are_open and len(block := decoder.read(BLOCK_VALUES // header.n_channels)):
        fits.update(block)
    if header.is_left_aligned:
        if fits.lowest and not fits.highest:
            raise AudioReadError(
                f"{stated}, by the format the highest ones, and all samples use the lowest ones "
                f"alone; {_remedies(header, fits, file)}"
            )
        return header
    if fits.is_silent or [fits.highest, fits.lowest, fits.floats] == [True, False, False]:
        return header
    if [fits.highest, fits.lowest, fits.floats] == [False, True, False]:
        return replace(header, unused_bits=8 * fits.n_bytes - fits.valid_bits)
    if [fits.highest, fits.lowest, fits.floats] == [False, False, True]:
        raise AudioReadError(
            f"{stated}, and these are floats as Cool Edit wrote them; {by_ffmpeg(file.shell_name)}"
        )
    raise AudioReadError(
        f"{stated}, and neither it nor the samples tell which of the {8 * fits.n_bytes} bits they "
        f"are; {_remedies(header, fits, file)}"
    )


class _Fits:
    """What the samples met so far can be.

    Attributes:
        highest: Whether they can be the highest bits of their integers: the others are 0.
        floats: Whether they can be Cool Edit's floats.
        is_silent: Whether they all are 0.
        valid_bits: Bits of a sample.
        n_bytes: Bytes of an integer.
    """

    def __init__(self, header: Header) -> None:
        self.valid_bits = header.valid_bits or header.bits
        self.n_bytes = int(header.number[2:])
        self.highest = self.is_silent = True
        self._sign_extended = self._zero_extended = True
        self.floats = not header.is_left_aligned
        self._is_left_aligned = header.is_left_aligned

    @property
    def lowest(self) -> bool:
        """Whether they can be the lowest bits: the others repeat the sign, or all are 0."""
        return self._sign_extended or self._zero_extended

    @property
    def are_open(self) -> bool:
        """Whether more samples could tell more."""
        if self._is_left_aligned:
            return self.lowest
        return self.highest or self.lowest or self.floats

    def update(self, block: Decoded) -> None:
        """Look at more samples, integers that fill their type from the highest bit on."""
        bits = 8 * block.dtype.itemsize
        values = block.astype(block.dtype.newbyteorder("=")) >> (bits - 8 * self.n_bytes)
        surplus = bits - self.valid_bits
        self.is_silent &= not values.any()
        self.highest &= not (values & ((1 << 8 * self.n_bytes - self.valid_bits) - 1)).any()
        self._sign_extended &= bool((values << surplus >> surplus == values).all())
        self._zero_extended &= not (values >> self.valid_bits).any()
        if self.floats:
            with np.errstate(invalid="ignore"):
                sizes = np.abs(values.view(np.float32))
                fit = (sizes == 0) | ((sizes >= _LEAST_FLOAT) & (sizes <= _LARGEST_FLOAT))
            self.floats = bool(fit.all())


def _remedies(header: Header, fits: _Fits, file: RegularFile) -> str:
    """Return the pipes for samples that fill their integers from either end."""
    place = (file.shell_name, header.start, header.n_bytes)
    form = raw_format_of(header.number, header.sr, header.n_channels)
    return (
        f"if they fill these from the highest bit on: {as_raw(*place, form)}; if they are the "
        f"lowest {fits.valid_bits} bits, as arecord -f S24_LE writes: "
        f"{as_raw(*place, form, 2 ** (8 * fits.n_bytes - fits.valid_bits))}"
    )
