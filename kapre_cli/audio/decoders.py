"""Audio decoders, one for each kind of file, and counting decoded samples.

An installed package adds a kind as an entry point of the group ``kapre_cli.decoders``: a class
derived from :class:`AudioDecoder`, under the name of its kind. It is tried only for files that no
decoder of this package recognises.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from kapre_cli.audio.files import ByteSource, HashingReader, RegularFile
from kapre_cli.audio.headers import Header
from kapre_cli.errors import AudioReadError
from kapre_cli.registry import Registry
from kapre_cli.settings import AudioSettings
from kapre_cli.text import Argument, Text

if TYPE_CHECKING:
    import numpy.typing as npt

READ_VALUES = 2**18  # samples of all channels together that are decoded at once: 1 MiB

_FINER_STEPS = (512, 1)
_MAX_TRAILING_ERRORS = 1000


class DecodingError(AudioReadError):
    """A file that a decoder cannot open or cannot continue."""


class SampleReader(Protocol):
    """Reads the samples of a file once, from its beginning to its end.

    Attributes:
        sr: Sample rate in Hz.
        n_channels: Number of channels.
        read_ahead: How many bytes after those of the returned samples it may have read, at most.
    """

    sr: int
    n_channels: int
    read_ahead: int

    def read(self, n_samples: int) -> "npt.NDArray[Any]":
        """Return the next samples, shape ``(samples, channels)``; fewer at the end.

        Integers (int16, int32) fill their type from its highest bit on. Floats (float32, float64)
        are scaled so that full scale is 1.

        Raises:
            DecodingError: If it cannot continue. The samples of this call are lost.
        """


class AudioDecoder(ABC):
    """A file of one kind, opened to be decoded from its beginning to its end.

    A kind has to define ``name``, :meth:`recognizes`, :meth:`read_header` and :meth:`open_reader`.
    The methods of this class then compare what is decoded with what the header declares.

    Args:
        file: The file.
        header: Its header, as :meth:`read_header` has returned it.
        settings: How strictly it is read.

    Attributes:
        name: Name of the kind in messages.
        suffixes: Suffixes in lower case, as ``".wav"``: folders are searched for them.
        is_counted: Whether the samples are first decoded once to count them: if the header does not
            declare their number, or fewer are allowed.
        stream: The bytes that :meth:`open_reader` decodes.
        reader: The reader of :meth:`blocks`, at the first sample; missing if there is none.
        n_samples: Samples to read in each channel.
        n_missing: Declared samples less available ones; negative if there are more.
        md5: The MD5 that all samples must have; ``None`` if it is unknown.
        notes: Harmless peculiarities of the file, in sentences.

    Raises:
        AudioReadError: If the file cannot be decoded, or lacks declared samples.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, file: RegularFile, header: Header, settings: AudioSettings) -> None:
        self.file, self.header, self.settings = file, header, settings
        self.n_samples = self.n_missing = 0
        self.md5 = header.md5
        self.notes: tuple[str, ...] = ()
        self.is_counted = settings.allow_truncated or header.n_samples is None
        self.open()

    @classmethod
    @abstractmethod
    def recognizes(cls, file: ByteSource) -> bool:
        """Whether a file is of this kind, by its first bytes."""

    @classmethod
    @abstractmethod
    def read_header(cls, file: RegularFile) -> Header:
        """Return what the header of a file declares, without decoding its samples.

        Raises:
            AudioReadError: If the header is damaged.
        """

    @abstractmethod
    def open_reader(self) -> SampleReader:
        """Return a new reader of :attr:`stream`, at the first sample.

        Raises:
            DecodingError: If the file cannot be decoded.
        """

    def open_stream(self) -> HashingReader:
        """Return the bytes that :meth:`open_reader` decodes: by default all of the file."""
        return HashingReader(self.file)

    def open(self) -> None:
        """Open the file and set the attributes.

        The declared number of samples is relied on, unless they have to be counted.
        """
        self.stream = self.open_stream()
        declared = self.header.n_samples
        if declared is None or self.is_counted:
            self._count()
            return
        try:
            self.reader = self.new_reader()
        except DecodingError as error:
            raise AudioReadError(
                f"damaged or truncated: the header declares {declared:,} samples, "
                f"0 could be decoded ({error}); copy it again, or leave it out"
            ) from error
        self.n_samples = declared

    def _count(self) -> None:
        declared = self.header.n_samples
        decoded, error = count_samples(self.new_reader, self.settings.max_samples)
        if error is not None and decoded == 0:
            raise AudioReadError(
                f"none of its samples can be decoded ({error}); copy it again, or leave it out"
            )
        if error is not None and not self.settings.allow_truncated:
            raise truncated(f"decoding stopped after {decoded:,} samples ({error})")
        if declared is not None:
            self.n_missing = declared - decoded
        elif error is not None:
            self.n_missing = 1  # at least: how many were recorded is unknown
        if self.n_missing:
            self.md5 = None
        self.n_samples = decoded
        if decoded:
            self.reader = self.new_reader()

    def new_reader(self) -> SampleReader:
        """Return a new reader at the first sample; check its rate and channels."""
        self.stream.seek(0)
        reader, header = self.open_reader(), self.header
        if (reader.sr, reader.n_channels) != (header.sr, header.n_channels):
            raise DecodingError(
                f"its header declares {header.sr:,} Hz and {header.n_channels:,} channels, its "
                f"samples have {reader.sr:,} Hz and {reader.n_channels:,} channels"
            )
        return reader

    def blocks(self) -> "Iterator[npt.NDArray[Any]]":
        """Yield the samples in order, once, as :meth:`SampleReader.read` returns them.

        Raises:
            AudioReadError: If samples are missing, damaged or more than expected.
        """
        at_once = samples_at_once(self.header.n_channels)
        decoded = 0
        while decoded < self.n_samples:
            try:
                block = self.reader.read(min(at_once, self.n_samples - decoded))
            except DecodingError as error:
                self.explain_failure()
                available, _ = count_samples(self.new_reader, self.settings.max_samples)
                counts = f"{self._expected}, {available:,} could be decoded"
                raise truncated(f"damaged or truncated: {counts} ({error})") from error
            if len(block) == 0:
                self.explain_failure()
                raise truncated(f"truncated: {self._expected}, {decoded:,} could be decoded")
            decoded += len(block)
            yield block
        self.check_end()

    @property
    def _expected(self) -> str:
        source = "a first pass decoded" if self.is_counted else "the header declares"
        return f"{source} {self.n_samples:,} samples"

    def explain_failure(self) -> None:  # noqa: B027 - a kind may override it
        """Raise AudioReadError with the cause of a failure, if the kind knows it."""

    def check_end(self) -> None:
        """Check that no samples follow the last one that was read.

        Raises:
            AudioReadError: If some do.
        """
        if self.is_counted:
            return
        at_most = self.settings.max_samples
        limit = None if at_most is None else at_most - self.n_samples
        if n_more := trailing_samples(self.reader, limit):
            n_decoded = self.n_samples + n_more
            self.check_limit(n_decoded)
            raise truncated(f"{self._expected}, {n_decoded:,} could be decoded")

    def check_limit(self, n_samples: int) -> None:
        """Raise AudioReadError for more samples than the settings allow."""
        at_most = self.settings.max_samples
        if at_most is not None and n_samples > at_most:
            raise AudioReadError(
                Text(
                    f"it has {n_samples:,} samples or more, ",
                    Argument("max_samples"),
                    f" allows {at_most:,}",
                )
            )


def truncated(cause: str, remedy: str = "reads the available samples") -> AudioReadError:
    """Return the error of a file that is not as long as declared.

    ``remedy`` says what a run does that allows such files.
    """
    return AudioReadError(Text(f"{cause}; ", Argument("allow_truncated", True), f" {remedy}"))


DECODERS: Registry[AudioDecoder] = Registry(
    "audio decoder",
    "kapre_cli.decoders",
    AudioDecoder,  # type: ignore[type-abstract]
    {"WAV": "kapre_cli.audio.wav:WavDecoder", "FLAC": "kapre_cli.audio.flac:FlacDecoder"},
)


def audio_suffixes() -> tuple[str, ...]:
    """Return the suffixes of all kinds, those of installed decoders last."""
    return tuple(dict.fromkeys(suffix for one in DECODERS for suffix in one.suffixes))


@contextmanager
def decoding_errors(
    stream: HashingReader, errors: tuple[type[Exception], ...], subject: str
) -> Iterator[None]:
    """Turn the errors of a library that decodes a stream into DecodingError.

    An exception that was raised while the library read the stream has precedence.
    """
    try:
        yield
    except DecodingError:
        raise
    except errors as error:
        stream.raise_failure()
        reasons = (getattr(error, name, None) for name in ("error_string", "strerror"))
        reason = next(filter(None, reasons), "") or str(error) or type(error).__name__
        reason = reason.removeprefix("Error : ").rstrip(".;")
        raise DecodingError(f"{subject}: {reason}") from error
    stream.raise_failure()


def samples_at_once(n_channels: int) -> int:
    """Return how many samples of each channel are decoded at once."""
    return max(READ_VALUES // n_channels, 1)


def count_samples(
    new_reader: Callable[[], SampleReader], limit: int | None = None
) -> tuple[int, DecodingError | None]:
    """Decode to the end or to the first error, and count the samples before it.

    An error discards the whole read; the last good sample is located with successively smaller
    reads. Counting stops at more than ``limit`` samples of each channel.
    """
    decoded, first_error = 0, None
    for finer_step in (0, *_FINER_STEPS):
        try:
            reader = new_reader()
            at_once = samples_at_once(reader.n_channels)
            skipped = 0
            while skipped < decoded:
                skipped += len(reader.read(min(at_once, decoded - skipped)))
            while n_more := len(reader.read(finer_step or at_once)):
                decoded += n_more
                if limit is not None and decoded > limit:
                    return decoded, first_error
        except DecodingError as error:
            first_error = first_error or error
        else:
            break
    return decoded, first_error


def trailing_samples(reader: SampleReader, limit: int | None = None) -> int:
    """Return how many samples follow the declared ones, which have been read.

    Errors are skipped: a tag or padding after the last block holds no samples. Counting stops at
    more than ``limit`` samples of each channel.
    """
    decoded = 0
    at_once = samples_at_once(reader.n_channels)
    for _ in range(_MAX_TRAILING_ERRORS):
        try:
            while n_more := len(reader.read(at_once if decoded else 1)):
                decoded += n_more
                if limit is not None and decoded > limit:
                    break
        except DecodingError:
            continue
        break
    return decoded
