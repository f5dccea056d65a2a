"""What the commands that look at outputs have in common."""

from pathlib import Path
from typing import Any

import click

from kapre_cli.cli.options.declaring import Decorator


def output_argument(name: str = "output") -> Decorator[Any]:
    """Return the argument that names an output."""
    return click.argument(name, type=click.Path(path_type=Path))
