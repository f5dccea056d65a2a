"""``python -m kapre_cli`` is the same program as ``kapre-extract``."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the program; say in one line if this system cannot."""
    try:
        import fcntl  # noqa: F401 - Windows has none
    except ImportError:
        sys.stderr.write(
            f"kapre-extract: Error: this system ({sys.platform}) has no POSIX file locks; "
            "on Windows, use WSL2\n"
        )
        sys.exit(1)
    from kapre_cli.cli import console

    console()


if __name__ == "__main__":
    main()
