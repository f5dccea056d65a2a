"""Extensions by name: those of this package and of installed packages.

A package declares one as an entry point, for example in its ``pyproject.toml``::

    [project.entry-points."kapre_cli.formats"]
    zarr = "kapre_zarr:ZarrFormat"

A name in a file is only looked up here: it selects among what is installed and imports nothing
else.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kapre_cli.errors import SettingsError
from kapre_cli.text import quoted

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


class ExtensionError(SettingsError):
    """An extension of an installed package that cannot be used."""


def imported(place: str) -> Any:
    """Return the object at ``"module:name"``.

    >>> imported("math:pi")
    3.141592653589793
    """
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


class Registry(Generic[T]):
    """The extensions of one kind, each imported when it is first used.

    Args:
        kind: Such as ``"output format"``.
        group: The group of its entry points.
        base: The class that every extension is derived from.
        built_in: Each extension of this package as ``"module:class"``, by name.

    Attributes:
        kind: What messages call such an extension.
        broken: Why extensions of installed packages could not be imported, by name.
    """

    def __init__(self, kind: str, group: str, base: type[T], built_in: Mapping[str, str]) -> None:
        self.kind = kind
        self._group = group
        self._base = base
        self._built_in = dict(built_in)
        self._added: dict[str, type[T]] = {}
        self._loaded: dict[str, type[T]] = {}
        self._entry_points: dict[str, EntryPoint] | None = None
        self.broken: dict[str, str] = {}

    @property
    def built_in(self) -> tuple[str, ...]:
        """Names of the extensions of this package."""
        return tuple(self._built_in)

    @property
    def names(self) -> tuple[str, ...]:
        """All names; those of installed packages last. Nothing is imported."""
        return tuple(dict.fromkeys((*self._built_in, *self._added, *self._installed())))

    def __getitem__(self, name: str) -> type[T]:
        """Return an extension.

        Raises:
            SettingsError: If there is none of this name.
            ExtensionError: If its package cannot be imported, or declares something else.
        """
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        return name in self._built_in or name in self._added or name in self._installed()

    def __iter__(self) -> Iterator[type[T]]:
        """Yield all extensions that can be imported, those of this package first.

        Installed packages are searched after these have been yielded.
        """
        for name in self._built_in:
            yield self[name]
        for name in (*self._added, *self._installed()):
            try:
                extension = self[name]
            except ExtensionError as error:
                self.broken[name] = str(error)
            else:
                yield extension

    def add(self, name: str, extension: type[T]) -> None:
        """Add an extension for this process; raise ValueError if its name is in use."""
        if name in self:
            raise SettingsError(f"the name {quoted(name)} is that of another {self.kind}")
        self._added[name] = extension

    def package_of(self, name: str) -> tuple[str, str] | None:
        """Return name and version of an extension's package, if it is another one."""
        if name in self._built_in or name in self._added:
            return None
        found = self._installed().get(name)
        return (found.dist.name, found.dist.version) if found and found.dist else None

    def _load(self, name: str) -> type[T]:
        if name in self._built_in:
            return imported(self._built_in[name])
        if name in self._added:
            return self._added[name]
        entry_point = self._installed().get(name)
        if entry_point is None:
            raise SettingsError(
                f"no {self.kind} has the name {quoted(name)}; there are {', '.join(self.names)}"
            )
        package = entry_point.dist.name if entry_point.dist else entry_point.value
        try:
            extension = entry_point.load()
        except Exception as error:  # a package may raise anything
            raise ExtensionError(
                f"the {self.kind} {quoted(name)} of the package {quoted(package)} cannot be "
                f"imported: {type(error).__name__}: {error}"
            ) from error
        if not (isinstance(extension, type) and issubclass(extension, self._base)):
            raise ExtensionError(
                f"the {self.kind} {quoted(name)} of the package {quoted(package)} is not derived "
                f"from {self._base.__module__}.{self._base.__qualname__}"
            )
        return extension

    def _installed(self) -> "dict[str, EntryPoint]":
        """Return the entry points of other packages; none replaces one of this package."""
        if self._entry_points is None:
            from importlib.metadata import entry_points  # slow to import

            found = {one.name: one for one in entry_points(group=self._group)}
            self._entry_points = {
                name: one for name, one in sorted(found.items()) if name not in self._built_in
            }
        return self._entry_points
