from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vaa.errors import ConfigError
from vaa.prompts.definitions import Definitions, definition_fields
from vaa.types import Definition

ANY = "violence or fire"


@pytest.mark.parametrize("watch_for", ["a fire, two people fighting", ["a fire", "two people fighting"]])
def test_a_text_with_commas_equals_a_list(watch_for: Any) -> None:
    assert Definitions(watch_for=watch_for, ignore=None, anything=ANY).all == (
        Definition(name="a fire", wording="a fire"),
        Definition(name="two people fighting", wording="two people fighting"),
    )


def test_a_file_gives_names_wordings_and_exceptions_and_ignore_adds_to_each(tmp_path: Path) -> None:
    file = tmp_path / "falls.yaml"
    file.write_text("- {name: fall, wording: a person on the floor, except: [a person on a bench]}\n- a bicycle\n")
    first, second = Definitions(watch_for=str(file), ignore="yoga, a dog", anything=ANY).all
    assert first == Definition(
        name="fall", wording="a person on the floor", exceptions=("a person on a bench", "yoga", "a dog")
    )
    assert second == Definition(name="a bicycle", wording="a bicycle", exceptions=("yoga", "a dog"))
    assert definition_fields(first)["exceptions"] == " This does not count: a person on a bench, yoga, a dog."
    assert definition_fields(Definition(name="x", wording="a fire")) == {"definition": "a fire", "exceptions": ""}


def test_ignore_alone_is_an_exception_to_any_anomaly_and_neither_is_no_definition() -> None:
    (only,) = Definitions(watch_for=None, ignore="people running", anything=ANY).all
    assert (only.wording, only.exceptions) == (ANY, ("people running",))
    assert Definitions(watch_for=None, ignore=None, anything=ANY).all == ()


@pytest.mark.parametrize(
    "watch_for", ["", "a fire,,", [], [{"name": "fire"}], [{"wording": "a", "not": "b"}], [3], "a, a", "none.yaml"]
)
def test_what_is_no_definition_is_refused(watch_for: Any) -> None:
    with pytest.raises(ConfigError, match="watch_for"):
        Definitions(watch_for=watch_for, ignore=None, anything=ANY)


def test_a_file_that_holds_no_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("name: fire\n")
    with pytest.raises(ConfigError, match=r"one\.yaml"):
        Definitions(watch_for=str(tmp_path / "one.yaml"), ignore=None, anything=ANY)
