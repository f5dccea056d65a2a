"""Hints for a missing file whose name is written in another form."""

import os
import re

from kapre_cli.text import quoted

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_BACKSLASH = re.compile(r"\\(.)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_QUOTES = ('"', "'")


def hint_of_missing(path: str) -> str:
    r"""Return a hint for the message that a file is missing; empty if the path looks normal.

    >>> hint_of_missing("night.wav")
    ''
    >>> print(hint_of_missing("site a\\night.wav"))
    ; the path is in Windows form: here / stands between folders
    """
    if len(path) > 1 and path[0] == path[-1] and path[0] in _QUOTES and _is_there(path[1:-1]):
        return "; there is such a file without the quotes"
    if _is_there(plain := _BACKSLASH.sub(r"\1", path)) and plain != path:
        return "; there is such a file without the backslashes"
    if path != path.strip() and _is_there(path.strip()):
        return "; there is such a file without the blanks around its name"
    if path.startswith("#"):
        return "; a list has no comments: every line is a name"
    if path.startswith("~"):
        return "; ~ stands for no folder here: write the whole path"
    if _URL.match(path):
        return "; the path is a URL: download the file first"
    if "\r" in path:
        return "; the name has carriage returns in it: the lines of a list end in newlines"
    if "\\" in path or _DRIVE.match(path):
        return _of_windows(path)
    return ""


def _of_windows(path: str) -> str:
    here = path.replace("\\", "/")
    if _is_there(here):
        return f"; the path is in Windows form: here it is {quoted(here)}"
    if _DRIVE.match(path):
        mounted = f"/mnt/{path[0].lower()}{here[2:]}"
        example = f" (in WSL it is {quoted(mounted)})" if _is_there(mounted) else ""
        return f"; the path is in Windows form: there are no drive letters here{example}"
    return "; the path is in Windows form: here / stands between folders"


def _is_there(path: str) -> bool:
    return bool(path) and os.path.isfile(path)
