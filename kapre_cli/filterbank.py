"""The mel matrix of a layer, as the Keras layers and the NumPy kernel both use it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli import dsp
from kapre_cli.dsp import MelBands
from kapre_cli.settings import MelspectrogramConfig

_BANDS_SHOWN = 32
_BANDS_IN_A_GROUP = 32  # measured: fewer copy more than they save

_GROUP_VALUES = 2**22  # of a group's matrix: 32 MiB

Matrix = npt.NDArray[np.floating[Any]]


def filterbank_of(config: MelspectrogramConfig) -> MelBands:
    """Return the mel bands that a layer's arguments describe."""
    assert config.fmax is not None  # noqa: S101 - for the type checker: settled when made
    return dsp.mel_bands(
        sr=config.sr,
        n_dft=config.n_dft,
        n_mels=config.n_mels,
        fmin=config.fmin,
        fmax=config.fmax,
        htk=config.htk,
        norm=config.norm,
    )


def band_groups(filterbank: MelBands) -> Iterator[tuple[slice, Matrix]]:
    """Yield, for some bands at a time, the bins they are summed from and the weights of these.

    A mel matrix is nearly all zeros: neighbouring bands share few bins and leave out the others.

    Returns:
        Slices of the bins, and weights of shape ``(bins, bands)``.
    """
    n_mels = len(filterbank.starts)
    for numbers in np.array_split(np.arange(n_mels), max(n_mels // _BANDS_IN_A_GROUP, 1)):
        bands = filterbank.part(numbers)
        bins = bands.bins[bands.weights > 0]
        first, end = (int(bins.min()), int(bins.max()) + 1) if len(bins) else (0, 1)
        n_parts = min(-(-len(numbers) * (end - first) // _GROUP_VALUES), len(numbers))
        if n_parts <= 1:
            yield slice(first, end), bands.dense(first, end).T
            continue
        for some in np.array_split(numbers, n_parts):
            part = filterbank.part(some)
            first, end = int(part.starts.min()), int((part.starts + part.lengths).max())
            yield slice(first, end), part.dense(first, end).T


class BandSums:
    """Sums the bins of every other band; bands two apart share no bin.

    A product of matrices would do it too, but which bits it gives for a frame depends on where
    that stands among others. Here every frame is summed by itself.

    Args:
        filterbank: The mel bands.
        first: 0 for the even bands, 1 for the odd ones.
        dtype: The type to calculate in.
    """

    def __init__(self, filterbank: MelBands, first: int, dtype: npt.DTypeLike) -> None:
        bands = np.arange(first, len(filterbank.starts), 2)
        full = filterbank.sums[bands] > 0
        # A slice is written to faster than what an array of numbers selects.
        self._bands = slice(first, None, 2) if full.all() else bands[full]
        self._weights = np.zeros(filterbank.n_freq, dtype)
        self._starts = np.empty(0, np.int64)
        if full.any():
            held = filterbank.part(bands[full])
            used = held.weights > 0
            bins = held.bins[used]
            numbers = np.repeat(np.arange(len(held.starts)), held.lengths)[used]
            self._weights[bins] = held.weights[used]
            self._starts = bins[np.searchsorted(numbers, np.arange(len(held.starts)))]

    def add(self, power: npt.NDArray[Any], room: npt.NDArray[Any], bands: npt.NDArray[Any]) -> None:
        """Write the sums into ``bands``, shape ``(n_frames, n_mels)``.

        Args:
            power: Shape ``(n_frames, n_freq)``.
            room: Of the same shape, to be written over.
            bands: Where the sums go; bands without a bin are left as they are.
        """
        if len(self._starts):
            np.multiply(power, self._weights, out=room)
            bands[:, self._bands] = np.add.reduceat(room, self._starts, axis=1)


def empty_bands_warning(filterbank: MelBands, config: MelspectrogramConfig) -> str | None:
    """Return what is to be said of bands that no frequency bin falls into, if there are any."""
    bands = dsp.empty_bands(filterbank)
    if not bands:
        return None
    shown = ", ".join(map(str, bands[:_BANDS_SHOWN]))
    if len(bands) > _BANDS_SHOWN:
        shown += f" and {len(bands) - _BANDS_SHOWN} more"
    return (
        f"{len(bands)} of {config.n_mels} mel bands are empty, since no bin of the transform "
        f"falls into them: {shown} (counted from 0). They hold no energy, whatever the input. "
        f"Raise n_dft (now {config.n_dft}) or lower n_mels (now {config.n_mels})."
    )
