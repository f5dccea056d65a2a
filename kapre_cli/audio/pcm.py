"""Decode samples that are plain numbers, and find which of their bits are used.

By the WAV format samples fill their bytes from the highest bit on. ALSA's ``S24_LE`` (``arecord -f
S24_LE``) has 24 bits in the lowest of four bytes, and Cool Edit wrote floats with a full scale of
2**23 under the same header. Where the header is ambiguous, the samples are examined.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from kapre_cli.audio.decoders import samples_at_once
from kapre_cli.audio.files import HashingReader, RegularFile
from kapre_cli.audio.headers import Header
from kapre_cli.audio.remedies import as_raw, by_ffmpeg
from kapre_cli.audio.samples import Decoded
from kapre_cli.errors import AudioReadError

_MIN_FLOAT, _MAX_FLOAT = 2.0**-40, 2.0**24


class PcmReader:
    """A :class:`.decoders.SampleReader` for ``n_samples`` integers or floats.

    It uses no library: starting one would take longer than reading a short file.
    """

    read_ahead = 0

    def __init__(self, stream: HashingReader, header: Header) -> None:
        assert header.sample_bytes is not None  # noqa: S101 - for the type checker
        self.sr = header.sr
        self.n_channels = header.n_channels
        self.n_samples = (stream.size - header.start) // header.sample_bytes
        self._sample_bytes = header.sample_bytes
        self._number = header.number
        self._unused_bits = header.unused_bits
        self._stream = stream
        self._stream.seek(header.start)

    def read(self, n_samples: int) -> Decoded:
        """Return the next samples, as :class:`.decoders.SampleReader` defines."""
        stored = self._stream.read_view(n_samples * self._sample_bytes)
        whole = stored[: len(stored) - len(stored) % self._sample_bytes]
        numbers = _numbers(whole, self._number)
        if self._unused_bits:
            numbers = numbers << self._unused_bits
        return numbers.reshape(-1, self.n_channels)


def _numbers(stored: memoryview, number: str) -> Decoded:
    """Return numbers in a type of NumPy; integers fill it from its highest bit on."""
    order, kind = number[0], number[1:]
    if kind == "u1":  # 8 bits count from 0 to 255, silence is 128
        return (np.frombuffer(stored, np.uint8).astype(np.int16) - 128) << 8
    if kind == "i3":
        every_byte = np.frombuffer(stored, np.uint8).reshape(-1, 3)
        widened = np.zeros((len(every_byte), 4), np.uint8)
        first = 1 if order == "<" else 0  # the lowest byte is the one left 0
        for byte in range(3):  # faster than one slice of all
            widened[:, first + byte] = every_byte[:, byte]
        return widened.reshape(-1).view(f"{order}i4")
    values = np.frombuffer(stored, number)
    return values.astype(np.float32) if kind == "f4" else values


def aligned(header: Header, stream: HashingReader, file: RegularFile) -> Header:
    """Complete the header of a WAV with samples narrower than its integers.

    ``unused_bits`` is set by the format or by the samples in ``stream``.

    Raises:
        AudioReadError: If neither determines it.
    """
    alignment = _Alignment(header)
    valid_bits, n_bytes = alignment.valid_bits, alignment.n_bytes
    stated = f"its header declares {valid_bits} bits a sample in {n_bytes} bytes"
    decoder = PcmReader(stream, header)
    at_once = samples_at_once(header.n_channels)
    while alignment.is_undecided and len(block := decoder.read(at_once)):
        alignment.update(block)
    if header.is_left_aligned:
        if alignment.lowest and not alignment.highest:
            raise AudioReadError(
                f"{stated}, by the format the highest ones, and all samples use the lowest ones "
                f"alone; {_remedies(header, alignment, file)}"
            )
        return header
    possible = (alignment.highest, alignment.lowest, alignment.floats)
    if alignment.is_silent or possible == (True, False, False):
        return header
    if possible == (False, True, False):
        return replace(header, unused_bits=8 * n_bytes - valid_bits)
    if possible == (False, False, True):
        raise AudioReadError(
            f"{stated}, and these are floats as Cool Edit wrote them; {by_ffmpeg(file.shell_name)}"
        )
    raise AudioReadError(
        f"{stated}, and neither it nor the samples show which of the {8 * n_bytes} bits "
        f"they are; {_remedies(header, alignment, file)}"
    )


class _Alignment:
    """The alignments that are consistent with the samples examined so far.

    Samples of ``valid_bits`` bits in integers of ``n_bytes`` bytes can be their highest bits, their
    lowest bits, or Cool Edit's floats.
    """

    def __init__(self, header: Header) -> None:
        self.valid_bits = header.valid_bits or header.bits
        self.n_bytes = int(header.number[2:])
        self.highest = True  # the other bits are 0
        self.floats = not header.is_left_aligned
        self.is_silent = True
        self._sign_extended = self._zero_extended = True
        self._is_left_aligned = header.is_left_aligned

    @property
    def lowest(self) -> bool:
        """Whether they can be the lowest bits: the others repeat the sign, or all are 0."""
        return self._sign_extended or self._zero_extended

    @property
    def is_undecided(self) -> bool:
        """Whether more samples could decide it."""
        if self._is_left_aligned:
            return self.lowest
        return self.highest or self.lowest or self.floats

    def update(self, block: Decoded) -> None:
        """Examine more samples, integers that fill their type from the highest bit on."""
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
                is_float = (sizes == 0) | ((sizes >= _MIN_FLOAT) & (sizes <= _MAX_FLOAT))
            self.floats = bool(is_float.all())


def _remedies(header: Header, alignment: _Alignment, file: RegularFile) -> str:
    """Return the pipes for either alignment."""
    pipe = partial(
        as_raw,
        file.shell_name,
        header.start,
        header.n_bytes,
        header.number,
        header.sr,
        header.n_channels,
    )
    return (
        f"if they fill these from the highest bit on: {pipe()}; if they are "
        f"the lowest {alignment.valid_bits} bits, as arecord -f S24_LE writes: "
        f"{pipe(2 ** (8 * alignment.n_bytes - alignment.valid_bits))}"
    )
