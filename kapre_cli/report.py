"""Exit codes, and the signals that ask the process to end."""

import signal
from enum import IntEnum

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # they ask the process to end


class ExitCode(IntEnum):
    """Exit codes of the program."""

    OK = 0
    FAILED = 1  # an input failed, or the output could not be written
    USAGE = 2
    HUNG_UP = 129  # 128 + SIGHUP
    INTERRUPTED = 130  # 128 + SIGINT
    PIPE_CLOSED = 141  # 128 + SIGPIPE
    TERMINATED = 143  # 128 + SIGTERM
