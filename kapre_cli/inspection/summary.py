"""What is in an output, told from its facts alone: no array is read."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Any, NamedTuple

import numpy as np

from kapre_cli.errors import StoredDataError, quoted
from kapre_cli.inspection.odd import Known, Odd, odd_ones
from kapre_cli.inspection.opening import opened, require_keys
from kapre_cli.settings import ExtractionSettings, LayerConfig, OutputSettings
from kapre_cli.settings.run import AudioSettings
from kapre_cli.storage.metadata import InputFacts, RootFacts
from kapre_cli.storage.npy import sidecar_of
from kapre_cli.storage.stored import Features


class Length(NamedTuple):
    """How long an input is."""

    key: str
    seconds: float


@dataclass(frozen=True)
class Described:
    """One input.

    Attributes:
        key: Its key.
        shape: Its array's shape.
        dtype: Its array's type, a name.
        first_frame: Seconds from the start of the audio to the centre of the first frame.
        last_frame: Likewise, of the last one.
        facts: What is known of it.
    """

    key: str
    shape: tuple[int, ...]
    dtype: str
    first_frame: float
    last_frame: float
    facts: InputFacts

    def to_dict(self) -> dict[str, Any]:
        """Return everything by name, ready for JSON."""
        return {
            "key": self.key,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "first_frame": self.first_frame,
            "last_frame": self.last_frame,
            **self.facts.to_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What is in an output.

    Attributes:
        path: The output.
        format: One of ``settings.FORMATS``.
        n_bytes: Bytes of its files.
        root: The facts of the whole.
        chosen: The names of arguments and settings that are not as they are by default.
        frequency: Hz of the lowest and of the highest bin or band centre.
        n_inputs: How many inputs there are.
        seconds: Seconds of audio.
        n_frames: Frames of all inputs; those of all channels at one time count once.
        source_rates: How many inputs have each sample rate of a file, the most frequent first.
        channels: How many inputs have each number of channels, the most frequent first.
        shortest: The shortest input; ``None`` if there is none.
        longest: The longest.
        median_seconds: Their median length, one of theirs.
        odd: The inputs that differ from the rest, and in what.
        inputs: Those that were asked for.
    """

    path: Path
    format: str
    n_bytes: int
    root: RootFacts
    chosen: frozenset[str]
    frequency: tuple[float, float]
    n_inputs: int
    seconds: float
    n_frames: int
    source_rates: tuple[tuple[int, int], ...]
    channels: tuple[tuple[int, int], ...]
    shortest: Length | None
    longest: Length | None
    median_seconds: float | None
    odd: tuple[Odd, ...]
    inputs: tuple[Described, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything by name, ready for strict JSON."""
        root = self.root.to_dict()
        return {
            "output": str(self.path),
            "format": self.format,
            "format_version": root["format_version"],
            "bytes": self.n_bytes,
            "layer": root["layer"],
            "settings": root["settings"],
            "versions": root["versions"],
            "chosen": [name for name in self.root.named if name in self.chosen],
            "axes": list(self.root.layer.axes),
            "frequency": {
                "n": self.root.layer.n_features,
                "lowest": self.frequency[0],
                "highest": self.frequency[1],
            },
            "n_inputs": self.n_inputs,
            "seconds": self.seconds,
            "n_frames": self.n_frames,
            "source_rates": _counts(self.source_rates),
            "channels": _counts(self.channels),
            "shortest": self.shortest and self.shortest._asdict(),
            "longest": self.longest and self.longest._asdict(),
            "median_seconds": self.median_seconds,
            "odd": [one._asdict() for one in self.odd],
            "inputs": [one.to_dict() for one in self.inputs],
        }


def summary(path: Path, keys: Sequence[str] = ()) -> Summary:
    """Return what is in an output.

    Args:
        path: The HDF5 file, the .npy file, or the directory of .npy files.
        keys: Inputs to describe one by one.

    Raises:
        UsageError: If there is nothing at ``path``, or no such key in it.
        StoredDataError: If it is not a sound output of this program.
    """
    with opened(path) as features:
        require_keys(features, keys)
        known = _known(features)
        config = features.layer
        lengths = [Length(key, facts.n_samples / facts.sr) for key, facts in known]
        by_length = [length.seconds for length in lengths]
        return Summary(
            path=path,
            format=features.format,
            n_bytes=_bytes_of(features),
            root=features.root,
            chosen=chosen(features.root),
            frequency=(float(features.frequency[0]), float(features.frequency[-1])),
            n_inputs=len(known),
            seconds=sum(by_length),
            n_frames=_n_frames(config, known),
            source_rates=tuple(Counter(facts.source_sr for _, facts in known).most_common()),
            channels=tuple(Counter(facts.n_channels for _, facts in known).most_common()),
            shortest=min(lengths, key=lambda one: one.seconds, default=None),
            longest=max(lengths, key=lambda one: one.seconds, default=None),
            median_seconds=median_low(by_length) if by_length else None,
            odd=tuple(odd_ones(known, config)),
            inputs=tuple(_described(features, key) for key in dict.fromkeys(keys)),
        )


def _known(features: Features) -> Known:
    try:
        return list(features.facts())
    except StoredDataError as error:
        raise StoredDataError(f"{quoted(features.path)} cannot be read: {error}") from error


def chosen(root: RootFacts) -> frozenset[str]:
    """Return the names of the arguments and settings that are not as they are by default.

    What follows from the frame's length and the rate unless it is given is held against that.
    """
    config = root.layer
    given = {name: getattr(config, name) for name in ("n_dft", "sr") if hasattr(config, name)}
    by_default = type(config)().to_dict()
    follows = type(config)(**given).to_dict()
    by_default |= {name: follows[name] for name in ("n_hop", "fmax") if name in follows}
    by_default["image_data_format"] = "channels_last"  # Keras's own default
    for settings in (AudioSettings, OutputSettings, ExtractionSettings):
        fields = settings.__dataclass_fields__
        by_default |= {
            name: field.default for name, field in fields.items() if name in root.settings
        }
    by_default["engine"] = config.preferred_engine
    return frozenset(
        name
        for name, value in root.named.items()
        if name != "layer" and value != by_default.get(name)
    )


def _described(features: Features, key: str) -> Described:
    array = features[key]
    n_time = array.shape[array.axes.index("time")]
    start, step = array.facts.time_start, array.facts.time_step
    return Described(
        key=key,
        shape=array.shape,
        dtype=np.dtype(array.dtype).name,
        first_frame=start,
        last_frame=start + (n_time - 1) * step,
        facts=array.facts,
    )


def _bytes_of(features: Features) -> int:
    if features.format == "npy-directory":
        return _bytes_below(features.path)
    n_bytes = features.path.stat().st_size
    return n_bytes + (sidecar_of(features.path).stat().st_size if features.format == "npy" else 0)


def _bytes_below(folder: str | os.PathLike[str]) -> int:
    n_bytes, folders = 0, [os.fspath(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    n_bytes += entry.stat(follow_symlinks=False).st_size
    return n_bytes


def _n_frames(config: LayerConfig, known: Known) -> int:
    framing = config.framing
    # Those too short for a frame can have none: whoever reads their arrays will be told.
    at_least = framing.n_dft if framing.padding == "valid" else 1
    return sum(framing.n_time(facts.n_samples) for _, facts in known if facts.n_samples >= at_least)


def _counts(counted: Sequence[tuple[int, int]]) -> list[dict[str, int]]:
    return [{"value": value, "n_inputs": number} for value, number in counted]
