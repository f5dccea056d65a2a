"""Recompute inputs of an output from their audio, and compare the results."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from math import prod
from pathlib import Path
from typing import TypeVar

import numpy as np

from kapre_cli.audio import sha256_of
from kapre_cli.errors import AudioReadError, StoredDataError, UsageError
from kapre_cli.events import (
    Event,
    InputProgress,
    Observer,
    PhaseInputEnded,
    PhaseProgress,
    PhaseStarted,
)
from kapre_cli.extraction.executor import Executor
from kapre_cli.extraction.run import extract
from kapre_cli.formats.arrays import StoredArray
from kapre_cli.formats.features import Features
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.formats.opening import open_features
from kapre_cli.formats.validation import check_buildable
from kapre_cli.inputs import Source, path_of, recording_of
from kapre_cli.inspect import total_of
from kapre_cli.inspect.compare import EXACT, deviation_text, difference
from kapre_cli.outputs.locked_folders import scratch_folder
from kapre_cli.run_result import RunResult
from kapre_cli.settings import ExtractionSettings, OutputSettings
from kapre_cli.settings.formats import format_of
from kapre_cli.settings.layers import DECIBEL_TOLERANCE
from kapre_cli.text import Text, counted, quoted

# Tolerances with other versions: the guaranteed accuracy of any result.
_FRACTION_OF_PEAK = 2e-5

_CHUNK_BYTES = 2**28  # of features that are in the temporary folder at once, or
_CHUNK_INPUTS = 1000

_NAMED = 3  # keys that a message names
_MOST_ENTRIES = 1000  # entries of a folder

_AUDIO_FIELDS = (
    "source_sr",
    "n_samples",
    "n_channels",
    "n_missing",
    "n_non_finite",
    "n_silent_channels",
)

Item = TypeVar("Item")


def check_audio(features: Features, audio: Path) -> None:
    """Raise UsageError unless ``audio`` is the only input's file, or has an input."""
    if not audio.exists():
        raise UsageError(f"there is no audio at {quoted(audio)}")
    if audio.is_dir():
        _check_folder(features, audio)
    elif (number := len({*_recordings(features)})) != 1:
        raise UsageError(
            f"{quoted(audio)} is one file, {quoted(features.path)} has {counted(number, 'input')}; "
            "name the folder that they lie in"
        )


def _recordings(features: Features) -> Iterator[str]:
    """Yield the key of each input's recording."""
    is_of_segment = {}
    with suppress(StoredDataError):  # opening that input raises it again
        is_of_segment = {key: one.start is not None for key, one in features.metadata()}
    for key in features:
        yield recording_of(key, is_segment=is_of_segment.get(key, False))


def _check_folder(features: Features, audio: Path) -> None:
    missing: list[str] = []
    for key in dict.fromkeys(_recordings(features)):
        with suppress(UsageError):
            missing.append(path_of(key))
            if os.path.lexists(audio / missing[-1]):
                return
    if not missing:
        return
    named = ", ".join(quoted(path) for path in missing[:_NAMED])
    more = ", ..." if len(missing) > _NAMED else ""
    near = next(_near_folders(features, audio, missing[0]), None)
    hint = f"; did you mean {quoted(near)}, where {quoted(missing[0])} is?" if near else ""
    raise UsageError(
        f"none of the inputs of {quoted(features.path)} lies in the folder {quoted(audio)}; "
        f"looked for: {named}{more}{hint}"
    )


def _near_folders(features: Features, audio: Path, path: str) -> Iterator[Path]:
    """Yield folders that contain ``path``, near ``audio`` or where inputs were read."""
    with suppress(StoredDataError, OSError):
        sources = (metadata.source for _, metadata in islice(features.metadata(), 1))
        read_from = [Path(one.removesuffix(path)) for one in sources if one.endswith(path)]
        below = sorted(one for one in islice(audio.iterdir(), _MOST_ENTRIES) if one.is_dir())
        for folder in (*read_from, audio.parent, *below):
            if os.path.lexists(folder / path):
                yield folder


def sample_evenly(items: Sequence[Item], number: int) -> list[Item]:
    """Return ``number`` evenly spaced items, with both ends, or all items if fewer.

    >>> sample_evenly(range(100), 4), sample_evenly("ab", 4)
    ([0, 33, 66, 99], ['a', 'b'])
    """
    if number >= len(items):
        return list(items)
    last = len(items) - 1
    return [items[last * i // max(number - 1, 1)] for i in range(number)]


@dataclass
class Recomputation:
    """Recomputes inputs with the settings of an output, and reports those that differ.

    Attributes:
        audio: The folder that its keys lie in, or the file of its only input.
        seconds: Seconds of audio of each input, if known.
        on_fault: Called with the key of an input and its fault.
        executor: Computes the inputs; ``None``: this process.
        n_inputs: Number of recomputed inputs.
    """

    features: Features
    audio: Path
    seconds: Mapping[str, float]
    on_fault: Callable[[str, Text | str], None]
    emit: Observer
    executor: Executor | None = None
    n_inputs: int = 0
    _hashed: tuple[str, str] | None = field(default=None, init=False)  # the file hashed last

    def __post_init__(self) -> None:
        """Compare the versions of libraries: the same ones compute the same bits."""
        self._root = self.features.root
        versions = OutputMetadata.of(self._settings(Path("recomputed"))).versions
        self._is_exact = versions == self._root.versions

    @property
    def tolerance(self) -> str:
        """The allowed difference, as text."""
        if self._is_exact:
            return "bit for bit"
        tolerance = self._root.layer.values.tolerance
        if tolerance is not None:
            return f"to within {tolerance:g} dB"
        return f"to within {_FRACTION_OF_PEAK:g} of the largest value"

    def check(self, keys: Sequence[str]) -> None:
        """Recompute inputs and report faults; raise StoredDataError for a huge layer."""
        check_buildable(self._root.layer)
        self.emit(PhaseStarted("checking", len(keys), total_of(self.seconds, keys)))
        for chunk in self._chunks(keys):
            with scratch_folder() as folder:
                self._check_chunk(chunk, folder / "recomputed")

    def _chunks(self, keys: Sequence[str]) -> Iterator[list[Source]]:
        """Yield chunks of inputs whose bytes are unchanged; report the others."""
        chunk: list[Source] = []
        n_bytes = 0
        for key in keys:
            array = self.features[key]
            try:
                source = self._source(key, array.metadata)
            except (AudioReadError, UsageError) as error:
                self.on_fault(key, Text(error))
                self.emit(PhaseInputEnded(self.seconds.get(key, 0.0)))
                continue
            chunk.append(source)
            n_bytes += prod(array.shape) * array.dtype.itemsize
            if n_bytes >= _CHUNK_BYTES or len(chunk) >= _CHUNK_INPUTS:
                yield chunk
                chunk, n_bytes = [], 0
        if chunk:
            yield chunk

    def _source(self, key: str, metadata: InputMetadata) -> Source:
        """Return the source of an input; raise AudioReadError if its bytes have changed."""
        segment, path = metadata.segment, str(self.audio)
        if self.audio.is_dir():
            recording = recording_of(key, is_segment=segment is not None)
            path = os.path.join(self.audio, path_of(recording))
        if not os.path.lexists(path):
            raise AudioReadError(f"its source {quoted(path)} is missing")
        if self._hashed is None or self._hashed[0] != path:  # all segments of a recording ask
            try:
                self._hashed = path, sha256_of(path)
            except AudioReadError as error:
                raise AudioReadError(Text(f"its source {quoted(path)}: ", error)) from error
        if self._hashed[1] != metadata.sha256:
            raise AudioReadError(f"its source {quoted(path)} has changed: its SHA-256 is another")
        return Source(path, key, segment=segment)

    def _check_chunk(self, chunk: Sequence[Source], path: Path) -> None:
        # Numbers replace the keys, which may be too long, or too much alike, for file names.
        numbered = [source._replace(key=str(number)) for number, source in enumerate(chunk)]
        result = RunResult(self._computing, failures=[])
        extract(numbered, self._settings(path), result, self.executor)
        self.n_inputs += result.n_written
        errors = {failure.result.key: failure.error for failure in result.failures or ()}
        with open_features(path) if result.n_written else nullcontext() as recomputed:
            for source, number in zip(chunk, numbered, strict=True):
                why: Text | str | None
                if recomputed is None or number.key not in recomputed:
                    why = Text("cannot be recomputed: ", errors[number.key])
                else:
                    why = self._differs(self.features[source.key], recomputed[number.key])
                if why is not None:
                    self.on_fault(source.key, why)
                self.emit(PhaseInputEnded(self.seconds.get(source.key, 0.0)))

    def _computing(self, event: Event) -> None:
        """Show computed seconds as the progress of a check."""
        if isinstance(event, InputProgress):
            self.emit(PhaseProgress(event.seconds))

    def _differs(self, stored: StoredArray, recomputed: StoredArray) -> str | None:
        """Return how an array differs from the recomputed one; ``None`` if it does not."""
        for name in _AUDIO_FIELDS:
            before, after = getattr(stored.metadata, name), getattr(recomputed.metadata, name)
            if before != after:
                return f"its {name} is {before:,}, recomputed {after:,}"
        before, after = stored.metadata.reference_db, recomputed.metadata.reference_db
        if before is not None and after is not None:
            is_other = stored.metadata.reference != recomputed.metadata.reference
            if is_other and (self._is_exact or abs(before - after) > DECIBEL_TOLERANCE):
                return f"its reference_db is {before:.7g}, recomputed {after:.7g}"
        diff = difference(stored, recomputed, self._root.layer, EXACT)
        deviation = diff.absolute
        tolerance = self._root.layer.values.tolerance
        if tolerance is None:
            tolerance = _FRACTION_OF_PEAK * diff.peak
        allowed = tolerance + float(np.finfo(self._root.dtype).eps) * diff.peak
        if deviation is None or (not self._is_exact and deviation.by <= allowed):
            return None
        return (
            f"{diff.n_beyond:,} of {diff.n_values:,} values differ from the recomputed ones, "
            f"by up to {deviation_text(deviation, self.features, stored)}"
        )

    def _settings(self, path: Path) -> ExtractionSettings:
        root = self._root
        return ExtractionSettings(
            layer=root.layer,
            # Inputs that an earlier run has read may be longer than the last one allowed.
            audio=replace(root.audio, max_samples=None),
            output=OutputSettings(path=path, format=format_of(path), dtype=root.dtype),
            engine=root.engine,
            reference=root.reference,
            weights=self.features.weights,
        )
