"""Verify, compare, merge and plot from Python."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from kapre_cli.api.arguments import PathLike
from kapre_cli.api.run import Result, workers
from kapre_cli.api.single import compute
from kapre_cli.errors import UsageError
from kapre_cli.event_text import log
from kapre_cli.events import Observer
from kapre_cli.formats.arrays import FeatureArray
from kapre_cli.formats.features import Features
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.formats.opening import is_output, open_features
from kapre_cli.inspect.compare import Comparison, Tolerance
from kapre_cli.inspect.compare import compare as compared
from kapre_cli.inspect.verify import SAMPLE, VerifyResult
from kapre_cli.inspect.verify import verify as verified
from kapre_cli.layers.configs import SpectrogramConfig
from kapre_cli.merging import merge as merged
from kapre_cli.run_result import RunResult
from kapre_cli.settings import (
    STANDARD_OUTPUT,
    AudioSettings,
    ExtractionSettings,
    OutputSettings,
)
from kapre_cli.settings.formats import format_of, output_path
from kapre_cli.text import quoted


def verify(
    output: PathLike,
    against: PathLike | None = None,
    *,
    sample: int | None = SAMPLE,
    jobs: int | None = None,
    on_event: Observer | None = None,
) -> VerifyResult:
    """Check that an output is complete, undamaged and consistent with its metadata.

    Every array is read.

    Args:
        output: The HDF5 file, the .npy file, or the folder of .npy files.
        against: The folder that the keys are relative to, or the recording of the only input:
            inputs are recomputed from it by worker processes, and compared.
        sample: Number of inputs to recompute, evenly spaced; ``None``: all.
        jobs: Number of worker processes; ``None``: one for each processor.
        on_event: Called with each event. ``None``: faults are logged as warnings.

    Returns:
        The keys of faulty inputs, and other faults; ``is_correct`` if there are none.

    Raises:
        UsageError: If nothing is at ``output`` or ``against``; a ``ValueError`` too.
        StoredDataError: If the entire output is invalid; a ``ValueError`` too.

    >>> import kapre_cli
    >>> kapre_cli.verify("docs/sample_features.h5", "sample_audio", sample=2).is_correct
    True
    """
    audio = None if against is None else Path(against)
    with nullcontext() if audio is None else workers(jobs) as executor:
        return verified(Path(output), audio, sample, on_event or log, executor)


def compare(
    one: PathLike,
    other: PathLike,
    *,
    rtol: float = 0.0,
    atol: float = 0.0,
    on_event: Observer | None = None,
) -> Comparison:
    """Compare two outputs, of any formats, input by input.

    Args:
        one: An output.
        other: Another output.
        rtol: Relative tolerance, as a fraction of the value in ``other``.
        atol: Absolute tolerance, which is added to it.
        on_event: Called with each event.

    Returns:
        What differs: ``are_equal`` if the inputs are the same and all values within the tolerance.

    Raises:
        UsageError: If one of them is missing; a ``ValueError`` too.
        StoredDataError: If one of them is invalid; a ``ValueError`` too.

    >>> import kapre_cli
    >>> sample = "docs/sample_features.h5"
    >>> found = kapre_cli.compare(sample, sample)
    >>> found.are_equal, found.n_same
    (True, 6)
    """
    return compared(Path(one), Path(other), Tolerance(rtol, atol), on_event or log)


def merge(
    inputs: Iterable[PathLike],
    output: PathLike,
    *,
    format: str | None = None,  # noqa: A002 - the name of the option
    dimension_scales: bool = False,
    overwrite: bool = False,
    allow_missing: bool = False,
    on_event: Observer | None = None,
) -> Result:
    """Merge outputs of one layer and the same settings into one.

    Args:
        inputs: The outputs; all shards of a run give the bytes of a run without shards.
        output: As of :func:`~kapre_cli.extract`.
        format: Name of the output format. ``None``: by the suffix.
        dimension_scales: Give HDF5 output dimension scales.
        overwrite: Replace an existing output, unless it has arrays that ``inputs`` lack.
        allow_missing: Merge shards although some of them are missing.
        on_event: Called with each event. ``None``: notes and warnings are logged.

    Returns:
        The number of arrays, and the path of the output.

    Raises:
        UsageError: If the inputs do not go together, or the output is rejected; a ``ValueError``
            too.
        StoredDataError: If an input is damaged; an older output is unchanged then.
        OutputError: If the output cannot be written; likewise.
    """
    settings = OutputSettings(
        path=output_path(os.fspath(output)),
        format=format or format_of(output, streams=False),
        dimension_scales=dimension_scales,
        overwrite=overwrite,
    )
    result = RunResult(on_event or log, failures=[])
    merged(settings, [Path(one) for one in inputs], result, allow_missing=allow_missing)
    return Result.of(result)


def plot(
    source: PathLike | Features | FeatureArray,
    keys: str | Sequence[str] | None = None,
    **view: Any,
) -> Any:
    """Return a matplotlib figure of features, a panel for each channel of each key.

    pyplot is not used, and matplotlib's settings are not changed. A notebook shows the figure;
    ``figure.savefig("bird.png")`` saves it.

    Args:
        source: An output, by its path or open; an array; or a recording, of which the power
            spectrogram is computed in this process.
        keys: Keys of an output, in this order. ``None``: the first four.
        **view: What to show, as of the command: ``channels``, ``time`` (from and to, in s),
            ``freq`` (lowest and highest, in Hz), ``range`` (darkest and brightest), ``decibel``,
            ``cmap``, ``size`` (inches).

    Returns:
        The figure, a ``matplotlib.figure.Figure``.

    Raises:
        ImportError: If matplotlib is not installed.
        KeyError: If there is no such key.
        UsageError: If there is nothing to draw; a ``ValueError`` too.

    >>> import kapre_cli
    >>> figure = kapre_cli.plot("docs/sample_features.h5", "bird.flac", freq=(500, 8000))
    >>> len(figure.axes)  # two channels and the colour bar
    3
    """
    from kapre_cli.plotting.figure import figure_of
    from kapre_cli.plotting.image import View

    with _opened(source) as features:
        return figure_of(features, keys, View(**view))


class _OneArray(Features):
    """An array in memory in the place of an output."""

    format = "memory"

    def __init__(self, array: FeatureArray) -> None:
        self.path = Path(array.key)
        settings = ExtractionSettings(
            layer=array.layer,
            audio=AudioSettings(sr=array.metadata.sr),
            output=OutputSettings(path=STANDARD_OUTPUT, format=format_of("-")),
        )
        self.root = OutputMetadata.of(settings)
        self.coordinate = array.coordinate
        self._inputs = {array.key: array}

    def open_array(self, key: str) -> Any:
        return self._inputs[key]

    def metadata(self) -> Iterator[tuple[str, InputMetadata]]:
        """Yield the key and the metadata of the array."""
        return ((key, array.metadata) for key, array in self._inputs.items())


@contextmanager
def _opened(source: PathLike | Features | FeatureArray) -> Iterator[Features]:
    if isinstance(source, Features):
        yield source
    elif isinstance(source, FeatureArray):
        yield _OneArray(source)
    elif not os.path.lexists(source):
        raise UsageError(f"there is nothing at {quoted(source)}; name an output or a recording")
    elif is_output(Path(source)):
        with open_features(source) as features:
            yield features
    else:
        # Four frames where an extraction has two, as of the command.
        layer = SpectrogramConfig(n_hop=128, image_data_format="channels_last")
        yield _OneArray(compute(source, layer))
