"""Verify an output: complete, undamaged, and equal to what its audio gives now."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import StoredDataError
from kapre_cli.events import Observer, PhaseInputEnded, PhaseStarted, ignore
from kapre_cli.exit_codes import ExitCode
from kapre_cli.extract.executor import Executor
from kapre_cli.formats.features import StoredArray
from kapre_cli.formats.metadata import OutputMetadata
from kapre_cli.inspect.opening import opened, seconds_of, total_of
from kapre_cli.inspect.texts import reason
from kapre_cli.text import counted, quoted

SAMPLE = 10  # inputs that are recomputed by default


@dataclass
class VerifyResult:
    """The faults of an output.

    Attributes:
        say: Called with each fault, in words, as it is found.
        wrong: The keys of inputs with faults.
        n_strays: Number of unexpected objects among the arrays.
        n_anew: Number of recomputed inputs.
        how_close: How close these had to be, in words.
    """

    path: Path
    say: Callable[[str], None]
    n_inputs: int = 0
    wrong: set[str] = field(default_factory=set)
    n_unexpected: int = 0
    n_anew: int = 0
    how_close: str = ""

    def input(self, key: str, why: str) -> None:
        """Record a fault of an input."""
        self.wrong.add(key)
        self.say(f"wrong: {quoted(key)}: {why}")

    def stray(self, name: str) -> None:
        """Record an unexpected object."""
        self.n_unexpected += 1
        self.say(f"stray: {quoted(name)} is not of this output")

    @property
    def exit_code(self) -> ExitCode:
        """0 only if there is no fault."""
        return ExitCode.FAILED if self.wrong or self.n_unexpected else ExitCode.OK

    def closing(self) -> str:
        """Return the closing line."""
        n_wrong = len(self.wrong)
        counts = [f"{self.n_inputs - n_wrong:,} right", f"{n_wrong:,} wrong"]
        if self.n_unexpected:
            counts.append(counted(self.n_unexpected, "stray"))
        anew = f"; {self.n_anew:,} computed anew, {self.how_close}" if self.how_close else ""
        inputs = counted(self.n_inputs, "input")
        return f"{quoted(self.path)}: {inputs}: {', '.join(counts)}{anew}"


def verify(
    path: Path,
    say: Callable[[str], None],
    against: Path | None = None,
    sample: int | None = SAMPLE,
    emit: Observer = ignore,
    executor: Executor | None = None,
) -> VerifyResult:
    """Compare an output with its own metadata, and some or all inputs with their audio.

    Every array is read once, in parts. ``say`` is called with each fault, in words, as it is found.
    ``against`` is the folder that the keys lie in, or the one file: ``sample`` evenly spaced inputs
    (``None``: all) are recomputed from it in a temporary folder, with the settings of the output,
    by the executor or else in this process.

    Raises:
        UsageError: If nothing is at ``path`` or ``against``.
        StoredDataError: If the output as a whole is invalid, its frequencies included.
        OutputError: If the temporary folder cannot be written.
    """
    with opened(path) as features:
        verdict = VerifyResult(path, say, len(features))
        if against is not None:
            # Decoders and engines are imported only where something is computed.
            from kapre_cli.inspect.recompute import Recomputation, require_audio, sample_evenly

            require_audio(features, against)
        seconds = seconds_of(features)
        emit(PhaseStarted("checking", len(features), total_of(seconds, seconds)))
        for key in features:
            try:
                _check(features[key], features.root, emit)
            except StoredDataError as error:
                verdict.input(key, reason(key, error))
            emit(PhaseInputEnded(seconds.get(key, 0.0)))
        try:
            for stray in features.unexpected_files():
                verdict.stray(stray)
            features.require_scales()
        except StoredDataError as error:
            verdict.n_unexpected += 1
            say(f"wrong: {error}")
        if against is not None:
            sound = [key for key in features if key not in verdict.wrong]
            anew = Recomputation(features, against, seconds, verdict.input, emit, executor)
            anew.check(sound if sample is None else sample_evenly(sound, sample))
            verdict.n_anew, verdict.how_close = anew.n_inputs, anew.how_close
    return verdict


def _check(array: StoredArray, root: OutputMetadata, emit: Observer) -> None:
    """Compare an array, whose shape has been checked, with its metadata; raise StoredDataError."""
    if array.dtype.newbyteorder("<") != np.dtype(root.dtype).newbyteorder("<"):
        raise StoredDataError(f"it is of {array.dtype.name}, the settings say {root.dtype}")
    metadata = array.metadata
    times = root.layer.framing.times(metadata.n_samples, metadata.sr)
    if times != (metadata.time_start, metadata.time_step):
        raise StoredDataError(
            f"its frames are said to begin at {metadata.time_start} s, every "
            f"{metadata.time_step} s; "
            f"of its layer they begin at {times[0]} s, every {times[1]} s"
        )
    expected = root.layer.values
    lowest, highest = expected.lowest, expected.highest
    n_seen: Counter[str] = Counter()
    outside = np.empty(0)
    moving = array.moving(emit)

    def look(values: npt.NDArray[Any]) -> None:
        nonlocal outside
        least, largest = values.min(), values.max()  # NaN if there is one
        if not (lowest <= least and largest <= highest and math.isfinite(largest)):
            n_seen["nan"] += np.count_nonzero(np.isnan(values))
            n_seen["infinite"] += np.count_nonzero(np.isinf(values))
            finite = values[np.isfinite(values)]
            beyond = finite[(finite < lowest) | (finite > highest)]
            n_seen["outside"] += beyond.size
            outside = beyond[:1] if beyond.size else outside
        if moving is not None:
            moving(values)

    array.verify(look)
    if n_seen["infinite"]:
        raise StoredDataError(f"it has {counted(n_seen['infinite'], 'infinite value')}")
    may_be_nan = metadata.n_non_finite and root.audio.non_finite == "keep"
    if n_seen["nan"] and not may_be_nan:
        raise StoredDataError(f"it has {counted(n_seen['nan'], 'value')} that should not be NaN")
    if n_seen["outside"]:
        raise StoredDataError(
            f"it has {counted(n_seen['outside'], 'value')} beyond what {expected.noun} can be, "
            f"such as {outside[0]:g}"
        )
