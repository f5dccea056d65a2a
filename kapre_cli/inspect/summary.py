"""Summarize an output from its metadata; no array is read."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median_low
from typing import Any, NamedTuple

from kapre_cli.errors import StoredDataError, UsageError
from kapre_cli.formats.features import Features, StoredArray, unknown_key
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.inspect import opened
from kapre_cli.settings import ExtractionSettings, LayerConfig, OutputSettings, get_format
from kapre_cli.settings.run import AudioSettings
from kapre_cli.text import quoted

InputsMetadata = Sequence[tuple[str, InputMetadata]]

MANY_TIMES = 10  # inputs so many times longer or shorter than the median are outliers
_EXPECTED: dict[str, int | str] = {
    "n_missing": 0,
    "n_non_finite": 0,
    "n_silent_channels": 0,
    "note": "",
}


def summary(path: Path, keys: Sequence[str] = ()) -> dict[str, Any]:
    """Return a summary of an output, ready for strict JSON, with ``keys`` described one by one.

    Raises:
        UsageError: If nothing is at ``path``, or it lacks one of the keys.
        StoredDataError: If it is not a valid output of this program.
    """
    with opened(path) as features:
        for key in keys:
            if key not in features:
                raise UsageError(f"{quoted(path)}: {unknown_key(key, features)}")
        known = _known(features)
        root, config, coordinate = features.root, features.layer, features.coordinate
        described, changed = root.to_dict(), chosen(root)
        seconds = {key: metadata.seconds for key, metadata in known}
        return {
            "output": str(path),
            "format": features.format,
            "format_version": described["format_version"],
            "bytes": _bytes_of(features),
            "layer": described["layer"],
            "settings": described["settings"],
            "versions": described["versions"],
            "chosen": [name for name in root.named if name in changed],
            "axes": list(config.axes),
            config.coordinate.name: {  # for example frequency, in Hz
                "n": config.n_values,
                "lowest": float(coordinate[0]),
                "highest": float(coordinate[-1]),
            },
            "n_inputs": len(known),
            "seconds": sum(seconds.values()),
            "n_frames": _n_frames(config, known),  # those of all channels at one time count once
            "source_rates": _counts(metadata.source_sr for _, metadata in known),
            "channels": _counts(metadata.n_channels for _, metadata in known),
            "shortest": _length(min, seconds),
            "longest": _length(max, seconds),
            "median_seconds": median_low(seconds.values()) if seconds else None,
            "outliers": [one._asdict() for one in outliers(known, config)],
            "inputs": [_described(features[key]) for key in dict.fromkeys(keys)],
        }


def _known(features: Features) -> InputsMetadata:
    try:
        return list(features.metadata())
    except StoredDataError as error:
        raise StoredDataError(f"{quoted(features.path)} cannot be read: {error}") from error


def _length(choose: Callable[..., str | None], seconds: dict[str, float]) -> dict[str, Any] | None:
    key = choose(seconds, key=seconds.__getitem__, default=None)
    return None if key is None else {"key": key, "seconds": seconds[key]}


def chosen(root: OutputMetadata) -> frozenset[str]:
    """Return the names of the arguments and settings that differ from their defaults.

    Defaults that follow from frame length and rate are those of the given ones.
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


def _described(array: StoredArray) -> dict[str, Any]:
    """Return the metadata of an input; frames are at their centres, in seconds."""
    start, step = array.metadata.time_start, array.metadata.time_step
    return {
        "key": array.key,
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "first_frame": start,
        "last_frame": start + (array.shape[array.axes.index("time")] - 1) * step,
        **array.metadata.to_dict(),
    }


def _bytes_of(features: Features) -> int:
    format_ = get_format(features.format)
    if format_.is_folder:
        return _bytes_below(features.path)
    files = (features.path, *format_.companions(features.path))
    return sum(file.stat().st_size for file in files)


def _bytes_below(folder: Path) -> int:
    n_bytes, folders = 0, [os.fspath(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    n_bytes += entry.stat(follow_symlinks=False).st_size
    return n_bytes


def _n_frames(config: LayerConfig, known: InputsMetadata) -> int:
    framing = config.framing
    return sum(
        framing.n_time(metadata.n_samples)
        for _, metadata in known
        if metadata.n_samples >= framing.min_samples  # else reading the array raises an error
    )


def _counts(values: Iterable[int]) -> list[dict[str, int]]:
    """Return how many inputs have each value, the most frequent first."""
    return [{"value": value, "n_inputs": number} for value, number in Counter(values).most_common()]


class Outlier(NamedTuple):
    """One property in which an input differs from the rest.

    Attributes:
        name: ``source_sr``, ``n_channels``, ``n_missing``, ``n_non_finite``,
            ``n_silent_channels``, ``note``, ``n_samples`` (fewer than a frame has) or ``seconds``
            (many times longer or shorter than the median).
        usual: The value of most inputs, or the expected one; for ``n_samples`` the length of a
            frame, for ``seconds`` the median.
    """

    key: str
    name: str
    value: float | str
    usual: float | str


def outliers(known: InputsMetadata, config: LayerConfig) -> Iterator[Outlier]:
    """Yield the outliers by property, in the order of the inputs."""
    for name in ("source_sr", "n_channels", *_EXPECTED):
        values = [getattr(metadata, name) for _, metadata in known]
        usual = _EXPECTED[name] if name in _EXPECTED else _most_frequent(values)
        if usual is not None:
            for (key, _), value in zip(known, values, strict=True):
                if value != usual:
                    yield Outlier(key, name, value, usual)
    for key, metadata in known:
        if metadata.n_samples < config.n_dft:
            yield Outlier(key, "n_samples", metadata.n_samples, config.n_dft)
    median = median_low(metadata.seconds for _, metadata in known) if known else 0.0
    for key, metadata in known:
        if not median / MANY_TIMES <= metadata.seconds <= median * MANY_TIMES:
            yield Outlier(key, "seconds", metadata.seconds, median)


def _most_frequent(values: Sequence[int]) -> int | None:
    """Return the value of more than half of the inputs, ``None`` without one."""
    for value, number in Counter(values).most_common(1):
        if 2 * number > len(values):
            return value
    return None
