"""Verify an output: complete, undamaged, and equal to what its audio gives now."""

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import StoredDataError
from kapre_cli.events import (
    FaultFound,
    Observer,
    PhaseInputEnded,
    PhaseStarted,
    UnexpectedFound,
    ignore,
)
from kapre_cli.exit_codes import ExitCode
from kapre_cli.extraction.executor import Executor
from kapre_cli.formats.arrays import StoredArray
from kapre_cli.formats.metadata import OutputMetadata
from kapre_cli.inspect import opened, reason_of, seconds_of, total_of
from kapre_cli.text import Text, counted, quoted

SAMPLE = 10  # inputs that are recomputed by default


@dataclass
class VerifyResult:
    """The result of verifying an output.

    Attributes:
        faulty: The keys of inputs with faults.
        n_unexpected: Number of unexpected objects, and of faults of the entire output.
        n_recomputed: Number of recomputed inputs.
        tolerance: How close these had to be, as text; empty if none was to be recomputed.
    """

    path: Path
    emit: Observer
    n_inputs: int = 0
    faulty: set[str] = field(default_factory=set)
    n_unexpected: int = 0
    n_recomputed: int = 0
    tolerance: str = ""

    def add_fault(self, key: str, why: Text | str) -> None:
        """Record a fault of an input."""
        self.faulty.add(key)
        self.emit(FaultFound(key, why))

    @property
    def is_correct(self) -> bool:
        """Whether there is no fault."""
        return not (self.faulty or self.n_unexpected)

    @property
    def exit_code(self) -> ExitCode:
        """0 only if there is no fault."""
        return ExitCode.OK if self.is_correct else ExitCode.FAILED

    def summary(self) -> str:
        """Return the closing line."""
        inputs, n_faulty = counted(self.n_inputs, "input"), len(self.faulty)
        counts = f"{self.n_inputs - n_faulty:,} correct, {n_faulty:,} wrong"
        if self.n_unexpected:
            counts += f", {self.n_unexpected:,} unexpected"
        if self.tolerance:
            counts += f"; {self.n_recomputed:,} recomputed, {self.tolerance}"
        return f"{quoted(self.path)}: {inputs}: {counts}"


def verify(
    path: Path,
    against: Path | None = None,
    sample: int | None = SAMPLE,
    emit: Observer = ignore,
    executor: Executor | None = None,
) -> VerifyResult:
    """Compare an output with its metadata, and some or all inputs with their audio.

    Every array is read once, in chunks; ``emit`` receives faults and progress. ``against`` is the
    folder that the keys lie in, or the one file: ``sample`` evenly spaced inputs (``None``: all)
    are recomputed from it in a temporary folder, with the settings of the output, by the executor
    or else in this process.

    Raises:
        UsageError: If nothing is at ``path`` or ``against``.
        StoredDataError: If the entire output is invalid, its frequencies included.
        OutputError: If the temporary folder cannot be written.
    """
    with opened(path) as features:
        result = VerifyResult(path, emit, len(features))
        if against is not None:
            # Decoders and engines are imported only where something is computed.
            from kapre_cli.inspect.recompute import Recomputation, check_audio, sample_evenly

            check_audio(features, against)
        seconds = seconds_of(features)
        emit(PhaseStarted("checking", len(features), total_of(seconds, seconds)))
        for key in features:
            try:
                _check_array(features[key], features.root, emit)
            except StoredDataError as error:
                result.add_fault(key, reason_of(error, key))
            emit(PhaseInputEnded(seconds.get(key, 0.0)))
        try:
            for name in features.unexpected_files():
                result.n_unexpected += 1
                emit(UnexpectedFound(name))
            features.check_scales()
            _ = features.weights  # compared with their checksum
        except StoredDataError as error:
            result.n_unexpected += 1
            emit(FaultFound(None, str(error)))
        if against is not None:
            correct = [key for key in features if key not in result.faulty]
            recomputation = Recomputation(
                features, against, seconds, result.add_fault, emit, executor
            )
            recomputation.check(correct if sample is None else sample_evenly(correct, sample))
            result.n_recomputed = recomputation.n_inputs
            result.tolerance = recomputation.tolerance
    return result


def _check_array(array: StoredArray, root: OutputMetadata, emit: Observer) -> None:
    """Raise StoredDataError unless an array's type, times and values are valid."""
    if array.dtype.newbyteorder("<") != np.dtype(root.dtype).newbyteorder("<"):
        raise StoredDataError(f"it is of {array.dtype.name}, the settings have {root.dtype}")
    metadata = array.metadata
    times = metadata.times(root.layer.framing)
    if times != (metadata.time_start, metadata.time_step):
        raise StoredDataError(
            f"its metadata has frames from {metadata.time_start} s on, every "
            f"{metadata.time_step} s; its layer has them from {times[0]} s on, every {times[1]} s"
        )
    expected = root.layer.values
    lowest, highest = expected.lowest, expected.highest
    n_seen: Counter[str] = Counter()
    outside = np.empty(0)
    show_progress = array.progress_visitor(emit)

    def visit(values: npt.NDArray[Any]) -> None:
        nonlocal outside
        least, largest = values.min(), values.max()  # NaN if there is one
        if not (lowest <= least and largest <= highest and math.isfinite(largest)):
            n_seen["nan"] += np.count_nonzero(np.isnan(values))
            n_seen["infinite"] += np.count_nonzero(np.isinf(values))
            finite = values[np.isfinite(values)]
            beyond = finite[(finite < lowest) | (finite > highest)]
            n_seen["outside"] += beyond.size
            outside = beyond[:1] if beyond.size else outside
        if show_progress is not None:
            show_progress(values)

    array.verify(visit)
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
