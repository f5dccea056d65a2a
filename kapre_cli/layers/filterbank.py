"""Mel bands of a layer: products with them, and what to change if some are empty."""

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.layers import dsp
from kapre_cli.layers.dsp import MelBands
from kapre_cli.settings.layers import MAX_DFT
from kapre_cli.text import Argument, Text, counted

_BANDS_SHOWN = 32
_BANDS_IN_A_GROUP = 32  # measured in Keras layers: smaller groups copy more than they save
_BANDS_OF_ROWS = 8  # measured in products with NumPy, which copies nothing
_BANDS_OF_ROW = 4  # the same for a single row
_PRODUCTS_TRIED = 8

# Matrix products process 4, 6, 8, 12, 16 or 24 rows at once, depending on the processor, and the
# remaining rows in another way, which may round differently. A multiple of 48 leaves no remainder.
ROWS_MULTIPLE = 48

_GROUP_VALUES = 2**22  # of a group's matrix: 32 MiB

_EXACT_BANDS = 256  # numbers of bands up to this one are all tried
_EDGES_TRIED = 200  # at most
_LEAST_WEIGHT = 1e-6  # of a bin, in a triangle of height 1, that counts as inside a band

Matrix = npt.NDArray[np.floating[Any]]
MelConfig = Any  # a MelspectrogramConfig; its module imports this one


def filterbank_of(config: MelConfig) -> MelBands:
    """Return the mel bands that a layer's arguments describe."""
    names = ("sr", "n_dft", "n_mels", "fmin", "fmax", "htk", "norm")
    return dsp.mel_bands(**{name: getattr(config, name) for name in names})


def band_groups(
    filterbank: MelBands, n_bands: int = _BANDS_IN_A_GROUP
) -> Iterator[tuple[slice, Matrix]]:
    """Yield bins and weights, ``(bins, bands)``, of groups of neighbouring bands.

    A mel matrix is nearly all zeros: neighbouring bands use few of the bins. A group has at least
    ``n_bands`` bands, if there are as many.
    """
    n_mels = len(filterbank.starts)
    for numbers in np.array_split(np.arange(n_mels), max(n_mels // n_bands, 1)):
        bands = filterbank.select(numbers)
        bins = bands.bins[bands.weights > 0]
        first, end = (int(bins.min()), int(bins.max()) + 1) if len(bins) else (0, 1)
        n_parts = min(-(-len(numbers) * (end - first) // _GROUP_VALUES), len(numbers))
        if n_parts <= 1:
            yield slice(first, end), bands.dense(first, end).T
            continue
        for some in np.array_split(numbers, n_parts):
            chosen = filterbank.select(some)
            first, end = int(chosen.starts.min()), int((chosen.starts + chosen.lengths).max())
            yield slice(first, end), chosen.dense(first, end).T


def power_bound(filterbank: MelBands, n_dft: int) -> float:
    """Return a power that no band exceeds, for samples from -1 to 1.

    No bin has more than the square of the window's sum. All bins, those of negative frequencies
    too, have at most ``n_dft`` times the window's energy (Parseval's theorem); each bin that is
    neither 0 Hz nor the Nyquist rate shares its part with a negative frequency.
    """
    window = dsp.hann(n_dft)
    bins, weights = filterbank.bins, filterbank.weights
    bands = np.repeat(np.arange(len(filterbank.lengths)), filterbank.lengths)
    of_bins = window.sum() ** 2 * np.bincount(bands, weights).max()
    is_single = (bins == 0) | (2 * bins == n_dft)
    of_energy = n_dft * np.square(window).sum() * np.where(is_single, weights, weights / 2).max()
    return float(min(of_bins, of_energy))


class BandSums:
    """Sums of the power of frequency bins in mel bands, by products of small matrices.

    All products have one shape, so results are bit-identical for any number of frames. They do not
    depend on the row either: where NumPy's matrix library rounds some rows of a product differently
    from others, every frame is multiplied alone.

    Attributes:
        n_rows: Frames of a product: a multiple of ``ROWS_MULTIPLE``, or 1.
    """

    def __init__(self, filterbank: MelBands, n_rows: int, dtype: npt.DTypeLike) -> None:
        self._prepare(filterbank, n_rows, dtype)
        if n_rows > 1 and not self._is_uniform():
            self._prepare(filterbank, 1, dtype)

    def _prepare(self, filterbank: MelBands, n_rows: int, dtype: npt.DTypeLike) -> None:
        self.n_rows = n_rows
        self._groups: list[tuple[slice, slice, Matrix]] = []
        first = 0
        for bins, weights in band_groups(
            filterbank, _BANDS_OF_ROWS if n_rows > 1 else _BANDS_OF_ROW
        ):
            bands = slice(first, first + weights.shape[1])
            matrix = np.array(weights, dtype, order="C" if n_rows > 1 else "F")
            self._groups.append((bins, bands, matrix))
            first = bands.stop

    def _is_uniform(self) -> bool:
        """Whether equal frames have equal sums in all rows of a few test products."""
        n_bins = max(bins.stop for bins, _, _ in self._groups)
        _, bands, matrix = self._groups[-1]
        irregular = np.sqrt(np.arange(_PRODUCTS_TRIED * n_bins)) % 1.0
        power = irregular.reshape(_PRODUCTS_TRIED, 1, n_bins).astype(matrix.dtype)
        sums = np.empty((_PRODUCTS_TRIED, self.n_rows, bands.stop), matrix.dtype)
        self._multiply(np.repeat(power, self.n_rows, axis=1), sums)
        return bool((sums == sums[:, :1]).all())

    def sum_bands(self, power: npt.NDArray[Any], sums: npt.NDArray[Any]) -> None:
        """Write ``sums``, shape ``(n_frames, n_mels)``.

        ``power`` has the shape ``(n_frames, n_freq)``, a multiple of ``n_rows`` frames.
        """
        rows = (-1, self.n_rows)
        self._multiply(power.reshape(*rows, power.shape[1]), sums.reshape(*rows, sums.shape[1]))

    def _multiply(self, power: npt.NDArray[Any], sums: npt.NDArray[Any]) -> None:
        for bins, bands, weights in self._groups:
            np.matmul(power[..., bins], weights, out=sums[..., bands])


def empty_bands_warning(
    filterbank: MelBands, config: MelConfig, *, lists_bands: bool = True
) -> Text | None:
    """Return a warning about bands without a frequency bin; ``None`` without any."""
    bands = dsp.empty_bands(filterbank)
    if not bands:
        return None
    are = "is" if len(bands) == 1 else "are"
    number = f"{len(bands):,} of {counted(config.n_mels, 'mel band')}"
    parts: list[str | Argument] = [
        f"{number} {are} empty, with no frequency bin inside: 0 whatever the input"
    ]
    for name, value in full_bands_with(config).items():
        parts += [" (use " if len(parts) == 1 else ", or ", Argument(name, value)]
    if len(parts) > 1:
        parts.append(")")
    if lists_bands:
        shown = ", ".join(map(str, bands[:_BANDS_SHOWN]))
        more = f" and {len(bands) - _BANDS_SHOWN:,} more" if len(bands) > _BANDS_SHOWN else ""
        parts.append(f"; counted from 0: {shown}{more}")
    return Text(*parts)


def full_bands_with(config: MelConfig) -> dict[str, float]:
    """Return remedies for empty bands: values of single arguments, by name.

    These are, as far as they exist: the smallest larger ``n_dft`` that is a power of two; the
    largest ``n_mels`` below it (above 256 bands not always the very largest); the lowest ``fmin``
    above it, in steps of a round number.
    """
    found: dict[str, float] = {}
    for name, values in (
        ("n_dft", _longer_frames(config.n_dft)),
        ("n_mels", _fewer_bands(config)),
        ("fmin", _higher_edges(config)),
    ):
        value = next((one for one in values if _is_full(replace(config, **{name: one}))), None)
        if value is not None:
            found[name] = value
    return found


def _longer_frames(n_dft: int) -> Iterator[int]:
    length = 1 << n_dft.bit_length()
    while length <= MAX_DFT:
        yield length
        length *= 2


def _fewer_bands(config: MelConfig) -> Iterator[int]:
    """Yield smaller numbers of bands, from the largest that could be full.

    Each band needs a bin, and no bin lies in more than two bands.
    """
    n_mels = min(config.n_mels - 1, 2 * config.n_freq)
    while n_mels > 0:
        yield n_mels
        n_mels -= max(n_mels // _EXACT_BANDS, 1)


def _higher_edges(config: MelConfig) -> Iterator[float]:
    width = (config.fmax - config.fmin) / _EDGES_TRIED
    if width < sys.float_info.min:
        return
    step = 10.0 ** math.ceil(math.log10(width))
    step *= next(factor for factor in (0.2, 0.5, 1.0) if factor * step >= width)
    first = math.floor(config.fmin / step) + 1
    for number in range(first, math.ceil(config.fmax / step)):
        if config.fmin < number * step < config.fmax - step / 2:  # else hardly a range remains
            yield number * step


def _is_full(config: MelConfig) -> bool:
    """Whether every band has a bin well inside it.

    Only the first bin above the lower edge of a band need be tested.
    """
    edges = dsp.mel_edges(config.n_mels, config.fmin, config.fmax, htk=config.htk)
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    distance = config.sr / config.n_dft
    inside = low + _LEAST_WEIGHT * (peak - low)
    bins = np.ceil(inside / distance) * distance
    return bool(np.all(bins <= high - _LEAST_WEIGHT * (high - peak)))
