"""Extensions by name: built-in, added and of installed packages."""

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from kapre_cli.errors import SettingsError
from kapre_cli.registry import ExtensionError, Registry


class Base:
    """What the extensions of these tests are derived from."""


class Own(Base):
    """An extension of the package itself."""


def registry() -> Registry[Base]:
    return Registry("test kind", "kapre_cli.of_a_test", Base, {"own": f"{__name__}:Own"})


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a package with four entry points, one of them sound."""
    (tmp_path / "of_a_test.py").write_text(
        dedent(
            f"""
            from {__name__} import Base

            class Sound(Base):
                pass

            class Own(Base):
                pass

            class Stranger:
                pass
            """
        )
    )
    (tmp_path / "of_a_test_no_module.py").write_text("import a_module_that_nobody_has\n")
    folder = tmp_path / "kapre_of_a_test-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: kapre-of-a-test\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        dedent(
            """
            [kapre_cli.of_a_test]
            sound = of_a_test:Sound
            own = of_a_test:Own
            stranger = of_a_test:Stranger
            torn = of_a_test_no_module:Sound
            """
        )
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("of_a_test", "of_a_test_no_module"):
        sys.modules.pop(name, None)


def test_own_extensions_are_found_by_name() -> None:
    assert registry()["own"] is Own
    assert "own" in registry()
    assert "other" not in registry()
    assert ["own"] not in registry()
    assert registry().names == registry().built_in == ("own",)


@pytest.mark.usefixtures("installed")
def test_installed_extensions_come_last_and_replace_none() -> None:
    found = registry()
    assert found.names == ("own", "sound", "stranger", "torn")
    assert not {"of_a_test", "of_a_test_no_module"} & sys.modules.keys()
    assert found["own"] is Own
    assert found["sound"].__module__ == "of_a_test"


@pytest.mark.usefixtures("installed")
def test_extensions_that_cannot_be_used_are_named_with_their_package() -> None:
    found = registry()
    told = "the test kind 'torn' of the package 'kapre-of-a-test' cannot be imported: ModuleNotFou"
    with pytest.raises(ExtensionError, match=told):
        found["torn"]
    with pytest.raises(ExtensionError, match=r"'stranger' .* is not derived from tests.*\.Base"):
        found["stranger"]
    assert [one.__name__ for one in found] == ["Own", "Sound"]
    assert found.broken.keys() == {"stranger", "torn"}


def test_extensions_can_be_added_once() -> None:
    class Added(Base):
        pass

    found = registry()
    found.add("added", Added)
    assert found.names == ("own", "added")
    assert found["added"] is Added
    assert list(found) == [Own, Added]
    with pytest.raises(ValueError, match="the name 'added' is that of another test kind"):
        found.add("added", Added)


def test_an_unknown_name_is_an_error_that_lists_all() -> None:
    with pytest.raises(SettingsError, match="no test kind has the name 'other'; there are own"):
        registry()["other"]
