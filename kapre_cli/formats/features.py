"""An open output, the same for every format."""

import difflib
import os
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import StoredDataError
from kapre_cli.events import Observer, PhaseInputEnded, ignore
from kapre_cli.formats.arrays import StoredArray, check_frequencies, xarray_needed
from kapre_cli.formats.file_map import FileMap
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.formats.moments import ALL_BUT_FEATURES, FloatArray, mean_std_of
from kapre_cli.formats.values import Values
from kapre_cli.formats.window_labels import LabelSource
from kapre_cli.inputs import folder_id, folders_of
from kapre_cli.layers.weights import sha256_of_arrays
from kapre_cli.osutil import Resource
from kapre_cli.settings import AudioSettings, LayerConfig, Weights
from kapre_cli.text import counted, quoted

if TYPE_CHECKING:
    from xarray import Dataset

    from kapre_cli.formats.windows import Windows


class Features(Mapping[str, StoredArray], Resource):
    """The arrays of one output by key, in the order of the inputs.

    It is a read-only mapping, and a context manager that closes the files. A format derives its
    reader from this class; its constructor sets the attributes and ``_inputs``, whose keys are
    those of the output. Returned by :func:`~kapre_cli.open_features`.

    Attributes:
        path: The path of the output.
        format: The name of the output's format, such as ``"hdf5"``.
        root: The metadata of the whole output.
        coordinate: Where each feature lies on its axis, in the unit of the layer's coordinate.
    """

    path: Path
    format: str
    root: OutputMetadata
    coordinate: npt.NDArray[np.float64]
    _inputs: Mapping[str, Any]  # by key; each format has its own values

    def __getitem__(self, key: str) -> StoredArray:
        if key not in self._inputs:
            raise UnknownKeyError(unknown_key(key, self._inputs))
        return self.open_array(key)

    @abstractmethod
    def open_array(self, key: str) -> StoredArray:
        """Return the array of a key that is in ``_inputs``."""

    def array_of(self, key: str, values: Values, metadata: InputMetadata) -> StoredArray:
        """Return the array of a key with these values; raise StoredDataError for others."""
        audio = self.root.audio
        return StoredArray(key, values, metadata, self.layer, self.coordinate, audio.channels)

    def __reduce__(self) -> tuple[type["Features"], tuple[Path]]:
        # Another process opens the output again.
        return type(self), (Path(os.path.abspath(self.path)),)

    def __contains__(self, key: object) -> bool:
        return key in self._inputs  # Mapping's own would open the array

    def __iter__(self) -> Iterator[str]:
        return iter(self._inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    @property
    def file_map(self) -> FileMap | None:
        """The map of the one file in which all uncompressed arrays lie.

        ``None``: there is no such file, or it cannot be mapped.
        """
        return None

    @property
    def layer(self) -> LayerConfig:
        """The arguments of the layer that computed the arrays."""
        return self.root.layer

    @property
    def frequency(self) -> npt.NDArray[np.float64]:
        """Hz of each bin, or of the centre of each mel band.

        Raises:
            AttributeError: If the features of the layer are not at frequencies.
        """
        check_frequencies(self.layer)
        return self.coordinate

    @property
    def settings(self) -> AudioSettings:
        """Sample rate, channels, and how the files were read."""
        return self.root.audio

    @property
    def versions(self) -> dict[str, str]:
        """Version of each program and library that computed the arrays."""
        return self.root.versions

    @abstractmethod
    def metadata(self) -> Iterator[tuple[str, InputMetadata]]:
        """Yield the key and the metadata of every input, without opening its array.

        A hundred thousand inputs take about a second. The metadata has not been compared with the
        array. Raise StoredDataError if the metadata of an input is damaged.
        """

    def _selected(self, keys: Iterable[str] | None) -> dict[str, InputMetadata]:
        """Return the metadata of some inputs, in the order of ``keys``; ``None``: of all."""
        if keys is None:
            return dict(self.metadata())
        selected = dict.fromkeys([keys] if isinstance(keys, str) else keys)
        for key in selected:
            if key not in self._inputs:
                raise UnknownKeyError(unknown_key(key, self._inputs))
        found = {key: one for key, one in self.metadata() if key in selected}
        return {key: found[key] for key in selected}

    def windows(
        self,
        seconds: float = 1.0,
        hop: float | None = None,
        *,
        keys: Iterable[str] | None = None,
        labels: LabelSource | None = None,
        classes: Sequence[str] | None = None,
        short: str = "drop",
        channel: int | None = None,
    ) -> "Windows":
        """Return windows of fixed length over the arrays, to train with; none is read yet.

        Args:
            seconds: The length of a window, rounded to frames.
            hop: Seconds from the start of a window to that of the next, rounded to frames.
                ``None``: ``seconds``, so that windows do not overlap.
            keys: Whose windows. ``None``: those of all inputs, in order.
            labels: A label of each input by key; or ``"label"``, that of the metadata of annotated
                segments; or a function of key, start and end of the window in seconds from the
                start of the recording, and metadata, which returns a label of one type. Labels are
                numbers, arrays of one shape, or texts. ``None``: windows have none.
            classes: The texts of labels, which stand for 0, 1 and so on. ``None``: all texts of the
                inputs, sorted; a function that returns texts needs them.
            short: ``"drop"`` or ``"pad"`` for arrays shorter than a window. The end of a padded
                window has the layer's lowest value: 0, or -80 dB.
            channel: The channel of the recording, from 0. ``None``: all.

        Raises:
            ValueError: If an argument is out of range, a window is shorter than a frame, arrays
                have different numbers of channels, or an input has no label.
            KeyError: If the output does not have one of the keys.
            StoredDataError: If the metadata is damaged.

        >>> from kapre_cli import open_features
        >>> with open_features("docs/sample_features.h5") as features:
        ...     windows = features.windows(0.5, hop=0.25, channel=0)
        ...     print(windows)
        ...     print(windows[3].shape, windows[2:10].shape)
        ...     print(windows.key(3), round(windows.start(3), 2))
        <32 windows of {'mel': 32, 'time': 22, 'channel': 1} float16>
        (32, 22, 1) (8, 32, 22, 1)
        bird.flac 0.76
        """
        from kapre_cli.formats.windows import window_settings, windows_of

        settings = window_settings(self.root, seconds, hop, short, channel)
        return windows_of(self, self._selected(keys), settings, labels, classes)

    def mean_std(
        self,
        keys: Iterable[str] | None = None,
        axis: str | Sequence[str] | None = ALL_BUT_FEATURES,
    ) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of the arrays, read block by block.

        Args:
            keys: Which arrays. ``None``: all.
            axis: The names of the axes that are averaged over. ``None``: all. By default each
                feature has a mean of its own.

        Returns:
            Two float64 arrays with the axes of the output; those that are averaged over have
            length 1. The deviation is that of NumPy, with ``ddof=0``.

        Raises:
            ValueError: If ``axis`` has another name, or lacks one along which the lengths of the
                arrays differ, or there is no array.
            KeyError: If the output does not have one of the keys.
            StoredDataError: If an array cannot be read.

        >>> from kapre_cli import open_features
        >>> with open_features("docs/sample_features.h5") as features:
        ...     mean, std = features.mean_std()
        ...     print(mean.shape, mean.dtype)
        (32, 1, 1) float64
        """
        return mean_std_of((self[key] for key in self._selected(keys)), axis)

    def to_xarray(self, keys: Iterable[str] | None = None) -> "Dataset":
        """Return arrays of one shape as an ``xarray.Dataset``, read when values are used.

        Args:
            keys: Which arrays. ``None``: all.

        Returns:
            The variable ``features`` has the dimension ``input``, whose coordinates are the keys,
            and those of the arrays. ``time`` is in seconds from the first frame, ``time_start`` by
            input from the start of the recording to the first frame.

        Raises:
            ValueError: If the arrays have different shapes, or there is none.
            KeyError: If the output does not have one of the keys.
            ImportError: If xarray is not installed.

        >>> from kapre_cli import open_features
        >>> with open_features("docs/sample_features.h5") as features:
        ...     print(dict(features.to_xarray(["bird.flac"]).sizes))
        {'time': 87, 'mel': 32, 'channel': 2, 'input': 1}
        """
        with xarray_needed():
            from kapre_cli.formats.labelled import dataset
        return dataset(self, self._selected(keys), self.root)

    @property
    def weights(self) -> Weights | None:
        """The trained weights of the layer, read with every check; ``None``: it has none.

        Raises:
            StoredDataError: If they are missing or damaged.

        >>> from kapre_cli import open_features
        >>> with open_features("docs/sample_features.h5") as features:
        ...     print(features.weights)
        None
        """
        known = self.root.weights
        if known is None:
            return None
        arrays = self.stored_weights()
        if sha256_of_arrays(arrays) != known.sha256:
            raise StoredDataError("its weights are damaged: their SHA-256 differs")
        return replace(known, arrays=arrays)

    def stored_weights(self) -> dict[str, npt.NDArray[np.floating[Any]]]:
        """Read the arrays of the weights, which have the names and shapes of the layer's.

        Raise StoredDataError if one is missing or of another shape.
        """
        raise StoredDataError(f"the format {self.format} stores no weights")

    def unexpected_files(self) -> Iterator[str]:
        """Yield the names of unexpected files or datasets among the arrays.

        Raise StoredDataError if the arrays cannot be listed.
        """
        return iter(())

    def replaced_arrays(self) -> Iterator[str]:
        """Yield the names of array files that cannot be those this program wrote.

        No array is opened. Raise StoredDataError if the metadata is damaged.
        """
        return iter(())

    def check_scales(self) -> None:
        """Compare the dimension scales, if there are any, with the metadata.

        Raise StoredDataError if one differs or cannot be read.
        """

    def check_written(
        self,
        written: Iterable[tuple[str, InputMetadata]],
        emit: Observer = ignore,
        compared: Mapping[str, int] | None = None,
    ) -> None:
        """Raise StoredDataError unless all arrays and their metadata are as written.

        An array whose values lie where its file was ``compared`` already is not read again.
        """
        self.check_scales()
        _ = self.weights  # compared with their checksum
        for key, metadata in written:
            stored = self[key]
            if stored.metadata != metadata:
                raise StoredDataError(f"the metadata of {quoted(key)} is not that written")
            if compared is None or stored.offset is None or compared.get(key) != stored.offset:
                stored.verify(stored.progress_visitor(emit))
            emit(PhaseInputEnded(metadata.seconds))

    def close(self) -> None:
        """Close the files."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {quoted(self.path)}: {counted(len(self), 'array')}>"


class UnknownKeyError(KeyError):
    """A key that an output does not have; its text is shown without quotes."""

    def __str__(self) -> str:
        return str(self.args[0])


def unknown_key(key: object, keys: Collection[str]) -> str:
    """Return the message that ``key`` is missing among ``keys``, with similar keys."""
    some = list(islice(keys, 10_000))  # comparing with a million is too slow
    close = difflib.get_close_matches(str(key)[:1000], some, n=3)
    which = "similar keys are" if close else "the first key is"
    similar = ", ".join(map(quoted, close or some[:1]))
    hint = f", {which} {similar}" if similar else ""
    return f"no input has the key {quoted(key)}; the output has {counted(len(keys), 'key')}{hint}"


def unexpected_in_folder(path: Path, files: Collection[str]) -> Iterator[str]:
    """Yield all paths below a folder but ``files`` and the folders they are in."""
    folders = folders_of(files)
    for folder, subfolders, names in os.walk(path):
        above = os.path.relpath(folder, path)
        above = "" if above == os.curdir else f"{above}/"
        expected = {name for name in subfolders if folder_id(above + name) in folders}
        known = expected | {name for name in names if above + name in files}
        for name in (*sorted(subfolders), *sorted(names)):
            if name not in known or os.path.islink(os.path.join(folder, name)):
                yield above + name
        subfolders[:] = [name for name in subfolders if name in expected]
