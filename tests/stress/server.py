"""Real runs of the program, one after another, each in a fresh process that starts at once.

Importing NumPy and h5py takes longer than a run. This process does it once and forks for every
run; ``shim.c`` is preloaded into it and lets chosen system calls go wrong.
"""

import ctypes
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

COUNT, KILL_BEFORE, KILL_HALFWAY, NO_SPACE_FROM, ERROR_ONCE, LOSE_ONCE = range(6)


def serve() -> None:
    """Answer requests, a line of JSON each: first the process number, then how it ended."""
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import kapre_cli.cli
    import kapre_cli.extraction.run
    import kapre_cli.formats.hdf5_reader  # noqa: F401

    _tell("ready")
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _child(request, shim)
        _tell(json.dumps({"pid": pid}))
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        _tell(json.dumps({"status": code, "n_calls": shim.shim_count()}))


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _child(request: dict[str, Any], shim: Any) -> None:
    """Run the program as ``main`` does, with its messages in a file."""
    code = 99
    try:
        from kapre_cli import framing
        from kapre_cli.cli import run
        from kapre_cli.resume import journal

        framing.BLOCK_VALUES = request["block_values"]  # several blocks even of short files
        journal._PENDING_BYTES = request["pending_bytes"]  # and several writes of small ones
        os.chdir(request["folder"])
        messages = os.open(request["messages"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(messages, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        if request["mode"] is not None:
            below = os.fsencode(request["below"])
            shim.shim_arm(request["mode"], ctypes.c_long(request["k"]), below)
        code = run(request["arguments"], forks=request["has_workers"])
        sys.stderr.flush()
    except BaseException:
        Path(request["messages"]).write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve()
