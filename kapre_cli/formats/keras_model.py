"""Read a layer of a saved Keras model: its arguments and its weights, as data.

A ``.keras`` file is a zip archive with the description of the model in JSON and its weights in
HDF5. Keras is not asked to load it: no class is looked up or built, and no code of the file runs.
Sizes follow from the description, and are checked before any weight is read.
"""

import re
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import h5py

from kapre_cli.errors import SettingsError, StoredDataError, UsageError
from kapre_cli.formats.hdf5_objects import open_group, read_floats, wrap_hdf5_errors
from kapre_cli.formats.validation import validated_json
from kapre_cli.layers.weights import trained_weights
from kapre_cli.osutil import open_plain
from kapre_cli.settings import LAYERS, LayerConfig, Weights, resolved_layer
from kapre_cli.settings.weights import check_weight_bytes
from kapre_cli.text import Text, quoted

SUFFIX = ".keras"

_DESCRIPTION, _WEIGHTS = "config.json", "model.weights.h5"
_MAX_BYTES = 2**24  # of a description
_MAX_PARTS = 2**20  # lists, objects and names in it
_PACKAGE = "kapre_cli>"  # with which Keras registers the layers
_NAMED = re.compile(rf"(?s)(.*{re.escape(SUFFIX)}):([^/]+)")


class ModelLayer(NamedTuple):
    """A layer of a saved model.

    Attributes:
        config: Its arguments.
        weights: Its weights; ``None`` if it has none.
    """

    config: LayerConfig
    weights: Weights | None


class _Found(NamedTuple):
    """A layer in the description of a model.

    ``place`` is the group of its weights, where Keras stores them.
    """

    name: str
    config: LayerConfig
    place: str


def is_model(name: str) -> bool:
    """Whether a text names a model, or a layer of one.

    >>> is_model("x.keras"), is_model("x.keras:mel"), is_model("x.h5")
    (True, True, False)
    """
    return name.endswith(SUFFIX) or _NAMED.fullmatch(name) is not None


def layer_of_model(name: str) -> ModelLayer:
    """Return a layer of this package from ``MODEL.keras``, or from ``MODEL.keras:NAME``.

    Raises:
        FileNotFoundError: If there is no such file.
        StoredDataError: If it is no saved model, or damaged; a ``ValueError`` too.
        UsageError: If it has no such layer, or several and none is named; a ``ValueError`` too.
    """
    path, wanted = _parsed(name)
    with _reported(path), open_plain(path) as file, zipfile.ZipFile(file) as archive:
        found = _chosen([*_layers_in(_description(archive))], path, wanted)
        if not found.config.weight_shapes:
            return ModelLayer(found.config, None)
        check_weight_bytes(4 * found.config.n_weights)
        with _weights_file(archive) as group:
            for part in (*found.place.split("/"), "vars"):
                group = open_group(group, part)
            arrays = {
                weight: read_floats(group, str(number), shape)
                for number, (weight, shape) in enumerate(found.config.weight_shapes.items())
            }
        return ModelLayer(found.config, trained_weights(found.name, arrays, found.config))


def _parsed(name: str) -> tuple[Path, str | None]:
    """Return the path of a model, and the name of a layer if there is one."""
    named = None if name.endswith(SUFFIX) else _NAMED.fullmatch(name)
    return (Path(name), None) if named is None else (Path(named[1]), named[2])


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Turn errors of a model that is damaged into StoredDataError, with its path."""
    try:
        yield
    except (UsageError, FileNotFoundError):
        raise
    except SettingsError as error:
        what = f"the layer of the model {quoted(path)} cannot be used: "
        raise UsageError(Text(what, error)) from error
    except OSError as error:
        raise StoredDataError(f"{quoted(path)} cannot be read: {error.strerror}") from error
    except (
        *(zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, KeyError),
        *(NotImplementedError, RuntimeError, ValueError),
    ) as error:
        raise StoredDataError(f"{quoted(path)} is no complete Keras model: {error}") from error


def _description(archive: zipfile.ZipFile) -> Any:
    with archive.open(_DESCRIPTION) as file:
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise StoredDataError(f"its {_DESCRIPTION} is larger than {_MAX_BYTES:,} bytes")
    return validated_json(text, _MAX_PARTS)


@contextmanager
def _weights_file(archive: zipfile.ZipFile) -> Iterator[Any]:
    """Yield the root group of the weights, copied to a temporary file: HDF5 jumps to and fro.

    Raise StoredDataError if they are compressed, as Keras never does: they could fill the disk.
    """
    if archive.getinfo(_WEIGHTS).compress_type != zipfile.ZIP_STORED:
        raise StoredDataError(f"its {_WEIGHTS} is compressed")
    with tempfile.TemporaryFile() as copy:
        with archive.open(_WEIGHTS) as file:
            shutil.copyfileobj(file, copy)  # and compares its checksum
        with wrap_hdf5_errors(f"its {_WEIGHTS}"), h5py.File(copy, "r") as stored:
            yield h5py.h5g.open(stored.id, b"/")


def _chosen(found: list[_Found], path: Path, wanted: str | None) -> _Found:
    """Return the layer of this name, or the only one; raise UsageError without one."""
    if not found:
        raise UsageError(
            f"the model {quoted(path)} lists no layer of kapre-extract; a subclassed model lists "
            "none of its layers: save such a layer in a model of its own, keras.Sequential([layer])"
        )
    chosen = [one for one in found if wanted in (None, one.name)]
    if len(chosen) == 1:
        return chosen[0]
    named = ", ".join(f"{quoted(one.name)} ({one.config.class_name})" for one in found)
    if not chosen:
        raise UsageError(
            f"the model {quoted(path)} has no layer {quoted(wanted)} of kapre-extract; it has "
            f"{named}"
        )
    remedy = "give the layers different names"
    if wanted is None:
        remedy = f"name one of them, as in {quoted(f'{path}:{found[0].name}')}"
    raise UsageError(
        f"the model {quoted(path)} has {len(chosen)} layers of kapre-extract: {named}; {remedy}"
    )


def _layers_in(described: Any, place: str = "") -> Iterator[_Found]:
    """Yield the layers of this package, with the groups where Keras stores their weights.

    A container stores its layers below ``layers``, by the names of their classes and numbers; a
    wrapper the one that it wraps below the name of its argument.
    """
    if not isinstance(described, dict) or not isinstance(described.get("config"), dict):
        return
    name, values = described.get("class_name"), described["config"]
    is_ours = str(described.get("registered_name", "")).startswith(_PACKAGE)
    if is_ours and isinstance(name, str) and name in LAYERS:
        yield _Found(str(values.get("name")), _config_of(name, values), place)
        return
    for argument, value in values.items():
        if isinstance(value, list):
            n_before: Counter[str] = Counter()
            for one in value:
                group = _group_name(one)
                number = f"_{n_before[group]}" if n_before[group] else ""
                n_before[group] += 1
                yield from _layers_in(one, _joined(place, argument, group + number))
        else:
            yield from _layers_in(value, _joined(place, argument))


def _group_name(described: Any) -> str:
    """Return the name that Keras makes of the name of a class: ``my_layer`` of ``MyLayer``."""
    name = str(described.get("class_name")) if isinstance(described, dict) else ""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _joined(*names: str) -> str:
    return "/".join(filter(None, names))


def _config_of(name: str, values: dict[str, Any]) -> LayerConfig:
    kind = LAYERS[name]
    own = {one.name for one in fields(kind)}
    return resolved_layer(kind(**{key: value for key, value in values.items() if key in own}))
