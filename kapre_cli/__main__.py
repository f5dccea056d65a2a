"""``python -m kapre_cli`` is the same program as ``kapre-extract``."""

import signal
import sys
from typing import NoReturn

from kapre_cli.osutil import check_posix
from kapre_cli.version import PROGRAM


def main() -> NoReturn:
    """Run the program; say in one line if this system cannot."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # so early it ends without a traceback
    try:
        check_posix()
    except ImportError as error:
        sys.stderr.write(f"{PROGRAM}: Error: {error}\n")
        sys.exit(1)
    from kapre_cli.cli import console

    console()


if __name__ == "__main__":
    main()
