"""The functions of the package, for Python programs and the command line."""
