"""Settings from the options of a command line, which have the settings' names."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

from kapre_cli.errors import AudioReadError, KapreExtractError
from kapre_cli.events import InputResult
from kapre_cli.inputs import InputStream, Source
from kapre_cli.run_result import RunResult
from kapre_cli.settings import AudioSettings, OutputSettings
from kapre_cli.settings.run import format_of, output_path
from kapre_cli.version import PROGRAM


def output_settings(options: Mapping[str, Any]) -> OutputSettings:
    """Return the settings of the output."""
    names = [one.name for one in fields(OutputSettings) if one.name not in ("path", "format")]
    return OutputSettings(
        path=output_path(options["output"]),
        format=options["format_"] or format_of(options["output"]),
        **{name: options[name] for name in names},
    )


def audio_settings(options: Mapping[str, Any], sr: int) -> AudioSettings:
    """Return the settings of the inputs."""
    taken = {one.name: options[one.name] for one in fields(AudioSettings) if one.name != "sr"}
    return AudioSettings(**{**taken, "sr": sr, "channels": options["channels"] or None})


def sample_rate(
    options: Mapping[str, Any],
    sources: Sequence[Source] | InputStream,
    taken: Collection[Source],
    result: RunResult,
    say: Callable[[str], None],
) -> int | None:
    """Return the sample rate of a run, ``None`` if no input states one.

    All shards have one rate: ``sources`` are the inputs of all shards, or those that arrive. If no
    header states a rate, the inputs of this run are reported: ``taken``, or all that arrive. Raise
    TooManyFailuresError if too many arriving inputs fail.
    """
    if options["sr"] is not None:
        return options["sr"]
    if options["raw_format"] is not None:
        return options["raw_format"].sr
    from kapre_cli.audio import read_header

    failures: dict[Source, AudioReadError] = {}
    arriving = sources if isinstance(sources, InputStream) else None
    try:
        for source in sources:
            try:
                sr = read_header(source.file, is_stream=source.is_stream).sr
            except AudioReadError as error:
                failures[source] = error
                if arriving is not None:
                    result.check_failures(len(failures))
                continue
            if arriving is not None:
                arriving.unread([*failures, source])
            return sr
    except KapreExtractError:  # earlier failures are reported first
        _count_failures(failures, result)
        raise
    mine = {*taken, *(failures if arriving is not None else ())}
    _count_failures({source: failures[source] for source in failures if source in mine}, result)
    if arriving is None and sources and not taken:
        say(f"{PROGRAM}: Error: no input of any shard states a rate; name it with --sr")
        result.is_broken = True
    return None


def _count_failures(failures: Mapping[Source, AudioReadError], result: RunResult) -> None:
    for source, error in failures.items():
        result.failed(source.path, error, InputResult(source.key))
