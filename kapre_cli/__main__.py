"""``python -m kapre_cli`` is the same program as ``kapre-extract``."""

from kapre_cli.cli import main

if __name__ == "__main__":
    main()
