"""The features of one recording, or of samples in memory, computed in this process."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy.typing as npt

from kapre_cli.api.arguments import PathLike, audio_arguments, given_or_of, named_error
from kapre_cli.api.layers import Layer, resolved
from kapre_cli.audio import read_header
from kapre_cli.audio.memory import SampleArray
from kapre_cli.errors import AudioReadError, FeatureError, SettingsError
from kapre_cli.extraction.single import compute_one
from kapre_cli.formats.array_chunks import ArrayChunks
from kapre_cli.formats.arrays import FeatureArray
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.inputs import Source, file_key
from kapre_cli.settings import (
    LAYERS,
    STANDARD_OUTPUT,
    AudioSettings,
    ExtractionSettings,
    LayerConfig,
    OutputSettings,
    resolved_layer,
)
from kapre_cli.settings.formats import format_of
from kapre_cli.text import Argument, Text

Recording = PathLike | npt.NDArray[Any] | Sequence[float]

_IN_MEMORY = Source("", "samples")


def compute(  # noqa: D417 - most arguments are those of `extract`
    recording: Recording,
    layer: Layer,
    *,
    sr: int | None = None,
    resample: bool | None = None,
    channels: int | Sequence[int] | None = None,
    mono: bool | None = None,
    raw_format: str | None = None,
    allow_truncated: bool | None = None,
    non_finite: str | None = None,
    verify_audio: bool | None = None,
    max_samples: int | None = None,
    dtype: str | None = None,
    engine: str | None = None,
) -> FeatureArray:
    """Return the features of one recording, bit for bit as the command writes them.

    This process decodes and computes, and nothing is written.

    Args:
        recording: A WAV or FLAC file; or samples, shape ``(samples,)`` or ``(channels, samples)``:
            floats, or integers of 16 or 32 bits, which are scaled to [-1, 1).
        layer: A layer, its configuration, or the path of an output or a model, as of
            :func:`~kapre_cli.extract`.
        sr: Sample rate in Hz: of samples, theirs; of a file, the one that it must have or is
            converted to. ``None``: that of the layer, or else of the file.
        resample: As of :func:`~kapre_cli.extract`, like all other arguments.

    Returns:
        The array, in memory, with the axes and the metadata of an output's.

    Raises:
        SettingsError: If an argument is invalid; a ``ValueError`` too.
        AudioReadError: If the recording cannot be read; an ``OSError`` too.
        FeatureError: If it is too short for a frame; a ``ValueError`` too.

    >>> import kapre_cli
    >>> layer = kapre_cli.MelspectrogramConfig(sr=22050, n_mels=40)
    >>> bird = kapre_cli.compute("sample_audio/bird.flac", layer)
    >>> bird.axes, bird.shape, bird.metadata.seconds
    (('mel', 'time', 'channel'), (40, 173, 2), 2.0)
    """
    config, weights, like = resolved(layer)
    audio = {
        "sr": sr,
        "resample": resample,
        "channels": channels,
        "mono": mono,
        "raw_format": raw_format,
        "allow_truncated": allow_truncated,
        "non_finite": non_finite,
        "verify_audio": verify_audio,
        "max_samples": max_samples,
    }
    chosen, rate = audio_arguments(like, config, audio)
    stored, running = given_or_of(like, dtype=dtype), given_or_of(like, engine=engine)
    running["weights"] = weights
    return _computed(recording, lambda _sr: config, chosen, rate, stored, running)


def spectrogram(recording: Recording, sr: int | None = None, **arguments: Any) -> FeatureArray:
    """Return the spectrogram of one recording.

    Args:
        recording: A file or samples, as of :func:`~kapre_cli.compute`.
        sr: Sample rate in Hz, of samples theirs. ``None``: that of the file.
        **arguments: Those of :class:`~kapre_cli.Spectrogram`.

    Returns:
        The array, as of :func:`~kapre_cli.compute`.

    Raises:
        SettingsError: If an argument is invalid; a ``ValueError`` too.
        AudioReadError: If the recording cannot be read; an ``OSError`` too.
        FeatureError: If it is too short for a frame; a ``ValueError`` too.

    >>> import numpy as np
    >>> import kapre_cli
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
    >>> array = kapre_cli.spectrogram(tone, 8000, n_dft=256)
    >>> float(array.frequency[array[:, :, 0].mean(axis=0).argmax()])
    1000.0
    """
    return _of_class("Spectrogram", recording, sr, arguments)


def melspectrogram(recording: Recording, sr: int | None = None, **arguments: Any) -> FeatureArray:
    """Return the mel-spectrogram of one recording.

    Args:
        recording: A file or samples, as of :func:`~kapre_cli.compute`.
        sr: Sample rate in Hz, of samples theirs. ``None``: that of the file.
        **arguments: Those of :class:`~kapre_cli.Melspectrogram`, but ``sr``.

    Returns:
        The array, as of :func:`~kapre_cli.compute`.

    Raises:
        SettingsError: If an argument is invalid; a ``ValueError`` too.
        AudioReadError: If the recording cannot be read; an ``OSError`` too.
        FeatureError: If it is too short for a frame; a ``ValueError`` too.

    >>> import kapre_cli
    >>> kapre_cli.melspectrogram("sample_audio/vowels.wav", n_mels=40, power_melgram=2.0)
    <'sample_audio/vowels.wav' {'mel': 40, 'time': 156, 'channel': 1} float32>
    """
    return _of_class("Melspectrogram", recording, sr, arguments)


def _of_class(
    name: str, recording: Recording, sr: int | None, arguments: Mapping[str, Any]
) -> FeatureArray:
    kind: Any = LAYERS[name]
    has_rate = "sr" in {one.name for one in fields(kind)}

    def layer_at(sr: int) -> LayerConfig:
        config: LayerConfig = kind(**{"sr": sr} if has_rate else {}, **arguments)
        return config

    return _computed(recording, layer_at, {}, sr, {}, {})


def _computed(
    recording: Recording,
    layer_at: Callable[[int], LayerConfig],
    audio: Mapping[str, Any],
    sr: int | None,
    stored: Mapping[str, Any],
    running: Mapping[str, Any],
) -> FeatureArray:
    """Return the features of a file or of samples; an error of a file names it."""

    def settings_at(sr: int) -> ExtractionSettings:
        return ExtractionSettings(
            layer=resolved_layer(layer_at(sr)),
            audio=AudioSettings(**audio, sr=sr),
            output=OutputSettings(path=STANDARD_OUTPUT, format=format_of("-"), **stored),
            **running,
        )

    if isinstance(recording, (str, os.PathLike)):
        path = os.fspath(recording)
        source = Source(path, file_key(path, None))
        try:
            settings = settings_at(sr or read_header(path).sr)
            metadata, array = compute_one(source, settings)
        except (AudioReadError, FeatureError) as error:
            raise named_error(path, error) from error
        return _array(source, metadata, array, settings)
    if sr is None:
        raise SettingsError(Text("Samples in memory have no sample rate: give ", Argument("sr")))
    settings = settings_at(sr)
    samples = SampleArray(recording, settings.audio)
    metadata, array = compute_one(_IN_MEMORY, settings, samples)
    return _array(_IN_MEMORY, metadata, array, settings)


def _array(
    source: Source, metadata: InputMetadata, array: ArrayChunks, settings: ExtractionSettings
) -> FeatureArray:
    channels = settings.audio.channels
    return FeatureArray(source.key, array.assembled(), metadata, settings.layer, channels=channels)
