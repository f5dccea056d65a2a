"""The name and the version of this program."""

PROGRAM = "kapre-extract"

__version__ = "0.1.0"
