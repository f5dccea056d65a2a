"""The same features with nothing made safe: what the care of the program is measured against.

``python -m tests.stress.plain FOLDER OUTPUT N_DFT N_HOP N_MELS`` decodes with soundfile, computes
with the program's own transform and writes HDF5 at once, with labels and metadata as the format has
them: nothing is checked, counted, hashed, kept or read back.
"""

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import soundfile

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

from kapre_cli.engines.batches import ChannelBlock, NumpyEngine, batch_frames, run_batches
from kapre_cli.extraction.decode import Block, PlannedBlock, frame_blocks
from kapre_cli.formats.metadata import InputMetadata, dumps
from kapre_cli.inputs import discover
from kapre_cli.layers import MelspectrogramConfig


class _ForwardOnly(soundfile.SoundFile):  # type: ignore[misc]  # soundfile ships no types
    def seekable(self) -> bool:
        return False


class PlainReader:
    """As much of a reader as blocks of frames need."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY)
        self._file = _ForwardOnly(self._fd, closefd=False)
        self.n_channels = self._file.channels
        self.n_samples = self._file.frames

    def read(self, n_samples: int) -> Any:
        """Return the next samples."""
        return self._file.read(n_samples, dtype="float32", always_2d=True)

    def finish(self) -> None:
        """Close the file."""
        self._file.close()
        os.close(self._fd)


def main() -> None:
    """Extract all that is in a folder."""
    folder, output = sys.argv[1:3]
    n_dft, n_hop, n_mels = map(int, sys.argv[3:])
    sources = discover([folder]).sources
    sr = soundfile.info(sources[0].path).samplerate
    config = MelspectrogramConfig(
        sr=sr, n_dft=n_dft, n_hop=n_hop, n_mels=n_mels, image_data_format="channels_last"
    )
    n_frames = batch_frames(config)

    def keep(dataset: Any, block: Block) -> None:
        stop = block.first_frame + block.n_frames
        dataset[:, block.first_frame : stop] = np.ascontiguousarray(block.results.T)

    def channel_blocks(features: Any) -> Iterator[ChannelBlock]:
        for source in sources:
            reader: Any = PlainReader(source.path)
            n_time = config.framing.n_time(reader.n_samples)
            dataset = features.create_dataset(source.key, (n_mels, n_time, reader.n_channels), "f4")
            dataset.attrs.create("DIMENSION_LABELS", config.axes, dtype=h5py.string_dtype("ascii"))
            metadata = InputMetadata(
                source=source.path,
                sr=sr,
                source_sr=sr,
                n_samples=reader.n_samples,
                n_channels=reader.n_channels,
                time_start=0.0,
                time_step=n_hop / sr,
                source_size=0,
                source_mtime_ns=0,
                sha256=64 * "0",
            )
            dataset.attrs["input"] = np.bytes_(dumps(metadata.to_dict()).encode())
            nothing: Any = None
            planned = [
                PlannedBlock(first, first, n_frames, nothing)
                for first, n_frames in config.framing.blocks(n_time, n_mels, reader.n_channels)
            ]
            for block in frame_blocks(planned, reader, config.framing):
                yield from block.by_channel(n_mels, partial(keep, dataset))

    with h5py.File(Path(output), "w") as file, NumpyEngine(config, n_frames) as engine:
        found = channel_blocks(file.create_group("features"))
        run_batches(found, config.framing, n_frames, engine)


if __name__ == "__main__":
    main()
