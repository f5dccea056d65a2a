"""What no recording has more of."""

MAX_SR = 100_000_000  # Hz; far above any recorder of sound or ultrasound
MAX_CHANNELS = 1024  # as many as libsndfile takes
