"""One file, decoded from its beginning to its end and compared with its header."""

from collections.abc import Iterator
from functools import partial

from kapre_cli.audio.audiomoth import OmittedSilence
from kapre_cli.audio.files import RegularFile, read_errors
from kapre_cli.audio.identify import identify
from kapre_cli.audio.remedies import scaled
from kapre_cli.audio.samples import FiniteCheck, SampleMd5, Samples, as_floats
from kapre_cli.errors import AudioReadError
from kapre_cli.osutil import Resource
from kapre_cli.settings import AudioSettings

_DEFAULTS = AudioSettings(sr=1)  # the rate is not checked here


class AudioFile(Resource):
    """A recording, open for reading from its beginning to its end.

    Args:
        path: The file.
        settings: How strictly it is read, and the format of its samples if it has no header; the
            rate and the channels of the run are ignored.
        is_stream: Whether the file holds the bytes of a pipe, see :func:`.identify.identify`.

    Attributes:
        sr: Sample rate in Hz.
        n_channels: Number of channels.
        n_samples: Samples to read in each channel: as many as the header declares, or the
            available ones if fewer or more are allowed.
        n_missing: Declared samples less available ones: negative if there are more, 0 for a
            complete file. Where the header declares bytes only, an estimate. At least 1 where it
            declares nothing and decoding stops at damage; at most -1 where a second file after the
            samples is left out.
        size: Bytes of the file.
        mtime_ns: Time of its last change in nanoseconds.
        sha256: SHA-256 of the file's bytes in hexadecimal; empty until it has been read to its
            end.
        notes: Harmless peculiarities of the file, in sentences.

    Raises:
        AudioReadError: If the file cannot be opened or decoded, has no samples or too many, or
            fewer or more than its header declares.
    """

    def __init__(
        self, path: str, settings: AudioSettings = _DEFAULTS, *, is_stream: bool = False
    ) -> None:
        self.sha256 = ""
        self._file = RegularFile(path, is_stream=is_stream)
        try:
            with read_errors():
                self.size, self.mtime_ns = self._file.size, self._file.mtime_ns
                kind, header = identify(self._file, settings.raw_format)
                self.sr, self.n_channels = header.sr, header.n_channels
                # Not a method: a reference to this file would keep its buffers in memory.
                scaling = partial(_scaling, self._file, header.kind)
                self._finite = FiniteCheck(settings.non_finite, self.sr, scaling)
                self._decoder = decoder = kind(self._file, header, settings)
                self._md5 = decoder.md5 if settings.verify_audio else None
                self.n_samples, self.n_missing = decoder.n_samples, decoder.n_missing
                self.notes = decoder.notes
                decoder.check_limit(self.n_samples)
                if self.n_samples == 0:
                    raise AudioReadError(
                        "the file has a header and no samples: the recorder has stopped before it "
                        "wrote any; leave it out"
                    )
        except BaseException:
            self.close()
            raise

    @property
    def n_non_finite(self) -> int:
        """Samples read so far that are NaN or infinite, in all channels."""
        return self._finite.count

    def blocks(self) -> Iterator[Samples]:
        """Yield the samples in order as blocks of shape ``(samples, channels)``, once.

        Integer encodings are scaled to [-1, 1), float encodings are as they are stored. The file
        as a whole is checked after the last block.

        Raises:
            AudioReadError: If decoding fails, there are fewer or more samples than declared, their
                MD5 differs from the header's, a sample is NaN or infinite and may not be, or the
                file changes meanwhile. The blocks yielded before are invalid then.
        """
        with read_errors():
            try:
                yield from self._checked_blocks()
            except AudioReadError:
                self._file.check_unchanged()  # a change is the better explanation
                raise
            self._file.check_unchanged()
            self.sha256 = self._decoder.stream.sha256()
            self._file.check_unchanged()

    def _checked_blocks(self) -> Iterator[Samples]:
        header = self._decoder.header
        samples_md5 = SampleMd5(header.bits) if self._md5 else None
        omitted = OmittedSilence(header)
        for block in self._decoder.blocks():
            if samples_md5 is not None:
                samples_md5.update(block)
            omitted.check(block)
            floats = as_floats(block)
            yield self._finite.apply(floats, block) if block.dtype.kind == "f" else floats
        if samples_md5 is not None and samples_md5.digest() != self._md5:
            raise AudioReadError(
                "damaged: the MD5 of its samples is not the one in its header; "
                "--no-verify-audio takes them as they are"
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _scaling(file: RegularFile, kind: str, factor: str) -> str:
    """Return the remedy for samples beyond the range of float32."""
    remedy = f"scale the recording down first, by {factor} or less"
    return remedy if kind == "raw" else f"{remedy}: {scaled(file.shell_name, factor)}"
