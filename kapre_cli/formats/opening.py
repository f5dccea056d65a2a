"""Open outputs: the same mapping from key to array for every format.

A file is data. Nothing in it can make this module import, run or build anything but an installed
layer with arguments in range; it follows no link out of the file and loads no pickle.
"""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kapre_cli.errors import AudioReadError, NotAnOutputError, OutputError, StoredDataError
from kapre_cli.events import Observer, PhaseStarted
from kapre_cli.formats.arrays import FeatureArray, StoredArray
from kapre_cli.formats.features import Features
from kapre_cli.formats.npy_names import ROOT_NAME
from kapre_cli.formats.validation import check_buildable
from kapre_cli.formats.writer import FeatureWriter
from kapre_cli.settings.formats import FORMATS, recognized_format
from kapre_cli.text import Text, counted, quoted

if TYPE_CHECKING:
    from kapre_cli.time_frequency import Spectrogram

__all__ = ["FeatureArray", "Features", "StoredArray", "load_layer", "open_features"]

PathLike = str | os.PathLike[str]


def open_features(output: PathLike) -> Features:
    """Open an output of ``kapre-extract``, of any format, for reading.

    Args:
        output: The HDF5 file, the .npy file, or the folder of .npy files.

    Returns:
        A read-only mapping from key to :class:`~kapre_cli.formats.opening.StoredArray`, in the
        order of the inputs; a context manager too. Arrays are read when they are indexed.

    Raises:
        FileNotFoundError: If there is nothing at ``output``.
        StoredDataError: If it is damaged, or no output of ``kapre-extract``; a ``ValueError`` too.
        NotAnOutputError: A ``StoredDataError``: it is a recording.

    >>> with open_features("docs/sample_features.h5") as features:
    ...     bird = features["bird.flac"]
    ...     print(bird.axes, bird.dtype, bird[:].max())
    ('mel', 'time', 'channel') float16 0.0
    """
    path = Path(output)
    try:
        found = recognized_format(path)
        if found is not None:
            features: Features = found.open(path)
            return features
        if path.is_dir():
            os.listdir(path)  # a folder that cannot be read
    except ValueError as error:  # a StoredDataError, or bytes that are no text
        raise StoredDataError(f"{quoted(path)} cannot be read: {error}") from error
    except FileNotFoundError as error:
        if not path.exists():
            raise
        raise StoredDataError(
            f"{quoted(path)} is not a complete output of kapre-extract: "
            f"{quoted(error.filename)} is missing"
        ) from error
    except OSError as error:
        raise StoredDataError(f"{quoted(path)} cannot be read: {error}") from error
    raise _not_an_output(path)


def _not_an_output(path: Path) -> StoredDataError:
    """Return the error for a file or folder that is of no format."""
    if path.is_dir():
        return StoredDataError(
            f"{quoted(path)} is a folder without {ROOT_NAME}, so no output of kapre-extract; "
            f"of the recordings in a folder {_extracting(path)}"
            f"{''.join(f'; {why}' for why in FORMATS.broken.values())}"
        )
    from kapre_cli.audio import read_header  # imports libraries only where they are needed

    try:
        header = read_header(str(path))
    except AudioReadError as error:
        cause = "is no output of kapre-extract, and no recording that can be read: "
        return StoredDataError(Text(f"{quoted(path)} {cause}", error))
    channels = counted(header.n_channels, "channel")
    return NotAnOutputError(
        f"{quoted(path)} is a recording ({header.kind}, {header.sr:,} Hz, {channels}), not an "
        f"output of kapre-extract; {_extracting(path)}"
    )


def _extracting(path: Path) -> str:
    return f"kapre-extract melspectrogram {shlex.quote(str(path))} -o OUTPUT.h5 makes one"


def is_output(path: Path) -> bool:
    """Whether ``path`` claims to be an output, as any folder does.

    Raise StoredDataError for a special file.
    """
    return path.is_dir() or recognized_format(path) is not None


def check_written(writer: FeatureWriter, emit: Observer) -> None:
    """Read an output back; raise OutputError if metadata or an array differs.

    Libraries and disks may lose writes without an error. Arrays that the writer has read back while
    others were written are not read again.
    """
    try:
        with open_features(writer.path) as features:
            if features.root != writer.root or list(features) != writer.keys:
                raise StoredDataError("its metadata is not that written")
            length = sum(metadata.seconds for metadata in writer.metadata)
            emit(PhaseStarted("reading back", len(writer.keys), length))
            writer.read_back.finish()
            written = zip(writer.keys, writer.metadata, strict=True)
            features.check_written(written, emit, writer.read_back.compared)
    except (StoredDataError, OSError) as error:
        raise OutputError(
            f"{quoted(writer.path)} was written and cannot be read back: {error}"
        ) from error


def load_layer(output: PathLike) -> "Spectrogram":
    """Return the Keras layer of an output, made from the arguments and weights stored in it.

    Called with the samples of an input at the output's rate, it returns that input's array.

    Args:
        output: The HDF5 file, the .npy file, or the folder of .npy files.

    Returns:
        The layer, a :class:`~kapre_cli.Spectrogram` or a :class:`~kapre_cli.Melspectrogram`.

    Raises:
        FileNotFoundError: If there is nothing at ``output``.
        StoredDataError: If it is damaged, or no output of ``kapre-extract``; a ``ValueError`` too.
        ImportError: If Keras, or the library that it computes with, is not installed.

    >>> layer = load_layer("docs/sample_features.h5")
    >>> layer.n_dft, layer.n_mels
    (1024, 32)
    >>> layer.compute_output_shape((1, 2, 44100))  # (batch, channel, samples)
    (1, 32, 87, 2)
    """
    with open_features(output) as features:
        config, weights = features.layer, features.weights
    check_buildable(config)
    trained: dict[str, Any] = {}
    if weights is not None:
        trained = {"name": weights.layer_name, "weights": weights.arrays}
        if weights.dtype != "float32":
            trained["dtype"] = weights.dtype
    try:
        return config.keras_layer(**trained)  # TensorFlow is imported only where it is needed
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{error}; the features in {quoted(output)} can be read without", name=error.name
        ) from error
