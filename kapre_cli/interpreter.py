"""Settings of a process before TensorFlow and Keras are imported."""

import os
import sys
import warnings

# Keras imports these if they are installed, for features that no layer here uses.
_UNUSED = ("PIL", "matplotlib", "pandas", "scipy", "sklearn")

_SWITCH_SECONDS = 0.0005


def silence_tensorflow() -> None:
    """Set the environment of TensorFlow and Keras, and silence their messages."""
    import logging  # not needed for --help

    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # the CPU computes: see KerasEngine
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def tune_interpreter() -> None:
    """Make the imports of a process that does nothing but one run quick and silent.

    Modules that Keras can do without are marked as missing.
    """
    silence_tensorflow()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's threads would spin, unused
    for name in _UNUSED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # not importable
    # Threads that compute need Python's lock often and briefly; one that reads keeps it.
    sys.setswitchinterval(_SWITCH_SECONDS)
