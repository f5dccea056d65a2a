"""Errors as the command line shows them: with the options that help."""

from kapre_cli.errors import (
    InputMemoryError,
    KeptWorkError,
    LostWorkError,
    NotResumableError,
    OtherSettingsError,
    ProcessLimitError,
    SampleRateError,
    TooManyFailuresError,
)

_REMEDIES: dict[type[BaseException], str] = {
    InputMemoryError: ": read fewer inputs at once (--jobs 1) or free some memory",
    KeptWorkError: "; --resume goes on with it, --overwrite starts over",
    LostWorkError: "; --resume recomputes what was lost",
    NotResumableError: "; --overwrite replaces it",
    OtherSettingsError: "; give those to resume it, or add --overwrite to replace it",
    ProcessLimitError: "; take fewer --jobs",
}


def error_text(error: BaseException) -> str:
    """Return the text of an error, with a remedy if an option is one.

    >>> print(error_text(SampleRateError(44100, 8000)))
    sample rate is 44,100 Hz, this run uses 8,000 Hz (use --resample, or --sr 44100)
    """
    if isinstance(error, SampleRateError):
        return f"{error} (use --resample, or --sr {error.sr})"
    if isinstance(error, TooManyFailuresError):
        return str(error).replace("`max_failures`", "--max-failures")
    return f"{error}{_REMEDIES.get(type(error), '')}"
