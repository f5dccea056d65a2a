"""Importing what a run needs in half the time that it takes by itself."""

import gc
import sys

# Keras imports these if they are installed, for things that no layer of ours has a use for.
_UNUSED = ("PIL", "matplotlib", "pandas", "scipy", "sklearn")

_OBJECTS_UNTIL_COLLECTION = 1_000_000


def make_quick() -> None:
    """Make this process's imports quick. It must have nothing to do but one run.

    Keras is told that what it can do without is not there. Modules are made of a million objects,
    none of them garbage: looking for some among them, again and again while they are made, is a
    third of the time that they take.
    """
    for name in _UNUSED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # what Python has for it
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTION, 10, 10)


def everything() -> None:
    """Import all that a run imports, quickly: what a benchmark takes off the time of a run."""
    make_quick()
    from kapre_cli.cli import extraction, terminal  # noqa: F401
    from kapre_cli.pipeline import computation, extract  # noqa: F401
    from kapre_cli.storage import hdf5_features  # noqa: F401
