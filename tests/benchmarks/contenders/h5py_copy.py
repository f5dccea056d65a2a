"""The plain loop: all datasets of HDF5 files, with their attributes, copied into a new one."""

import sys
from typing import Any

import h5py


def copy(inputs: list[str], output: str) -> None:
    """Copy datasets of the same names; groups are made as they are needed."""
    with h5py.File(output, "w") as target:
        for path in inputs:
            with h5py.File(path) as source:

                def add(name: str, found: Any, source: h5py.File = source) -> None:
                    if isinstance(found, h5py.Dataset):
                        source.copy(found, target, name)

                source.visititems(add)
                for name, value in source.attrs.items():
                    target.attrs[name] = value


if __name__ == "__main__":
    copy(sys.argv[1:-1], sys.argv[-1])
