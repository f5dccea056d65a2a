"""The errors of this package."""

import os
import traceback
from contextlib import suppress

from kapre_cli.text import Argument, Text, counted, quoted


class KapreExtractError(Exception):
    """The root of the errors of this package.

    The message of one that names arguments is a ``kapre_cli.text.Text``: the command line
    spells them as its options.
    """


class SettingsError(KapreExtractError, ValueError):
    """An invalid argument or combination of arguments; a ``ValueError`` too."""


class UsageError(KapreExtractError, ValueError):
    """A request that is rejected before any work, such as an output that exists."""


class AudioReadError(KapreExtractError, OSError):
    """An audio file that cannot be read, or contradicts its header."""


class SampleRateError(AudioReadError):
    """A recording of another sample rate than that of the run.

    Attributes:
        sr: The recording's, in Hz.
        wanted: The run's.
    """

    def __init__(self, sr: int, wanted: int) -> None:
        self.sr, self.wanted = sr, wanted
        cause = f"sample rate is {sr:,} Hz, this run uses {wanted:,} Hz (use "
        super().__init__(Text(cause, Argument("resample", True), ", or ", Argument("sr", sr), ")"))

    def __reduce__(self) -> tuple[type, tuple[int, int]]:
        return type(self), (self.sr, self.wanted)  # so that it can be pickled


class UnexpectedError(AudioReadError):
    """An input that failed by a fault of this program or of a library.

    Attributes:
        trace: The traceback of the exception that was raised.
    """

    trace = ""


class FeatureError(KapreExtractError, ValueError):
    """Features that cannot be computed or stored, such as float16 out of range."""


class OutputError(KapreExtractError, OSError):
    """An output that could not be written."""


class ProcessLimitError(OutputError):
    """The system allows no more processes."""


class MissingKerasError(KapreExtractError, ImportError):
    """A library that running the Keras layer needs is not installed."""

    def __init__(self, module: str | None) -> None:
        super().__init__(
            Text(
                f"the module {quoted(module)} is not installed, which running the Keras layer "
                "needs: python -m pip install keras tensorflow; or use ",
                Argument("engine", "numpy"),
            )
        )
        self.name = module

    def __reduce__(self) -> tuple[type, tuple[str | None]]:
        return type(self), (self.name,)  # so that it can be pickled


class TooManyFailuresError(KapreExtractError, RuntimeError):
    """More inputs have failed than may, so the run was stopped.

    Attributes:
        n_inputs: The inputs of the run; those that have ended while the number is open.
        allowed: How many inputs may fail, as text: a number or a percentage.
    """

    def __init__(self, n_failed: int, n_inputs: int, allowed: str) -> None:
        cause = f"{n_failed:,} of {counted(n_inputs, 'input')} failed, and "
        rule = f" allows {allowed}: the run was stopped"
        super().__init__(Text(cause, Argument("max_failures"), rule))
        self.n_failed, self.n_inputs, self.allowed = n_failed, n_inputs, allowed

    def __reduce__(self) -> tuple[type, tuple[int, int, str]]:
        return type(self), (self.n_failed, self.n_inputs, self.allowed)


class StoredDataError(KapreExtractError, ValueError):
    """A file that is damaged, or no output of this program; a ``ValueError`` too."""


class StoredArrayError(StoredDataError):
    """A stored array that is damaged or invalid.

    Attributes:
        key: The key of the array; while a file is opened, the name of one of its objects.
        reason: The message without the key.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key, self.reason = key, reason

    def __str__(self) -> str:
        return f"{quoted(self.key)} {self.reason}"


class NotAnOutputError(StoredDataError, UsageError):
    """A recording where an output of this program was expected."""


def input_error(error: Exception) -> KapreExtractError:
    """Return the error that fails one input, for any exception of reading it.

    >>> print(input_error(MemoryError()))
    there is not enough memory for it: read fewer inputs at once (jobs=1) or free some memory
    >>> print(input_error(KeyError("left")))
    unexpected KeyError: 'left'
    """
    if isinstance(error, KapreExtractError):
        return error
    if isinstance(error, MemoryError):
        cause = "there is not enough memory for it: read fewer inputs at once ("
        failure = AudioReadError(Text(cause, Argument("jobs", 1), ") or free some memory"))
    else:
        text = ""
        with suppress(Exception):  # the text of some exceptions cannot be made
            text = " ".join(str(error).split())
        failure = UnexpectedError(f"unexpected {type(error).__name__}{f': {text}' if text else ''}")
        failure.trace = "".join(traceback.format_exception(error)).rstrip()
    failure.__cause__ = error
    return failure


class wrap_os_errors:  # noqa: N801 - it reads as a verb where it is used
    """Turns errors of the file at ``path`` into an OutputError that names it.

    Errors are those of the operating system, and of HDF5, which h5py raises as ``RuntimeError``.
    A broken pipe is not wrapped: the error has no reader any more, see :mod:`kapre_cli.exit_codes`.
    A class and not a generator: it is entered several times for every input.
    """

    def __init__(self, path: object, action: str = "written") -> None:
        self._path = path
        self._action = action

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        kept = (KapreExtractError, NotImplementedError, RecursionError, BrokenPipeError)
        if isinstance(error, (OSError, RuntimeError)) and not isinstance(error, kept):
            # The text of an HDF5 error is long and technical; that of its number is enough.
            number = error.errno if isinstance(error, OSError) else None
            reason = os.strerror(number) if number else error
            raise OutputError(f"{quoted(self._path)} cannot be {self._action}: {reason}") from error
