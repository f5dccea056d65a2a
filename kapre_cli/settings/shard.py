"""The part of the inputs that a run takes when several runs share them."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from kapre_cli.errors import SettingsError
from kapre_cli.settings import checks
from kapre_cli.text import quoted

MAX_SHARDS = 10**6

_NAMED = re.compile(r"([0-9]{1,18})/([0-9]{1,18})")
_SHA256 = re.compile("(?:[0-9a-f]{64})?")


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One of the parts that a list of inputs is cut into.

    Attributes:
        index: Which part it is, counted from 1.
        of: How many parts there are.
        inputs: SHA-256 of the keys and sizes of the whole list, hexadecimal: parts of one list
            have the same. Empty until the list is known.
    """

    index: int
    of: int
    inputs: str = ""

    def __post_init__(self) -> None:
        """Check every value."""
        of = checks.integer("of", self.of, at_least=1, at_most=MAX_SHARDS)
        index = checks.integer("index", self.index, at_least=1, at_most=of)
        object.__setattr__(self, "of", of)
        object.__setattr__(self, "index", index)
        if not isinstance(self.inputs, str) or not _SHA256.fullmatch(self.inputs):
            raise checks.invalid("inputs", "a SHA-256", self.inputs)

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Return the shard that a user names.

        Raises:
            SettingsError: If it is not I/N, with I from 1 to N.

        >>> str(Shard.parse("2/10"))
        '2/10'
        """
        named = _NAMED.fullmatch(text)
        if named is None:
            raise SettingsError(
                f"A shard is I/N, the I-th of N, as in 2/10. Received: {quoted(text)}"
            )
        index, of = map(int, named.groups())
        if of > MAX_SHARDS:
            most = f"There are at most {MAX_SHARDS:,} shards"
            raise SettingsError(f"{most}. Received: {quoted(text)}")
        if not 1 <= index <= of:
            raise SettingsError(
                f"Shards are counted from 1: of {of:,} they are 1/{of} to {of}/{of}. "
                f"Received: {quoted(text)}"
            )
        return cls(index=index, of=of)

    def to_dict(self) -> dict[str, Any]:
        """Return the values by name, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Any) -> "Shard":
        """Return the shard that :meth:`to_dict` wrote, checked like any other.

        Raises:
            ValueError: If a value is missing, unknown or out of range.
        """
        if not isinstance(stored, dict) or set(stored) != set(cls.__dataclass_fields__):
            raise checks.invalid("shard", f"exactly {tuple(cls.__dataclass_fields__)}", stored)
        return cls(**stored)

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"
