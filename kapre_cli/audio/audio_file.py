"""One file, decoded from its beginning to its end and held against what its header promises."""

from collections.abc import Iterator
from functools import partial

from kapre_cli.audio.alignment import aligned
from kapre_cli.audio.audiomoth import OmittedSilence
from kapre_cli.audio.behind import flac_end
from kapre_cli.audio.decoders import open_decoder
from kapre_cli.audio.decoding import (
    BLOCK_VALUES,
    Decoder,
    DecodingError,
    count_samples,
    trailing_samples,
)
from kapre_cli.audio.extent import (
    FIRST_OF_TWO,
    REMEDY,
    fewer_by_fact,
    samples_by_fact,
    wav_data_extent,
)
from kapre_cli.audio.flac_metadata import read_metadata
from kapre_cli.audio.headers import parse_header
from kapre_cli.audio.opening import RegularFile, read_errors
from kapre_cli.audio.raw import raw_data_extent
from kapre_cli.audio.remedies import scaled
from kapre_cli.audio.samples import Decoded, FiniteCheck, SampleMd5, Samples, as_floats
from kapre_cli.audio.second_file import SecondFile, find_file
from kapre_cli.audio.stream import HashingReader
from kapre_cli.audio.streaminfo import STREAMINFO_END
from kapre_cli.errors import AudioReadError
from kapre_cli.osutil import Resource
from kapre_cli.settings import AudioSettings

_DEFAULTS = AudioSettings(sr=1)  # the rate is no business of a file


class AudioFile(Resource):
    """A WAV, FLAC or raw file, open for reading from its beginning to its end.

    Args:
        path: The file.
        settings: How strictly it is read, and what it is if it has no header; the rate and the
            channels wanted play no part.
        is_stream: Whether it is what came through a pipe, see :func:`.headers.read_header`.

    Attributes:
        sr: Sample rate in Hz.
        n_channels: Number of channels.
        n_samples: Number of frames that are read: as many as the header promises, unless what
            there is is to be taken.
        n_missing: Frames that the header promises less those that are there: negative if there
            are more, 0 for a whole file. Where the header promises bytes alone, an estimate;
            where it promises nothing and decoding stops at damage, 1: at least so many; where a
            second file behind the samples is left out, -1.
        size: Bytes of the file.
        mtime_ns: Time of its last change in nanoseconds.
        sha256: SHA-256 of the file's bytes in hexadecimal; empty until it has been read to its
            end.
        notes: What is odd about the file and does no harm, in sentences.

    Raises:
        AudioReadError: If the file cannot be opened, is no WAV or FLAC, holds no frames or too
            many, or ends before or after what its header promises.
    """

    def __init__(
        self, path: str, settings: AudioSettings = _DEFAULTS, *, is_stream: bool = False
    ) -> None:
        self.n_missing = 0
        self.sha256 = ""
        self.notes: tuple[str, ...] = ()
        self._settings = settings
        self._file = RegularFile(path, is_stream=is_stream)
        try:
            with read_errors():
                self.size, self.mtime_ns = self._file.size, self._file.mtime_ns
                self._header = parse_header(self._file, settings.raw_format)
                self.sr, self.n_channels = self._header.sr, self._header.n_channels
                self._md5 = self._header.md5 if settings.verify_audio else None
                # Not a method of this file: it would keep itself, and its buffers, for a while.
                scaling = partial(_scaling, self._file, self._header.kind)
                self._finite = FiniteCheck(settings.non_finite, self.sr, scaling)
                self.n_samples = self._open_flac() if self._is_flac else self._open_wav()
                self._check_limit(self.n_samples)
                if self.n_samples == 0:
                    raise AudioReadError(
                        "the file has a header and no samples (0 frames): the recorder has stopped "
                        "before it wrote any; leave it out"
                    )
        except BaseException:
            self.close()
            raise

    @property
    def n_non_finite(self) -> int:
        """Samples met so far that are NaN or infinite, over all channels."""
        return self._finite.count

    @property
    def _is_flac(self) -> bool:
        return self._header.kind == "FLAC"

    def _open_reader(self) -> Decoder:
        decoder = open_decoder(self._stream, self._header)
        if (decoder.sr, decoder.n_channels) != (self.sr, self.n_channels):
            raise DecodingError(
                f"its header says {self.sr:,} Hz and {self.n_channels:,} channels, its samples "
                f"have {decoder.sr:,} Hz and {decoder.n_channels:,} channels"
            )
        return decoder

    def _open_wav(self) -> int:
        """Open a WAV, or samples without a header, with all that is known of how many there are."""
        find_extent = raw_data_extent if self._header.kind == "raw" else wav_data_extent
        data_extent = find_extent(self._file, self._header, self._settings.allow_truncated)
        self._stream, self._counted = data_extent.stream, False
        if data_extent.n_bytes == 0:
            return 0
        if self._header.valid_bits:
            self._header = aligned(self._header, self._stream, self._file)
        self._decoder = self._open_reader()
        decoded = self._decoder.n_samples
        if data_extent.n_samples is not None and decoded != data_extent.n_samples:
            raise AudioReadError(
                f"its bytes make {data_extent.n_samples:,} frames, libsndfile finds {decoded:,}"
            )
        n_samples, self.n_missing, notes = samples_by_fact(self._header, data_extent, decoded)
        is_whole = data_extent.n_bytes == data_extent.declared_bytes
        if is_whole and self.n_missing > 0 and not self._settings.allow_truncated:
            raise fewer_by_fact(n_samples + self.n_missing, n_samples)
        self.notes = data_extent.notes + notes
        return n_samples

    def _open_flac(self) -> int:
        """Open a FLAC stream so that its decoder goes on to the end, whatever its total says."""
        self._first_frame, self.notes = read_metadata(self._file, self._header.start)
        self._end = flac_end(self._file)
        declared, lenient = self._header.n_samples, self._settings.allow_truncated
        self._counted = lenient or declared is None
        second = self._second_flac_file() if self._counted else None
        if second is not None and not lenient:
            raise second.error(FIRST_OF_TWO)
        self._stream = self._flac_stream(second.start if second else self._end)
        if declared is not None and not lenient:
            try:
                self._decoder = self._open_reader()
            except DecodingError as error:
                raise AudioReadError(
                    f"damaged or truncated: the header promises {declared:,} frames, "
                    f"0 frames came: {error}; copy it again, or leave it out"
                ) from error
            return declared
        decoded, stopped = count_samples(self._open_reader, self._settings.max_frames)
        if stopped is not None and decoded == 0:
            raise AudioReadError(
                f"no frame of it can be decoded: {stopped}; copy it again, or leave it out"
            )
        if stopped is not None and not lenient:
            raise AudioReadError(f"decoding stopped after {decoded:,} frames: {stopped}; {REMEDY}")
        if declared is not None:
            self.n_missing = declared - decoded
        elif stopped is not None:
            self.n_missing = 1  # at least: how many there were to be is not known
        self._md5 = None if self.n_missing else self._md5
        if second is not None:
            self.n_missing = self.n_missing or -1  # at least: what is left out is not counted
        if decoded:
            self._decoder = self._open_reader()
        return decoded

    def _flac_stream(self, end: int) -> HashingReader:
        """Return a FLAC stream up to an end, without metadata but STREAMINFO, its total open."""
        head = bytearray(self._file.at(self._header.start, STREAMINFO_END))
        head[4] |= 0x80  # the last block
        head[21] &= 0xF0  # the total: 36 bits
        head[22:26] = bytes(4)
        return HashingReader(self._file, bytes(head), self._first_frame, end)

    def _second_flac_file(self, position: int = 0) -> SecondFile | None:
        """Return the file that begins behind the frames of a FLAC stream, if one does.

        A header of a file can stand inside a frame too: then samples follow behind it.

        Args:
            position: Where to begin the search, in bytes from the start of the file.
        """
        second = find_file(self._file, max(self._first_frame, position), self._end)
        if second is None or self._n_samples_until(second.start) < self._n_samples_until(self._end):
            return None
        return second

    def _n_samples_until(self, end: int) -> int:
        stream = self._flac_stream(end)
        opened = partial(open_decoder, stream, self._header)
        return count_samples(opened, self._settings.max_frames)[0]

    def _check_limit(self, n_samples: int) -> None:
        at_most = self._settings.max_frames
        if at_most is not None and n_samples > at_most:
            raise AudioReadError(
                f"it has {n_samples:,} frames or more, --max-frames allows {at_most:,}"
            )

    def blocks(self) -> Iterator[Samples]:
        """Yield the samples in order as blocks of shape ``(frames, channels)``, once.

        Integer encodings are scaled to [-1, 1), float encodings are as they are stored. Behind
        the last block the file as a whole is checked.

        Raises:
            AudioReadError: If decoding fails, more or fewer frames come than were promised,
                their MD5 is another than the header's, a sample is NaN or infinite and may not
                be, or the file changes meanwhile. What was yielded until then is void.
        """
        with read_errors():
            try:
                yield from self._checked_blocks()
            except AudioReadError:
                self._file.check_unchanged()  # else that is what is to be told
                raise
            self._file.check_unchanged()
            self.sha256 = self._stream.sha256()
            self._file.check_unchanged()

    def _checked_blocks(self) -> Iterator[Samples]:
        samples_md5 = SampleMd5(self._header.bits) if self._md5 else None
        omitted = OmittedSilence(self._header)
        at_once = max(BLOCK_VALUES // self.n_channels, 1)
        decoded = 0
        while decoded < self.n_samples:
            block = self._next(min(at_once, self.n_samples - decoded), decoded)
            decoded += len(block)
            if samples_md5 is not None:
                samples_md5.update(block)
            omitted.check(block)
            floats = as_floats(block)
            yield self._finite.apply(floats, block) if block.dtype.kind == "f" else floats
        if self._is_flac and not self._counted:  # of a WAV it was told from its bytes
            self._require_no_more()
        if samples_md5 is not None and samples_md5.digest() != self._md5:
            raise AudioReadError(
                "damaged: the MD5 of its samples is not the one in its header; "
                "--no-verify-audio takes them as they are"
            )

    def _next(self, n_samples: int, decoded: int) -> Decoded:
        due = (
            f"{'a first pass found' if self._counted else 'the header promises'} {self.n_samples:,}"
        )
        try:
            block = self._decoder.read(n_samples)
        except DecodingError as error:
            self._require_one_file()
            available, _ = count_samples(self._open_reader, self._settings.max_frames)
            raise AudioReadError(
                f"damaged or truncated: {due} frames, {available:,} frames came: {error}; {REMEDY}"
            ) from error
        if len(block) == 0:
            self._require_one_file()
            raise AudioReadError(f"truncated: {due} frames, {decoded:,} frames came; {REMEDY}")
        return block

    def _require_one_file(self, position: int = 0) -> None:
        """Refuse a FLAC file with another file behind it; arguments as :meth:`_second_flac_file`.

        Raises:
            AudioReadError: If there is one.
        """
        if self._is_flac and (second := self._second_flac_file(position)):
            raise second.error(FIRST_OF_TWO)

    def _require_no_more(self) -> None:
        self._require_one_file(self._stream.tell_in_file() - self._decoder.read_ahead)
        at_most = self._settings.max_frames
        limit = None if at_most is None else at_most - self.n_samples
        more = trailing_samples(self._decoder, limit)
        if more:
            self._check_limit(self.n_samples + more)
            raise AudioReadError(
                f"the header promises {self.n_samples:,} frames, {self.n_samples + more:,} frames "
                f"came; {REMEDY}"
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _scaling(file: RegularFile, kind: str, factor: str) -> str:
    """Return the remedy for samples beyond the range of float32."""
    remedy = f"scale the recording down first, by {factor} or less"
    return remedy if kind == "raw" else f"{remedy}: {scaled(file.shell_name, factor)}"
