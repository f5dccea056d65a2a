"""Other people's files come to no harm; ``python -m tests.stress attacks`` counts them."""

import os
from pathlib import Path

import pytest

from tests.stress.attacks import Attack, Place, attacks, needs_root
from tests.warm import Nursery

ATTACKS = attacks()


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_harms_nothing(name: str, tmp_path: Path, warm: Nursery) -> None:
    if needs_root(name) and os.geteuid() != 0:
        pytest.skip("only root can make a device, or a file of another user")
    attack: Attack = ATTACKS[name]
    place = Place(tmp_path, warm)
    attack(place)
    assert place.harmed() == []
