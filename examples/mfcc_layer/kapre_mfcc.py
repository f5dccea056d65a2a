"""Mel-frequency cepstral coefficients, an additional layer of kapre-extract.

The power in mel bands is converted to decibels below the largest value of the input, with a floor
at -80, and transformed by an orthonormal DCT-II; the first ``n_mfcc`` coefficients are kept.

This module describes the layer. It is imported for ``kapre-extract --help``, so it imports neither
NumPy nor Keras before they are needed.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kapre_cli.layers import Coordinate, Finish, MelspectrogramConfig, Values, argument
from kapre_cli.settings import checks
from kapre_cli.settings.layers import DECIBEL_TOLERANCE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from kapre_cli.layers.axes import NumberAxis


@dataclass(frozen=True, kw_only=True)
class MfccConfig(MelspectrogramConfig):
    """The arguments of ``Mfcc``: ``n_mfcc``, and those of its mel-spectrogram.

    Raises:
        ValueError: If an argument is out of range; the message names the rule and the value.
    """

    n_mfcc: int = argument(20, "Number of coefficients.", is_usual=True, at_least=1)
    # Decibels of power are always taken: these two arguments have no options.
    power_melgram: float = 2.0
    return_decibel_melgram: bool = False
    amin: float = argument(
        1e-10,
        "Smallest power that decibels distinguish. Smaller ones are raised to it; lower it for "
        "quiet recordings.",
        above=0,
        metavar="A",
    )

    class_name: ClassVar[str] = "Mfcc"
    command: ClassVar[str] = "mfcc"
    summary: ClassVar[str] = "Extract cepstral coefficients of audio files and folders."
    examples: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "Thirteen coefficients of all recordings below a folder, into one HDF5 file:",
            "kapre-extract mfcc sample_audio -o mfcc.h5 --n-mfcc 13",
        ),
    )
    keras_class: ClassVar[str] = "kapre_mfcc_keras:Mfcc"
    feature_axis: ClassVar[str] = "coefficient"
    coordinate: ClassVar[Coordinate] = Coordinate(
        "coefficient", "coefficients", "", "number of the cepstral coefficient, from 0"
    )

    def __post_init__(self) -> None:
        """Check every argument."""
        super().__post_init__()
        n_mfcc = checks.integer("n_mfcc", self.n_mfcc, at_least=1, at_most=self.n_mels)
        checks.settle(self, "n_mfcc", n_mfcc)
        if self.power_melgram != 2.0:
            raise checks.invalid("power_melgram", "2.0 in an MFCC", self.power_melgram)
        if self.return_decibel_melgram:
            raise checks.invalid("return_decibel_melgram", "False in an MFCC", True)

    @property
    def n_values(self) -> int:
        """Values of a frame in the array; an engine computes ``n_mels`` of it."""
        return self.n_mfcc

    @property
    def takes_decibels(self) -> bool:
        """True: the last step begins with decibels, whose reference is recorded."""
        return True

    @property
    def values(self) -> Values:
        """What the values are, and within which bounds."""
        return Values(
            "coefficients",
            "Coefficient (dB)",
            lowest=-math.inf,
            highest=math.inf,
            # An orthonormal transform keeps the length of the error of all bands.
            tolerance=DECIBEL_TOLERANCE * math.sqrt(self.n_mels),
        )

    def feature_positions(self, sr: float) -> "NumberAxis":  # noqa: ARG002 - they have no Hz
        """Return the numbers of the coefficients."""
        from kapre_cli.layers.axes import NumberAxis

        return NumberAxis(self.n_mfcc)

    def finish(self, peak: float) -> Finish:
        """Return the last step: decibels, and the DCT of these."""
        decibels, matrix = super().finish(peak), dct_matrix(self.n_mels, self.n_mfcc)

        def coefficients(block: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float32]":
            assert decibels.apply is not None  # noqa: S101 - for the type checker
            return (decibels.apply(block) @ matrix).astype("float32")

        return Finish(decibels.reference, coefficients)

    def caption(self) -> list[str]:
        """Return the arguments that a plot's caption states."""
        return [*super().caption(), f"n_mfcc {self.n_mfcc}"]


def dct_matrix(n_bands: int, n_coefficients: int) -> "npt.NDArray[np.float64]":
    """Return the orthonormal DCT-II, shape ``(n_bands, n_coefficients)``."""
    import numpy as np

    bands, coefficients = np.ogrid[:n_bands, :n_coefficients]
    matrix = np.cos(np.pi / n_bands * (bands + 0.5) * coefficients) * math.sqrt(2.0 / n_bands)
    matrix[:, 0] /= math.sqrt(2.0)
    return matrix
