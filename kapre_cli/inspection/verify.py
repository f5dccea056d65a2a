"""Whether an output is what it should be: whole, sound, and still what its audio gives."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import StoredDataError, quoted
from kapre_cli.extraction.executor import Executor
from kapre_cli.framing import Framing
from kapre_cli.inspection.opening import opened, seconds_of, total_of
from kapre_cli.inspection.telling import reason
from kapre_cli.report import SILENT, ExitCode, Progress, counted
from kapre_cli.storage.metadata import RootFacts
from kapre_cli.storage.stored import Features, StoredArray

SAMPLE = 10  # inputs that are computed anew unless it is said how many
_DECIBELS = (-80.0, 0.0)


@dataclass
class Verdict:
    """What has been found of an output.

    Attributes:
        path: The output.
        say: Called with each thing that is wrong, in words, as it is found.
        n_inputs: How many inputs the output has.
        wrong: The keys of those with which something is wrong.
        n_strays: How many things lie among the arrays and are none of them.
        n_anew: How many inputs have been computed anew.
        how_close: How close those had to be, in words.
    """

    path: Path
    say: Callable[[str], None]
    n_inputs: int = 0
    wrong: set[str] = field(default_factory=set)
    n_strays: int = 0
    n_anew: int = 0
    how_close: str = ""

    def input(self, key: str, why: str) -> None:
        """Take note of what is wrong with an input."""
        self.wrong.add(key)
        self.say(f"wrong: {quoted(key)}: {why}")

    def stray(self, name: str) -> None:
        """Take note of something that does not belong there."""
        self.n_strays += 1
        self.say(f"stray: {quoted(name)} is not of this output")

    @property
    def exit_code(self) -> ExitCode:
        """0 only if nothing is wrong."""
        return ExitCode.FAILED if self.wrong or self.n_strays else ExitCode.OK

    def closing(self) -> str:
        """Return the closing line."""
        n_wrong = len(self.wrong)
        counts = [f"{self.n_inputs - n_wrong:,} right", f"{n_wrong:,} wrong"]
        if self.n_strays:
            counts.append(counted(self.n_strays, "stray"))
        anew = f"; {self.n_anew:,} computed anew, {self.how_close}" if self.how_close else ""
        inputs = counted(self.n_inputs, "input")
        return f"{quoted(self.path)}: {inputs}: {', '.join(counts)}{anew}"


def verify(
    path: Path,
    say: Callable[[str], None],
    against: Path | None = None,
    sample: int | None = SAMPLE,
    progress: Progress = SILENT,
    executor: Executor | None = None,
) -> Verdict:
    """Hold an output against its own facts, and some or all of it against its audio.

    Every array is read once, in parts. Inputs that are to be held against the audio are computed
    anew in a temporary folder, with the settings of the output.

    Args:
        path: The output.
        say: Called with each thing that is wrong, in words, as it is found.
        against: The folder that the keys lie in, or the one file. ``None``: look at no audio.
        sample: How many inputs, spread over the output, are held against the audio. ``None``:
            all of them.
        progress: Told how far the work has come.
        executor: What computes inputs again; ``None``: this process.

    Raises:
        UsageError: If there is nothing at ``path`` or ``against``.
        StoredDataError: If the output as a whole is not sound, its frequencies included.
        OutputError: If the temporary folder cannot be written.
    """
    with opened(path) as features:
        verdict = Verdict(path, say, len(features))
        if against is not None:
            # Decoders and engines are imported only where something is computed.
            from kapre_cli.inspection.anew import Anew, require_audio, spread

            require_audio(features, against)
        seconds = seconds_of(features)
        progress.checking(len(features), total_of(seconds, seconds))
        framing = features.layer.framing
        for key in features:
            try:
                _check(features[key], features.root, framing, progress)
            except StoredDataError as error:
                verdict.input(key, reason(key, error))
            progress.checked(seconds.get(key, 0.0))
        _look_for_strays(features, verdict)
        if against is not None:
            sound = [key for key in features if key not in verdict.wrong]
            anew = Anew(features, against, verdict.input, progress, executor)
            anew.check(sound if sample is None else spread(sound, sample), seconds)
            verdict.n_anew, verdict.how_close = anew.n_inputs, anew.how_close
    return verdict


def _look_for_strays(features: Features, verdict: Verdict) -> None:
    try:
        for stray in features.strays():
            verdict.stray(stray)
        features.require_scales()
    except StoredDataError as error:
        verdict.n_strays += 1
        verdict.say(f"wrong: {error}")


def _check(array: StoredArray, root: RootFacts, framing: Framing, progress: Progress) -> None:
    """Hold an array, whose shape has been seen to be right, against all that is known of it.

    Raises:
        StoredDataError: If it is not what it should be.
    """
    if array.dtype.newbyteorder("<") != np.dtype(root.dtype).newbyteorder("<"):
        raise StoredDataError(f"it is of {array.dtype.name}, the settings say {root.dtype}")
    facts = array.facts
    times = framing.times(facts.n_samples, facts.sr)
    if times != (facts.time_start, facts.time_step):
        raise StoredDataError(
            f"its frames are said to begin at {facts.time_start} s, every {facts.time_step} s; "
            f"of its layer they begin at {times[0]} s, every {times[1]} s"
        )
    values = _Values(root)
    moving = array.moving(progress)

    def look(part: npt.NDArray[Any]) -> None:
        values.look(part)
        if moving is not None:
            moving(part)

    array.verify(look)
    values.require(facts.n_non_finite if root.audio.non_finite == "keep" else 0)


class _Values:
    """What is seen of an array's values as they are read."""

    def __init__(self, root: RootFacts) -> None:
        self._what = "decibels" if root.layer.decibel else "magnitudes"
        self._lowest, self._highest = _DECIBELS if root.layer.decibel else (0.0, np.inf)
        self._n_nan = 0
        self._n_infinite = 0
        self._n_outside = 0
        self._outside = 0.0

    def look(self, values: npt.NDArray[Any]) -> None:
        """Take some values into account."""
        lowest, highest = values.min(), values.max()  # NaN if there is one
        if self._lowest <= lowest and highest <= self._highest and math.isfinite(highest):
            return
        self._n_nan += np.count_nonzero(np.isnan(values))
        self._n_infinite += np.count_nonzero(np.isinf(values))
        outside = values[np.isfinite(values)]
        outside = outside[(outside < self._lowest) | (outside > self._highest)]
        if outside.size:
            self._n_outside += outside.size
            self._outside = float(outside[0])

    def require(self, n_non_finite: int) -> None:
        """Refuse what has been seen if it cannot be.

        Args:
            n_non_finite: How many samples that are not finite its audio had, and kept.
        """
        if self._n_infinite:
            raise StoredDataError(f"it has {counted(self._n_infinite, 'infinite value')}")
        if self._n_nan and not n_non_finite:
            raise StoredDataError(f"it has {counted(self._n_nan, 'value')} that should not be NaN")
        if self._n_outside:
            raise StoredDataError(
                f"it has {counted(self._n_outside, 'value')} beyond what {self._what} can be, such "
                f"as {self._outside:g}"
            )
