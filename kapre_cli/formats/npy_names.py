"""Names of the files of .npy outputs; light, for modules that do without NumPy."""

from pathlib import Path

ROOT_NAME = "kapre-extract.json"  # the file by which a folder of features is known
MANIFEST_NAME = "manifest.jsonl"
NPY_SUFFIX = ".npy"
SIDECAR_SUFFIX = ".json"
WEIGHT_ARRAYS = "weight_arrays"  # in the JSON of the root metadata


def sidecar_of(path: Path) -> Path:
    """Return the path of the metadata of a single .npy file."""
    return path.with_name(path.name + SIDECAR_SUFFIX)
