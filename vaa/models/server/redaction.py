"""Removes keys and passwords from text that is logged or written, in every form in which a server may repeat them."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

_SHORTEST_ENCODED = 8  # characters; shorter parts of a base64 text occur in other texts


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text with `***` in place of each secret, plain or escaped."""
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    if not forms:
        return text
    return re.sub("|".join(map(re.escape, sorted(forms, key=len, reverse=True))), "***", text)


def _forms(secret: str) -> Iterator[str]:
    """A secret as it is, as Python and JSON write it, for URLs, HTML and in base64, also as a part of longer text."""
    yield secret
    yield repr(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    yield secret.replace("/", "\\/")
    yield html.escape(secret)
    for quoted in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        yield quoted
        yield re.sub("%..", lambda code: code[0].lower(), quoted)
    data = secret.encode(errors="surrogateescape")
    yield data.hex()
    yield data.hex().upper()
    for offset, first in enumerate((0, 2, 3)):  # of the first character that no byte before the secret changes
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(b"\0" * offset + data).decode()[first : (offset + len(data)) * 8 // 6]
            if len(encoded) >= _SHORTEST_ENCODED:
                yield encoded
