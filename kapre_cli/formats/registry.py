"""The formats of an output."""

from kapre_cli.formats.writer import FeatureWriter


def writer_class(format_: str) -> type[FeatureWriter]:
    """Return the writer of a format, after loading the library that it needs."""
    from kapre_cli.formats.hdf5_writer import Hdf5Writer
    from kapre_cli.formats.npy_writer import NpyDirectoryWriter, NpyWriter

    if format_ == "hdf5":
        return Hdf5Writer
    return NpyWriter if format_ == "npy" else NpyDirectoryWriter
