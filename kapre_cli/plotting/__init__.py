"""Features as figures. The only door to matplotlib.

Importing this package does not import matplotlib; drawing does.

Attributes:
    figure_of: A matplotlib figure of arrays of an output.
    View: What the figure shows of them, and how.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kapre_cli.plotting.figure import figure_of
    from kapre_cli.plotting.image import View

__all__ = ["View", "figure_of"]

_HOMES = {"View": "kapre_cli.plotting.image", "figure_of": "kapre_cli.plotting.figure"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
