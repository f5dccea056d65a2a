"""FLAC: its metadata, a second file after it, and the readers that detect every lost frame."""

from functools import partial

from kapre_cli.audio.decoders import AudioDecoder, SampleReader, count_samples
from kapre_cli.audio.files import ByteSource, HashingReader, RegularFile
from kapre_cli.audio.flac_metadata import FLAC_MARK, STREAMINFO_END, read_flac, read_metadata
from kapre_cli.audio.header import Header
from kapre_cli.audio.trailing import FIRST_OF_TWO, SecondFile, find_file, flac_end

_LIBSNDFILE_BITS = (8, 16, 24)


class FlacDecoder(AudioDecoder):
    """A FLAC stream, with or without a tag in front of it."""

    name = "FLAC"
    suffixes = (".flac",)

    @classmethod
    def recognizes(cls, file: ByteSource) -> bool:
        """Whether a file begins as FLAC, after an ID3v2 tag if there is one."""
        return file.at(_after_id3(file), 4) == FLAC_MARK

    @classmethod
    def read_header(cls, file: RegularFile) -> Header:
        """Return the header of the stream."""
        return read_flac(file, _after_id3(file))

    def open(self) -> None:
        """Open the stream; note a second file after it."""
        super().open()
        if self._left_out is not None:
            self.n_missing = self.n_missing or -1  # at least: the second file is not counted

    def open_stream(self) -> HashingReader:
        """Return the stream without its declared total, so that it is decoded to its end."""
        self._first_frame, self.notes = read_metadata(self.file, self.header.start)
        self._end = flac_end(self.file)
        second = self._second_file() if self.is_counted else None
        if second is not None and not self.settings.allow_truncated:
            raise second.error(FIRST_OF_TWO)
        self._left_out = second
        return self._stream_until(second.start if second else self._end)

    def open_reader(self) -> SampleReader:
        """Return a new reader of the stream."""
        return self._reader_of(self.stream)

    def explain_failure(self) -> None:
        """Raise AudioReadError if a second file follows."""
        self._check_single_file()

    def check_end(self) -> None:
        """Check that neither a second file nor samples follow."""
        if not self.is_counted:
            self._check_single_file(self.stream.tell_in_file() - self.reader.read_ahead)
        super().check_end()

    def _reader_of(self, stream: HashingReader) -> SampleReader:
        stream.seek(0)
        bits = self.header.bits
        # libsndfile decodes a lost frame as zeros, which the MD5 alone would show.
        if self.header.md5 is None or bits not in _LIBSNDFILE_BITS:
            from kapre_cli.audio.ffmpeg import FfmpegReader  # a large library for rare files

            return FfmpegReader(stream, bits)
        from kapre_cli.audio.libsndfile import LibsndfileReader

        return LibsndfileReader(stream, "int16" if bits <= 16 else "int32")

    def _stream_until(self, end: int) -> HashingReader:
        """Return the stream with no metadata but STREAMINFO, without its total."""
        head = bytearray(self.file.at(self.header.start, STREAMINFO_END))
        head[4] |= 0x80  # the last block
        head[21] &= 0xF0  # the total: 36 bits
        head[22:26] = bytes(4)
        return HashingReader(self.file, bytes(head), self._first_frame, end)

    def _second_file(self, position: int = 0) -> SecondFile | None:
        """Return the file that begins after the samples; ``None`` if there is none.

        The header of a file can also stand inside a FLAC frame, in which case more samples follow.

        Args:
            position: Where to begin the search, in bytes from the start of the file.
        """
        second = find_file(self.file, max(self._first_frame, position), self._end)
        if second is None or self._n_samples_until(second.start) < self._n_samples_until(self._end):
            return None
        return second

    def _n_samples_until(self, end: int) -> int:
        new_reader = partial(self._reader_of, self._stream_until(end))
        return count_samples(new_reader, self.settings.max_frames)[0]

    def _check_single_file(self, position: int = 0) -> None:
        if second := self._second_file(position):
            raise second.error(FIRST_OF_TWO)


def _after_id3(file: ByteSource) -> int:
    """Return where the audio begins: some programs write an ID3v2 tag before a FLAC stream."""
    start = file.at(0, 10)
    if start[:3] != b"ID3":
        return 0
    length = 0
    for seven_bits in start[6:]:
        length = length << 7 | seven_bits & 0x7F
    return 10 + length
