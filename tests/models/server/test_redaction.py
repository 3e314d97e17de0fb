from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaa.models.server.redaction import redact

FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "repr": repr,
    "bytes": lambda text: repr(text.encode()),
    "JSON": json.dumps,
    "JSON of PHP": lambda text: json.dumps(text).replace("/", "\\/"),
    "URL": quote,
    "URL, all": lambda text: quote(text, safe=""),
    "URL, lower": lambda text: re.sub("%..", lambda code: code[0].lower(), quote_plus(text)),
    "HTML": html.escape,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of Bearer": lambda text: base64.b64encode(f"Bearer {text}".encode()).decode(),
    "base64 of a user": lambda text: base64.b64encode(f":{text}".encode()).decode(),
    "base64 of a longer user": lambda text: base64.b64encode(f"me:{text}:x".encode()).decode(),
    "URL-safe base64": lambda text: base64.urlsafe_b64encode(f"u:{text}".encode()).decode(),
    "hex": lambda text: text.encode().hex(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", ["sk-0123456789abcdef", "a/b+c==~&<x>%7|:", "pass\"wo'r\\d", "q" * 200])
def test_a_secret_is_removed_in_every_form(form: str, secret: str) -> None:
    written = FORMS[form](secret)
    shown = redact(f"header {written} refused", [secret])
    assert "***" in shown
    assert shown.startswith("header ")
    assert shown.endswith(" refused")
    assert len(shown) <= len("header *** refused") + 18  # characters of base64 that depend on what is around it


@given(st.text(min_size=1), st.text(), st.text())
def test_the_plain_secret_is_never_left(secret: str, before: str, after: str) -> None:
    assert secret not in redact(before + secret + after, [secret]).replace("***", "") or secret in before + after + "*"


def test_text_without_a_secret_stays() -> None:
    assert redact("a b", []) == "a b"
    assert redact("a b", ["c", ""]) == "a b"
