"""MP3 for kapre-extract, decoded by libsndfile.

libsndfile takes the number of samples from the Xing or Info header that encoders write; without one
it counts the MPEG frames. A file that ends early therefore fails as a truncated WAV does, and
``--allow-truncated`` reads the samples that can be decoded.
"""

from kapre_cli.audio import AudioDecoder, ByteSource, HashingReader, Header, RegularFile
from kapre_cli.audio.libsndfile import LibsndfileReader

_LAYER_3 = 0b01


class Mp3Decoder(AudioDecoder):
    """An MP3, with or without an ID3v2 tag in front of it."""

    name = "MP3"
    suffixes = (".mp3",)

    @classmethod
    def recognizes(cls, file: ByteSource) -> bool:
        """Whether an MPEG frame of layer III begins the file, or follows its tag."""
        head = file.at(0, 10)
        start = 0
        if head[:3] == b"ID3":
            for seven_bits in head[6:]:
                start = start << 7 | seven_bits & 0x7F
            start += 10
        frame = file.at(start, 3)
        return (
            len(frame) == 3
            and frame[0] == 0xFF
            and frame[1] & 0xE0 == 0xE0
            and frame[1] >> 1 & 0b11 == _LAYER_3
            and frame[2] >> 4 != 0b1111  # no bit rate
        )

    @classmethod
    def read_header(cls, file: RegularFile) -> Header:
        """Return rate, channels and declared samples as libsndfile reads them."""
        reader = LibsndfileReader(HashingReader(file))
        return Header(
            cls.name,
            sr=reader.sr,
            n_channels=reader.n_channels,
            bits=0,
            n_samples=reader.n_samples,
            encoding="MPEG layer III",
        )

    def open_reader(self) -> LibsndfileReader:
        """Return a new reader at the first sample."""
        return LibsndfileReader(self.stream)
