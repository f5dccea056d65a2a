"""What no recording has more of."""

MAX_SR = 100_000_000  # Hz; far above any recorder of sound or ultrasound
MAX_CHANNELS = 1024  # as many as libsndfile takes
MAX_FRAME_VALUES = 2**26  # of all channels: 256 MiB of float32, the least that is read at once

MAX_PATH_BYTES = 4096  # Linux opens no longer one

INT64 = (-(2**63), 2**63 - 1)  # the integers that every format stores


def require_narrow_frame(n_features: int, n_channels: int) -> None:
    """Refuse frames that are too large to be read one at a time.

    Args:
        n_features: Values of one frame of one channel.
        n_channels: Channels.

    Raises:
        ValueError: If they have more values than ``MAX_FRAME_VALUES``.
    """
    if n_features * n_channels > MAX_FRAME_VALUES:
        raise ValueError(
            f"one frame has {n_features:,} values in each of {n_channels:,} channels, "
            f"and at most {MAX_FRAME_VALUES:,} in all are allowed"
        )


def within_int64(number: int) -> int:
    """Return the integer of 64 bits that is nearest to a number.

    >>> within_int64(7), within_int64(2**70) == 2**63 - 1
    (7, True)
    """
    return min(max(number, INT64[0]), INT64[1])
