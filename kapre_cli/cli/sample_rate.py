"""The sample rate of a run: what is asked for, or what the first of its inputs has."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kapre_cli.errors import AudioReadError, KapreExtractError
from kapre_cli.outcomes import Known
from kapre_cli.report import Report
from kapre_cli.sources import Arriving, Source
from kapre_cli.version import PROGRAM


def sample_rate(
    options: Mapping[str, Any],
    sources: Sequence[Source] | Arriving,
    taken: Collection[Source],
    report: Report,
) -> int | None:
    """Return the rate of a run, ``None`` if no input states one.

    All shards must have one rate. If no header states one, the inputs taken are reported; those
    that arrive all are.

    Args:
        options: The command's.
        sources: The inputs of all shards, or those that arrive.
        taken: The inputs of the run, unless they arrive.
        report: Told of those that fail.

    Raises:
        TooManyFailuresError: If more inputs that arrive fail than may.
    """
    if options["sr"] is not None:
        return options["sr"]
    if options["raw_format"] is not None:
        return options["raw_format"].sr
    from kapre_cli.audio import promise

    failures: dict[Source, AudioReadError] = {}
    arriving = sources if isinstance(sources, Arriving) else None
    try:
        for source in sources:
            try:
                sr = promise(source.file, is_stream=source.is_stream).sr
            except AudioReadError as error:
                failures[source] = error
                if arriving is not None:
                    report.require_few_failures(len(failures))
                continue
            if arriving is not None:
                arriving.put_back([*failures, source])
            return sr
    except KapreExtractError:  # what is wrong with one of them is told before
        _tell(failures, report)
        raise
    if arriving is not None:
        _tell(failures, report)
        return None
    mine = set(taken)
    _tell({source: reason for source, reason in failures.items() if source in mine}, report)
    if sources and not taken:
        report.say(f"{PROGRAM}: Error: no input of any shard states a rate; name it with --sr")
        report.broken = True
    return None


def _tell(failures: Mapping[Source, AudioReadError], report: Report) -> None:
    for source, reason in failures.items():
        report.failed(source.path, reason, Known(source.key))
