"""The system: whether this package runs on it, and how many processors it gives to a process."""

import os
import sys


def require_posix() -> None:
    """Check that this system has what every part of the package needs.

    Raises:
        ImportError: If it has not.
    """
    try:
        import fcntl  # noqa: F401 - Windows has none
    except ImportError:
        raise ImportError(
            f"this system ({sys.platform}) has no POSIX file locks; on Windows, use WSL2"
        ) from None


def n_processors() -> int:
    """Return how many processors this process may use, as a job scheduler allots them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
