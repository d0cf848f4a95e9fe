"""Names of packages that are imported when they are first used."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize(
    "name", ["motiontok", "motiontok.data", "motiontok.robots", "motiontok.serve"]
)
def test_every_public_name_is_there_and_listed(name):
    package = importlib.import_module(name)
    assert set(package.__all__) <= set(dir(package))
    assert not [public for public in package.__all__ if not hasattr(package, public)]
    with pytest.raises(AttributeError, match=rf"module '{name}' has no attribute 'nothing'"):
        package.nothing  # noqa: B018
