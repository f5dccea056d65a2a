"""A floor: the parts that no program can do without, one after another, each at its fastest.

Files are taken a few at a time. They are all decoded, then all resampled (if that is asked for),
then all frames are transformed, and so on, in memory that is used again, on one thread. What each
part took is printed as JSON: part, wall seconds, processor seconds. ``scipy.fft`` transforms the
frames: in batches that fit the cache it takes no more of the processor than ``tf.signal.rfft`` on
two cores, and it is imported much faster. The mel product is BLAS', the logarithm NumPy's vector
code, and HDF5 is called without h5py's own methods.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import h5py
import numpy as np
import numpy.typing as npt
import scipy.fft
from h5py import h5a, h5d, h5p, h5s, h5t

from kapre_cli.framing import Framing
from kapre_cli.layers.dsp import hann
from kapre_cli.settings.layers import DECIBEL_RANGE, DEFAULT_AMIN
from tests.benchmarks.contenders.task import (
    Array,
    Task,
    audio_files,
    decoded,
    mel_matrix,
    resampled,
    told,
)

GROUP_VALUES = 2**21  # samples, in all channels, of the files that are taken at once
BATCH_VALUES = 2**18  # samples of the frames that are transformed at once
DECIBELS_PER_LOG = np.float32(10.0 / np.log(10.0))


class Clock:
    """How long each part takes.

    Attributes:
        seconds: Wall and processor seconds of each part.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, tuple[float, float]] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time of a block to a part."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        before = self.seconds.get(name, (0.0, 0.0))
        self.seconds[name] = (before[0] + wall, before[1] + cpu)


class Memory:
    """An array that is used again and again: memory that is fresh from the system is slow."""

    def __init__(self) -> None:
        self._held: Array = np.empty(0, np.float32)

    def array(self, *shape: int) -> Array:
        """Return an array of any content; the one before it is lost."""
        size = int(np.prod(shape))
        if size > self._held.size:
            self._held = np.empty(size, np.float32)
        return self._held[:size].reshape(shape)


@dataclass(frozen=True)
class Layout:
    """Channels of files one after another, each with its pads.

    Attributes:
        tape: All of them.
        starts: Where on the tape each frame starts.
        shapes: ``(n_channels, n_time)`` of each file.
    """

    tape: Array
    starts: npt.NDArray[np.int64]
    shapes: Sequence[tuple[int, int]]

    @property
    def n_frames(self) -> npt.NDArray[np.int64]:
        """How many frames each file has in all its channels."""
        return np.prod(np.array(self.shapes), axis=1)


class Parts:
    """All parts.

    Args:
        task: What there is to do.
        clock: Told of every part.
    """

    def __init__(self, task: Task, clock: Clock) -> None:
        self._task = task
        self._clock = clock
        self._framing = Framing(task.n_dft, task.n_hop, "same")
        self._window = hann(task.n_dft).astype(np.float32)
        self._tape = Memory()
        self._frames = Memory()
        self._features = Memory()
        self._as_links = h5p.create(h5p.LINK_CREATE)
        self._as_links.set_create_intermediate_group(True)
        self._scalar = h5s.create(h5s.SCALAR)

    def run(self) -> None:
        """Do every part for every file."""
        paths = iter(audio_files(self._task.folder))
        with h5py.File(self._task.output, "w") as file:
            while group := self._group(paths):
                sr = self._task.sr or group[0][2]
                signals = self._resampled([(samples, its_sr) for _, samples, its_sr in group], sr)
                with self._clock.part("frame"):
                    layout = self._laid_out(signals)
                features = self._mel_power(layout, sr)
                with self._clock.part("log10"):
                    to_decibels(features, layout.n_frames)
                with self._clock.part("write"):
                    self._write(file, [path for path, _, _ in group], layout, features)

    def _group(self, paths: Iterator[Path]) -> list[tuple[Path, Array, int]]:
        """Decode the next files: their paths, samples and rates."""
        group = []
        n_values = 0
        with self._clock.part("decode"):
            for path in paths:
                samples, sr = decoded(path)
                group.append((path, samples, sr))
                n_values += samples.size
                if n_values >= GROUP_VALUES:
                    break
        return group

    def _resampled(self, audio: Sequence[tuple[Array, int]], sr: int) -> list[Array]:
        if all(source_sr == sr for _, source_sr in audio):
            return [samples for samples, _ in audio]
        with self._clock.part("resample"):
            return [
                samples if source_sr == sr else resampled(samples, source_sr, sr)
                for samples, source_sr in audio
            ]

    def _laid_out(self, signals: Sequence[Array]) -> Layout:
        """Lay the frames out that the program would compute."""
        task = self._task
        shapes = [(len(signal), self._framing.n_time(signal.shape[1])) for signal in signals]
        channels = [channel for signal in signals for channel in signal]
        n_times = np.repeat([n_time for _, n_time in shapes], [n for n, _ in shapes])
        lengths = np.array([len(channel) for channel in channels])
        positions = before_each(np.maximum((n_times - 1) * task.n_hop + task.n_dft, lengths))
        tape = self._tape.array(positions[-1])
        tape.fill(0.0)
        for channel, position in zip(channels, positions, strict=False):
            first = position + self._framing.pads(len(channel))[0]
            tape[first : first + len(channel)] = channel
        # The frames are counted through all channels; their numbers begin anew in each.
        within = np.arange(n_times.sum()) - np.repeat(before_each(n_times)[:-1], n_times)
        starts = np.repeat(positions[:-1], n_times) + task.n_hop * within
        return Layout(tape, starts, shapes)

    def _mel_power(self, layout: Layout, sr: int) -> Array:
        """Return the power of each frame in each mel band."""
        n_dft, n_mels = self._task.n_dft, self._task.n_mels
        bins_to_bands = mel_matrix(sr, n_dft, n_mels).T
        every_frame = np.lib.stride_tricks.sliding_window_view(layout.tape, n_dft)
        features = self._features.array(len(layout.starts), n_mels)
        n_batch = max(1, BATCH_VALUES // n_dft)
        for first in range(0, len(features), n_batch):
            with self._clock.part("frame"):
                starts = layout.starts[first : first + n_batch]
                frames = self._frames.array(len(starts), n_dft)
                np.multiply(every_frame[starts], self._window, out=frames)
            with self._clock.part("FFT"):
                bins = scipy.fft.rfft(frames, overwrite_x=True)
            with self._clock.part("square"):
                power = np.square(bins.real)
                power += np.square(bins.imag)
            with self._clock.part("mel"):
                np.matmul(power, bins_to_bands, out=features[first : first + n_batch])
        return features

    def _write(self, file: Any, paths: Sequence[Path], layout: Layout, features: Array) -> None:
        """Write a dataset and a small attribute for each file."""
        each = np.split(features, np.cumsum(layout.n_frames)[:-1])
        for path, shape, values in zip(paths, layout.shapes, each, strict=True):
            array = np.ascontiguousarray(values.reshape(*shape, -1).transpose(2, 1, 0))
            space = h5s.create_simple(array.shape)
            key = self._task.key(path).encode()
            dataset = h5d.create(file.id, key, h5t.NATIVE_FLOAT, space, lcpl=self._as_links)
            dataset.write(h5s.ALL, h5s.ALL, array)
            metadata = np.bytes_(json.dumps({"source": str(path), "shape": shape}).encode())
            kind = h5t.py_create(metadata.dtype)
            h5a.create(dataset, b"input", kind, self._scalar).write(np.asarray(metadata))


def before_each(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the sum of all sizes before each, and the whole sum at the end."""
    return np.concatenate([[0], np.cumsum(sizes)])


def to_decibels(features: Array, n_frames: npt.NDArray[np.int64]) -> None:
    """Turn power into decibels, those of each file below its own maximum."""
    np.maximum(features, np.float32(DEFAULT_AMIN), out=features)
    np.log(features, out=features)
    features *= DECIBELS_PER_LOG
    peaks = np.maximum.reduceat(features.max(axis=1), before_each(n_frames)[:-1])
    features -= np.repeat(peaks, n_frames)[:, np.newaxis]
    np.maximum(features, np.float32(-DECIBEL_RANGE), out=features)


if __name__ == "__main__":
    clock = Clock()
    Parts(told(), clock).run()
    sys.stdout.write(json.dumps(clock.seconds))
