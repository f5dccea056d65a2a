"""Sphinx's settings: these pages as a site, and the reference of the command line as a man page.

sphinx-build -W -b html docs docs/_build/html
sphinx-build -W -b man -d docs/_build/doctrees docs docs/man
"""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy.typing
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import inspect

from kapre_cli.version import __version__

project = "kapre-extract"
author = "the kapre-extract authors"
version = release = __version__
today = f"{project} {version}"  # in the place of a date: equal sources give equal pages

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
smartquotes = False  # two dashes are those of an option
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!kapre_cli\b).*"),  # of other projects: a build needs no network
    (r"py:.*", r"kapre_cli\.settings\..*"),
]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4  # spelled as code hosts spell them

autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
autodoc_member_order = "bysource"
napoleon_custom_sections = ["Input shape", "Output shape"]
napoleon_use_ivar = True

copybutton_selector = ".highlight-sh pre, .highlight-bash pre, .highlight-python pre"

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False

man_pages = [
    (
        "reference/command-line",
        project,
        "spectrograms and mel-spectrograms of WAV and FLAC, as Keras layers compute them",
        author,
        1,
    )
]


T = TypeVar("T")


class NDArray(Generic[T]):
    """Stands for NumPy's, which would be shown as what it means: twice as long."""


vars(numpy.typing)["NDArray"] = NDArray


class Pages(SphinxPostTransform):
    """Makes definition lists of tables of options, and of every table on the man page.

    Columns are too narrow for sentences on a phone, and in a terminal. On the man page links are
    plain text, since there are no other pages.
    """

    default_priority = 100  # when links are resolved, and before the theme wraps tables

    def run(self, **_: object) -> None:
        """Change one document."""
        is_man_page = self.app.builder.name == "man"
        for table in list(self.document.findall(nodes.table)):
            head, *rows = (row.children for row in table.findall(nodes.row))
            names = [cell.astext() for cell in head]
            if is_man_page or names[0] == "option":
                items = [_definition(names, row) for row in rows]
                table.replace_self(nodes.definition_list("", *items))
        for text in list(self.document.findall(nodes.Text)):
            if text == " -- ":  # between an argument and its description
                text.parent.replace(text, nodes.Text(" \N{EN DASH} "))
        for link in list(self.document.findall(nodes.reference)):
            if is_man_page and "://" not in link.get("refuri", ""):
                link.replace_self(link.children)


def _definition(names: list[str], cells: Sequence[nodes.Node]) -> nodes.definition_list_item:
    """Return a row of a table as the definition of its first cell."""
    parts = {
        name: [part for paragraph in cell.children for part in paragraph.children]
        for name, cell in zip(names, cells, strict=True)
        if cell.astext()
    }
    term = nodes.term("", "", *parts.pop(names[0]))
    default = parts.pop("default", None)
    meanings = [*parts.values()] or [[]]
    if default:
        meanings[-1] += [nodes.Text(" Default: "), *default, nodes.Text(".")]
    paragraphs = (nodes.paragraph("", "", *meaning) for meaning in meanings)
    return nodes.definition_list_item("", term, nodes.definition("", *paragraphs))


def _signature_of_layer(
    _app: Sphinx, _what: str, _name: str, documented: Any, _options: object, signature: str, _: str
) -> tuple[str, None] | None:
    """Return the arguments of a layer's ``__init__``: Keras hides them behind ``__new__``."""
    if signature != "(*args, **kwargs)":
        return None
    arguments = inspect.signature(documented.__init__, bound_method=True)
    return inspect.stringify_signature(arguments, unqualified_typehints=True).split(" -> ")[0], None


def setup(app: Sphinx) -> None:
    """Register what is particular to these pages."""
    app.add_post_transform(Pages)
    app.connect("autodoc-process-signature", _signature_of_layer)
