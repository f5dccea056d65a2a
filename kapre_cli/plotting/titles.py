"""Keys as titles: of bounded length, in characters that there are fonts for."""

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

_LONGEST = 76  # characters; as many as fit above a panel
_DEFAULT = "DejaVu Sans"  # comes with matplotlib
_NO_FONT = "Last Resort"  # comes with it too, and shows a box for every character


def title_of(key: str) -> tuple[str, list[str]]:
    """Return a key as a title, and the fonts to write it with, the first of them for most of it.

    Control characters, and those that no font here has, are shown escaped. Of a name that is too
    long the middle is left out.
    """
    half = _LONGEST // 2
    short = key if len(key) <= _LONGEST else f"{key[: half - 1]} … {key[-half:]}"
    files = {font.name: font.fname for font in reversed(font_manager.fontManager.ttflist)}
    missing = {c for c in short if c.isprintable()} - _characters(files[_DEFAULT])
    fonts = [_DEFAULT]
    for name in sorted(files):
        if not missing:
            break
        if not name.startswith(_NO_FONT) and missing & _characters(files[name]):
            fonts.append(name)
            missing -= _characters(files[name])
    shown = (c if c.isprintable() and c not in missing else _escaped(c) for c in short)
    return "".join(shown), fonts


def _characters(file: str) -> set[str]:
    """Return the characters that a font has."""
    return {chr(code) for code in FT2Font(file).get_charmap()}


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
