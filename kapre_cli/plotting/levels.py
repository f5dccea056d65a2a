"""What the colours mean: the numbers themselves, or decibels below the largest."""

from dataclasses import dataclass

import numpy as np

from kapre_cli.errors import UsageError
from kapre_cli.layers.dsp import DECIBEL_RANGE
from kapre_cli.plotting.reduction import Image
from kapre_cli.plotting.view import View
from kapre_cli.settings import LayerConfig

_NAMES = {1.0: "amplitude", 2.0: "power"}


@dataclass(frozen=True)
class Levels:
    """The scale of the colours.

    Attributes:
        config: The layer whose features are shown.
        view: What is shown of them.

    Raises:
        UsageError: If the features are decibels and are not to be shown as such.
    """

    config: LayerConfig
    view: View

    def __post_init__(self) -> None:
        """Refuse what cannot be had."""
        if self.config.decibel and not self.view.decibel:
            raise UsageError("these features are decibels: they cannot be shown otherwise")

    @property
    def label(self) -> str:
        """What stands beside the colour bar: a quantity and its unit."""
        power = self.config.power
        name = _NAMES.get(power, f"amplitude to the power of {power:g}")
        if self.config.decibel:
            # The layer takes 10 log10 whatever its power is: only of power is that a level.
            what = "Level" if power == 2 else f"10 log10 of {name}"
            return f"{what} (dB re recording's maximum)"
        return "Level (dB re maximum shown)" if self.view.decibel else name.capitalize()

    def shown(self, image: Image) -> Image:
        """Return what is shown of the features of one recording.

        The decibels of features that are none are those of power, whatever power they are.
        """
        if self.config.decibel or not self.view.decibel:
            return image
        floor = min(-DECIBEL_RANGE, self.view.range[0] or 0.0)
        highest = _highest(image)
        if highest <= 0:  # silence
            return np.where(np.isnan(image), image, np.float32(floor))
        with np.errstate(divide="ignore"):
            decibels = (20 / self.config.power) * np.log10(image.astype(np.float64) / highest)
        return np.maximum(decibels, floor).astype(np.float32)

    def limits(self, images: list[Image]) -> tuple[float, float]:
        """Return the values that the darkest and the brightest colour stand for.

        Raises:
            UsageError: If the view names one of them, and the other is not on its right side.
        """
        low, high = -DECIBEL_RANGE, 0.0
        if not self.view.decibel:
            low, high = 0.0, max(map(_highest, images)) or 1.0
        low = low if self.view.range[0] is None else self.view.range[0]
        high = high if self.view.range[1] is None else self.view.range[1]
        if low >= high:
            raise UsageError(
                f"the colours cannot go from {low:g} up to {high:g}; name both ends of their range"
            )
        return low, high


def _highest(image: Image) -> float:
    """Return the largest number, 0 if there is none."""
    return float(np.max(image, initial=0, where=np.isfinite(image)))
