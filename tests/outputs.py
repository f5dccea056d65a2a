"""Outputs of given arrays, written by the program's own writers without audio."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.formats.array_chunks import ArrayChunks, Chunk, frame_index
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.layers.configs import MelspectrogramConfig, SpectrogramConfig
from kapre_cli.settings import AudioSettings, LayerConfig, get_format

SR = 8000
HOP = 80  # 100 frames a second


# Layers of 9 features and 100 frames a second, by the number of their time axis.
LAYERS: tuple[LayerConfig, ...] = (
    SpectrogramConfig(n_dft=16, n_hop=HOP, image_data_format="channels_last"),
    MelspectrogramConfig(sr=SR, n_mels=9, n_dft=256, n_hop=HOP, image_data_format="channels_last"),
    MelspectrogramConfig(sr=SR, n_mels=9, n_dft=256, n_hop=HOP, image_data_format="channels_first"),
)
DECIBELS = SpectrogramConfig(
    n_dft=16, n_hop=HOP, return_decibel_spectrogram=True, image_data_format="channels_last"
)


def noise(
    layer: LayerConfig, n_time: int, n_channels: int = 1, seed: int = 0, dtype: str = "float32"
) -> npt.NDArray[Any]:
    """Return an array of a layer with random values from 0 to 1, or -1 to 0 dB."""
    sizes = {"time": n_time, "channel": n_channels}
    shape = [sizes.get(axis, layer.n_values) for axis in layer.axes]
    values = np.random.default_rng(seed).random(shape)
    return (values - 1.0 if layer.takes_decibels else values).astype(dtype)


def metadata_of(layer: LayerConfig, values: npt.NDArray[Any], **more: Any) -> InputMetadata:
    """Return the metadata of an array of a layer."""
    sizes = dict(zip(layer.axes, values.shape, strict=True))
    n_samples = sizes["time"] * HOP
    start, step = layer.framing.times(n_samples, SR)
    metadata = InputMetadata("source.wav", SR, SR, n_samples, sizes["channel"], start, step, 1, 1)
    return metadata.with_reference(1.0 if layer.takes_decibels else None)._replace(**more)


def write_output(
    path: Path,
    arrays: Mapping[str, npt.NDArray[Any]],
    layer: LayerConfig,
    *,
    compression: str = "none",
    channels: tuple[int, ...] | None = None,
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Write an output of some arrays, with more metadata by key."""
    dtype = str(next(iter(arrays.values())).dtype)
    audio = AudioSettings(sr=SR, channels=channels)
    root = OutputMetadata(layer, audio, dtype, compression, "numpy", {"kapre-extract": "0"})
    time_axis = layer.axes.index("time")
    name = "hdf5" if path.suffix == ".h5" else "npy" if path.suffix == ".npy" else "npy-directory"
    with get_format(name).writer_class()(path, root) as writer:
        for key, values in arrays.items():
            n_time = values.shape[time_axis]
            blocks = [*layer.framing.blocks(n_time, layer.n_features, 1)]
            chunks: list[Chunk] = []
            for first, count in blocks:
                index = frame_index(layer, first, count)
                chunks.append((index, np.ascontiguousarray(values[index])))
            made = ArrayChunks(
                values.shape,
                values.dtype,
                time_axis,
                len(blocks),
                blocks[0][1],
                chunks.__iter__,
                1.0 if layer.takes_decibels else None,
            )
            writer.add(key, made, metadata_of(layer, values, **(metadata or {}).get(key, {})))
        writer.read_back.finish()
        writer.finish()
    return path
