"""Validate stored metadata: values that this program cannot write are rejected.

Files come from other people and from broken disks. Each check here is of a value that has been
read; the reader of each format limits how much is read, and of what type.
"""

import json
import math
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import StoredArrayError, StoredDataError
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.settings import REFERENCES, LayerConfig
from kapre_cli.settings.checks import INT64, MAX_CHANNELS, MAX_PATH_BYTES, MAX_SR
from kapre_cli.settings.layers import MAX_WEIGHTS
from kapre_cli.settings.weights import check_weight_bytes
from kapre_cli.text import quoted

MAX_METADATA_BYTES = 2**16  # of one input: a path has 4,096 bytes, each at most six in JSON

# These need more memory than their bytes in JSON; the largest n_dft has most in `frequency`.
_MAX_JSON_VALUES = 2**21 + MAX_METADATA_BYTES

_MAX_FLOAT32 = float(np.finfo(np.float32).max)
_RANGES = {
    **{name: INT64 for name, kind in InputMetadata.__annotations__.items() if kind in (int, float)},
    "sr": (1, MAX_SR),
    "source_sr": (1, MAX_SR),
    "n_samples": (1, INT64[1]),
    "n_channels": (1, MAX_CHANNELS),
    "source_size": (0, INT64[1]),
    "n_non_finite": (0, INT64[1]),
    "n_silent_channels": (0, INT64[1]),
    "crc32": (0, 2**32 - 1),
}

_ESCAPING_KEY = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|\0")


def validated_json(text: str | bytes, max_parts: int = MAX_METADATA_BYTES) -> Any:
    """Parse JSON of untrusted origin; raise StoredDataError if it is invalid.

    A name twice in one object is rejected, and so are NaN, infinity, integers of more than 64 bits,
    more than ``max_parts`` lists, objects and names, and more values than this program writes.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode()
        if len(text) > MAX_METADATA_BYTES:
            n_parts, n_values = sum(map(text.count, "[{:")), text.count(",")
            if n_parts > max_parts or n_values > _MAX_JSON_VALUES:
                raise StoredDataError(
                    f"its metadata has {n_parts:,} lists, objects and names and {n_values:,} "
                    f"commas; at most {max_parts:,} and {_MAX_JSON_VALUES:,} are read"
                )
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise StoredDataError(f"its metadata is not JSON: {error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        raise ValueError("an object has one name twice")
    return named


def _int64(digits: str) -> int:
    # The time of parsing integers is quadratic.
    if len(digits) > 20 or not INT64[0] <= int(digits) <= INT64[1]:
        _reject_number(digits)
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        _reject_number(digits)
    return number


def _reject_number(digits: str) -> None:
    raise ValueError(f"{digits[:40]} is out of range")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_constant=_reject_number,
    parse_float=_finite,
    parse_int=_int64,
)


def validated_key(key: Any) -> str:
    """Return a key; raise StoredDataError unless it is UTF-8 and a path in the output."""
    if not isinstance(key, str):
        raise StoredDataError(f"{quoted(key)} is no key")
    if _ESCAPING_KEY.search(key):
        raise StoredDataError(f"the key {quoted(key)} leads out of the output")
    if not key.isascii():
        try:
            key.encode()
        except UnicodeEncodeError as error:
            raise StoredDataError(f"the key {quoted(key)} is not UTF-8") from error
    # Bytes that are not UTF-8 have three characters in a key, and no character has five bytes.
    if 4 * len(key) > MAX_PATH_BYTES and len(unquote_to_bytes(key)) > MAX_PATH_BYTES:
        raise StoredDataError(
            f"the key {quoted(key[:50] + '...')} is longer than the {MAX_PATH_BYTES:,} bytes "
            "a path may have"
        )
    return key


def validated_root(stored: Any) -> OutputMetadata:
    """Return the metadata of an output; raise StoredDataError unless it is consistent."""
    root = OutputMetadata.from_dict(stored)
    sr = root.audio.sr
    if root.layer.required_sr not in (None, sr):
        raise StoredDataError(
            f"its layer is made for {root.layer.required_sr:,} Hz, its audio is at {sr:,}"
        )
    if root.reference != REFERENCES[0] and not root.layer.takes_decibels:
        raise StoredDataError("its `reference` is that of decibels, which its layer does not take")
    if root.weights is not None:
        check_weight_bytes(4 * root.layer.n_weights)
        if not root.layer.n_weights or root.engine == "numpy":
            raise StoredDataError("its layer has trained weights, which its settings rule out")
    if root.layer.image_data_format == "default":
        raise StoredDataError("its layer's `image_data_format` is not resolved")
    return root


def within_range(metadata: InputMetadata, root: OutputMetadata) -> InputMetadata:
    """Return metadata; raise StoredDataError if a value is out of range."""
    for name, (lowest, highest) in _RANGES.items():
        value = getattr(metadata, name)
        if not lowest <= value <= highest:  # NaN is not
            raise StoredDataError(f"{name!r} of an input is {value!r}")
    if metadata.sr != root.audio.sr:
        raise StoredDataError(
            f"an input's rate is {metadata.sr:,} Hz, the output's {root.audio.sr:,}"
        )
    _check_segment(metadata)
    _check_reference(metadata, root.layer)
    return metadata


def _check_segment(metadata: InputMetadata) -> None:
    """Raise StoredDataError for a segment that no recording has."""
    start, end, channel = metadata.start, metadata.end, metadata.channel
    if start is None and end is None and channel is None:
        return
    is_valid = (start is not None and end is not None and 0 <= start < end <= INT64[1]) and (
        channel is None or (0 <= channel < MAX_CHANNELS and metadata.n_channels == 1)
    )
    if not is_valid:
        raise StoredDataError(
            f"an input has the start {start!r}, the end {end!r} and the channel {channel!r}"
        )


def _check_reference(metadata: InputMetadata, config: LayerConfig) -> None:
    """Raise StoredDataError for a reference that the layer cannot have had."""
    reference, in_db = metadata.reference, metadata.reference_db
    if not config.takes_decibels:
        is_valid = reference is None and in_db is None
    else:
        is_valid = (
            reference is not None
            and in_db is not None
            and config.amin <= reference <= _MAX_FLOAT32
            and math.isclose(in_db, 10.0 * math.log10(reference), abs_tol=1e-9)
        )
    if not is_valid:
        raise StoredDataError(
            f"an input has the reference {reference!r} and reference_db {in_db!r}"
        )


def validated_coordinate(values: npt.NDArray[Any], root: OutputMetadata) -> npt.NDArray[np.float64]:
    """Return coordinates; raise StoredDataError if they are not the layer's."""
    expected = root.layer.feature_positions(root.audio.sr).values
    if values.shape != expected.shape or not np.allclose(values, expected, rtol=1e-9, atol=0):
        raise StoredDataError(f"its `{root.layer.coordinate.name}` is not that of its layer")
    return values


def check_shape(
    key: str, shape: tuple[int, ...], metadata: InputMetadata, config: LayerConfig
) -> None:
    """Raise StoredDataError for a shape that is not the one of the layer."""
    if len(shape) != len(config.axes):
        raise StoredArrayError(key, f"has {len(shape)} axes, its metadata names {len(config.axes)}")
    expected = validated_shape(key, metadata, config)
    if shape != expected:
        raise StoredArrayError(key, f"has shape {shape}, its metadata declares {expected}")


def validated_shape(key: str, metadata: InputMetadata, config: LayerConfig) -> tuple[int, ...]:
    """Return the shape of an input's array; raise StoredDataError if it has none."""
    try:
        if metadata.start is None:
            return _shape(config, metadata.n_samples, metadata.n_channels)
        return metadata.shape(config)
    except ValueError as error:
        raise StoredArrayError(key, f"cannot have been computed: {error}") from error


@lru_cache(maxsize=2**10)
def _shape(config: LayerConfig, n_samples: int, n_channels: int) -> tuple[int, ...]:
    return config.shape(n_samples, n_channels)


def check_buildable(config: LayerConfig) -> None:
    """Raise StoredDataError for a layer whose weights would fill the memory."""
    if config.n_weights > MAX_WEIGHTS:
        raise StoredDataError(
            f"its layer would have {config.n_weights:,} weights; at most {MAX_WEIGHTS:,} are built "
            "from a file"
        )


def within(path: str | Path, folder: str) -> bool:
    """Whether a path, links followed, is ``folder``, which is resolved, or in it."""
    real = os.path.realpath(path)
    return real == folder or real.startswith(os.path.join(folder, ""))
