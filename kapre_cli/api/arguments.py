"""Arguments of the functions as settings: those given, those of an output, or the defaults."""

import os
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, fields
from typing import Any

from kapre_cli.errors import KapreExtractError, SettingsError, UsageError
from kapre_cli.formats.metadata import OutputMetadata
from kapre_cli.inputs import Inputs, discover
from kapre_cli.inputs.segments import (
    Annotations,
    Tables,
    annotated,
    read_annotations,
    recordings_of,
)
from kapre_cli.settings import AudioSettings, ClipSettings, LayerConfig, RawFormat
from kapre_cli.text import Text, quoted

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


@dataclass(frozen=True)
class Cut:
    """How recordings are cut into the inputs of a run, if they are.

    Attributes:
        annotations: The rows that name segments; ``None``: there are none.
        clips: The length and overlap of even clips; ``None``: there are none.
    """

    annotations: Annotations | None = None
    clips: ClipSettings | None = None

    @classmethod
    def of(cls, segments: Tables | None, clip: float | None, overlap: float | None) -> "Cut":
        """Return what arguments ask for; raise SettingsError or UsageError for invalid ones."""
        if segments is not None and clip is not None:
            raise SettingsError("`segments` and `clip` both cut recordings: give one of them")
        if clip is None and overlap is not None:
            raise SettingsError("`overlap` is about the clips of `clip`: give both")
        return cls(
            None if segments is None else read_annotations(segments),
            None if clip is None else ClipSettings(clip=clip, overlap=overlap or 0.0),
        )

    def kept(self, given: Mapping[str, Any], reference: str | None) -> dict[str, Any]:
        """Return settings without that of a reference, if the inputs are whole recordings.

        Raise SettingsError if a caller gave it.
        """
        if self != Cut():
            return dict(given)
        if reference is not None:
            raise SettingsError("`reference` is about segments: give `segments` or `clip` as well")
        return {name: value for name, value in given.items() if name != "reference"}

    def recordings(
        self, inputs: PathLike | Iterable[PathLike] | None, root: PathLike | None, *, hidden: bool
    ) -> Inputs:
        """Find the recordings; raise UsageError if there are none."""
        if inputs is not None:
            return found_inputs(inputs, root, hidden=hidden)
        if self.annotations is None:
            raise UsageError("there are no inputs: name a recording, a folder or `segments`")
        return recordings_of(self.annotations, None if root is None else os.fspath(root))

    def inputs(self, recordings: Inputs, audio: Mapping[str, Any]) -> Inputs:
        """Return the inputs, given the chosen settings of the audio; clips are cut later."""
        if self.annotations is None:
            return recordings
        channels, is_mono = audio.get("channels"), audio.get("mono", False)
        return annotated(recordings, self.annotations, channels=channels, is_mono=is_mono)


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


def named_error(path: str, error: KapreExtractError) -> KapreExtractError:
    """Return an error of the same class whose message begins with a path."""
    named = copy(error)
    named.args = (Text(f"{quoted(path)}: ", error),)
    return named
