"""What is written on a sheet: keys as titles, and how the features were computed."""

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from kapre_cli.formats.features import Features
from kapre_cli.settings import DEFAULT_AMIN, MelspectrogramConfig
from kapre_cli.version import PROGRAM

_DEFAULT = "DejaVu Sans"  # comes with matplotlib
_NO_FONT = "Last Resort"  # comes with it too, and shows a box for every character


def written(text: str, longest: int) -> tuple[str, list[str]]:
    """Return a text as it can be written, and the fonts that have its characters.

    Control characters, and those that no font here has, are shown escaped. Of a text that is too
    long the middle is left out.
    """
    half = longest // 2
    short = text if len(text) <= longest else f"{text[: half - 1]} … {text[-half:]}"
    missing = set(filter(str.isprintable, short))
    fonts = [_DEFAULT]
    files = {font.name: font.fname for font in reversed(font_manager.fontManager.ttflist)}
    for name in (_DEFAULT, *sorted(files)):
        if missing and not name.startswith(_NO_FONT):
            found = missing & set(map(chr, FT2Font(files[name]).get_charmap()))
            missing -= found
            fonts += [name] if found else []
    shown = (c if c.isprintable() and c not in missing else _escaped(c) for c in short)
    return "".join(shown), list(dict.fromkeys(fonts))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def caption_of(features: Features) -> str:
    """Return how features were computed, by the names of the layer's arguments."""
    layer, audio = features.layer, features.settings
    told = [f"n_dft {layer.n_dft}, n_hop {layer.n_hop}, Hann window"]
    if layer.padding != "same":
        told.append(f"padding {layer.padding}")
    if isinstance(layer, MelspectrogramConfig):
        told.append(f"n_mels {layer.n_mels}, fmin {layer.fmin:g}, fmax {layer.fmax:g}")
        told += ["htk"] if layer.htk else []
        told += [f"norm {layer.norm}"] if layer.norm != "slaney" else []
    told.append(f"power {layer.power:g}")
    if layer.decibel and layer.amin != DEFAULT_AMIN:
        told.append(f"amin {layer.amin:g}")
    resampled = ", resampled" if audio.resample else ""
    version = features.versions.get(PROGRAM, "")
    return f"{', '.join(told)}; {audio.sr:,} Hz{resampled}; {PROGRAM} {version}"
