"""Whether this package runs on this system."""

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
