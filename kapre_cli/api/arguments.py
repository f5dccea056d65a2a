"""Arguments of the functions as settings: those given, those of an output, or the defaults."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from kapre_cli.errors import UsageError
from kapre_cli.formats.metadata import OutputMetadata
from kapre_cli.inputs import Inputs, discover
from kapre_cli.settings import AudioSettings, LayerConfig, RawFormat

PathLike = str | os.PathLike[str]


def given_or_of(like: OutputMetadata | None, **given: Any) -> dict[str, Any]:
    """Return settings by name: those given, or else those of an output; no defaults."""
    known = {} if like is None else {name: getattr(like, name) for name in given}
    return known | {name: value for name, value in given.items() if value is not None}


def audio_arguments(
    like: OutputMetadata | None, layer: LayerConfig, given: Mapping[str, Any]
) -> tuple[dict[str, Any], int | None]:
    """Return the arguments of :class:`AudioSettings` but the sample rate, and that if known.

    ``given`` has all of them as a caller gave them, ``None`` for those not given. The rate is the
    one given, or else that of the output, of the layer, or of samples without a header.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    if isinstance(chosen.get("channels"), int):
        chosen["channels"] = (chosen["channels"],)
    if "raw_format" in chosen:
        chosen["raw_format"] = RawFormat.parse(chosen["raw_format"])
    if like is not None:
        chosen = {one.name: getattr(like.audio, one.name) for one in fields(AudioSettings)} | chosen
    sr: Any = chosen.pop("sr", None) or layer.required_sr
    if sr is None and chosen.get("raw_format") is not None:
        sr = chosen["raw_format"].sr
    return chosen, sr


def found_inputs(
    inputs: PathLike | Iterable[PathLike], root: PathLike | None, *, hidden: bool
) -> Inputs:
    """Find the inputs; raise UsageError if there are none."""
    paths = [inputs] if isinstance(inputs, (str, os.PathLike)) else [*inputs]
    found = discover(
        [os.fspath(one) for one in paths], None if root is None else os.fspath(root), hidden=hidden
    )
    if not found.n_inputs:
        raise UsageError("there are no inputs: name a recording or a folder")
    return found
