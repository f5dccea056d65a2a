"""What the commands that look at outputs have in common."""

from pathlib import Path
from typing import Any

import click

from kapre_cli.cli.options.declaring import Decorator


def output_argument(name: str = "output", shown: str = "OUTPUT") -> Decorator[Any]:
    """Return an argument that names an output."""
    return click.argument(name, metavar=shown, type=click.Path(path_type=Path))
