"""Samples without a header: what they are is said from outside, how many by their bytes."""

from kapre_cli.audio.extent import REMEDY, DataExtent
from kapre_cli.audio.header import Header
from kapre_cli.audio.opening import RegularFile
from kapre_cli.audio.stream import HashingReader
from kapre_cli.errors import AudioReadError
from kapre_cli.settings import RawFormat
from kapre_cli.text import counted


def raw_header(file: RegularFile, raw_format: RawFormat) -> Header:
    """Return what the header of a file would say that is all samples of such a format."""
    return Header(
        "raw",
        sr=raw_format.sr,
        n_channels=raw_format.n_channels,
        bits=raw_format.bits,
        n_samples=file.size // raw_format.sample_bytes,
        start=0,
        sample_bytes=raw_format.sample_bytes,
        block_bytes=raw_format.sample_bytes,
        order=raw_format.order,
        number=raw_format.number,
    )


def raw_data_extent(file: RegularFile, header: Header, allow_truncated: bool) -> DataExtent:
    """Return what there is of samples without a header.

    Args:
        file: The file.
        header: Its header, made by :func:`raw_header`.
        allow_truncated: Leave out a part of a frame at the end.

    Raises:
        AudioReadError: If there is one, unless that is allowed, or if there is nothing else.
    """
    sample_bytes = header.block_bytes
    n_samples, rest = divmod(file.size, sample_bytes)
    if rest and not (allow_truncated and n_samples):
        frames = f"{counted(n_samples, 'frame')} of {counted(sample_bytes, 'byte')}"
        raise AudioReadError(
            f"truncated, or of another format than was said: its {counted(file.size, 'byte')} are "
            f"{frames} and {counted(rest, 'byte')} of another; {REMEDY}"
        )
    whole = n_samples * sample_bytes
    declared = whole + (sample_bytes if rest else 0)
    return DataExtent(HashingReader(file, end=whole), n_samples, whole, declared)
