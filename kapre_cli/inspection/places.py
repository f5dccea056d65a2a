"""Where in a recording a value is."""

from kapre_cli.inspection.difference import Apart
from kapre_cli.storage.stored import Features, StoredArray


def apart_words(apart: Apart, features: Features, array: StoredArray) -> str:
    """Say by how much two values differ, and where they are in seconds and Hz.

    Args:
        apart: The values.
        features: The output of one of them.
        array: The array that it is in.
    """
    seconds = array.facts.time_start + apart.place["time"] * array.facts.time_step
    hertz = features.frequency[apart.place[features.layer.feature_axis]]
    return (
        f"{apart.by:.3g} ({apart.one:.9g} against {apart.other:.9g}) at {seconds:.4f} s, "
        f"{hertz:,.1f} Hz, channel {apart.place['channel']}"
    )
