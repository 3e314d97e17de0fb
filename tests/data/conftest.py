from __future__ import annotations

import pytest
from layouts import World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Three short videos of the rendered world, in memory."""
    return make_world(tmp_path_factory.mktemp("world"))
