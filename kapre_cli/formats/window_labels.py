"""Labels of windows: of their input, or computed for each window."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import SettingsError
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.settings import checks
from kapre_cli.text import Argument, Text, quoted

LabelFunction = Callable[[str, float, float, InputMetadata], Any]
LabelSource = Mapping[str, Any] | LabelFunction | str
OF_METADATA = "label"


class Labels:
    """The labels of inputs, or a function that gives that of a window.

    Attributes:
        function: The function; ``None``: each input has one label.
        classes: The texts that the integers 0, 1, ... stand for; ``None``: labels are no texts.
        values: The label of each input, along the first axis; empty with a function.

    Raises:
        ValueError: If an input has no label, or one that is not in ``classes``.
    """

    def __init__(
        self,
        source: Any,  # a LabelSource
        inputs: Mapping[str, InputMetadata],
        classes: Sequence[str] | None = None,
    ) -> None:
        self.classes = None if classes is None else tuple(classes)
        self._numbers = {name: number for number, name in enumerate(self.classes or ())}
        self.function: LabelFunction | None = None
        self.values: npt.NDArray[Any] = np.empty(0)
        if isinstance(source, str):
            checks.choice("labels", source, (OF_METADATA,))
            found = [one.label for one in inputs.values()]
            for key, label in zip(inputs, found, strict=True):
                if not label:
                    raise SettingsError(
                        f"{quoted(key)} has no label in its metadata: only segments of an "
                        "annotated recording have; choose others with `keys`"
                    )
            self.values = self._of_inputs(found)
        elif isinstance(source, Mapping):
            for key in inputs:
                if key not in source:
                    raise SettingsError(Text(Argument("labels"), f" has no key {quoted(key)}"))
            self.values = self._of_inputs([source[key] for key in inputs])
        elif callable(source):
            self.function = source
        else:
            rule = "a mapping from key to label, a function or 'label'"
            raise checks.invalid("labels", rule, source)

    def _of_inputs(self, found: list[Any]) -> npt.NDArray[Any]:
        is_text = [isinstance(label, str) for label in found]
        if all(is_text) and found and self.classes is None:
            self.classes = tuple(sorted(set(found)))
            self._numbers = {name: number for number, name in enumerate(self.classes)}
        elif any(is_text) and not all(is_text):
            other = found[is_text.index(False)]
            raise checks.invalid("labels", "all texts or all numbers", other)
        return self.array(found)

    def array(self, found: list[Any]) -> npt.NDArray[Any]:
        """Return labels as an array, along its first axis; texts become their numbers."""
        return np.array([self._number(label) for label in found])

    def _number(self, label: Any) -> Any:
        if not isinstance(label, str):
            return label
        if self.classes is None:
            raise SettingsError(
                Text(f"the label {quoted(label)} is a text: name all in ", Argument("classes"))
            )
        if label not in self._numbers:
            raise SettingsError(
                Text(f"the label {quoted(label)} is not in ", Argument("classes", self.classes))
            )
        return self._numbers[label]
