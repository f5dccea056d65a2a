"""What no recording has more of."""

MAX_SR = 100_000_000  # Hz; far above any recorder of sound or ultrasound
MAX_CHANNELS = 1024  # as many as libsndfile takes

INT64 = (-(2**63), 2**63 - 1)  # the integers that every format stores


def within_int64(number: int) -> int:
    """Return the integer of 64 bits that is nearest to a number.

    >>> within_int64(7), within_int64(2**70) == 2**63 - 1
    (7, True)
    """
    return min(max(number, INT64[0]), INT64[1])
