"""Taking secrets out of text, as far as they can be recognised.

Owns the patterns. It is best effort: a secret that looks like any other word stays.
Refuses to be slow: every pattern is bounded, so that its time grows with the text alone.
"""

from __future__ import annotations

import re
from typing import Any, Final

MARK: Final = "[redacted]"
"""Stands where a secret was."""

_QUOTES: Final = r"""["'\\]{0,4}"""
_SIGN: Final = rf"{_QUOTES}\s{{0,4}}[:=]\s{{0,4}}{_QUOTES}"
"""Between a name and its value in code, settings, headers and JSON within JSON."""

_WHOLE: Final = tuple(
    re.compile(pattern)
    for pattern in (
        # Private keys, with their line breaks written either way; one that is cut off too.
        r"(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----"
        r".*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----|\Z)",
        # Keys and tokens that name their issuer.
        r"\bsk-[A-Za-z0-9_-]{16,200}",
        r"\b[rsp]k_(?:live|test)_[A-Za-z0-9]{10,200}",
        r"\bAIza[A-Za-z0-9_-]{30,60}",
        r"\bya29\.[A-Za-z0-9_-]{20,400}",
        r"\b(?:AKIA|ASIA|AGPA|AROA|AIDA)[A-Z0-9]{16}\b",
        r"\bgh[pousr]_[A-Za-z0-9]{20,255}",
        r"\bgithub_pat_[A-Za-z0-9_]{20,255}",
        r"\bglpat-[A-Za-z0-9_-]{16,100}",
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,255}",
        r"\bhf_[A-Za-z0-9]{20,100}",
        r"\bnpm_[A-Za-z0-9]{30,60}",
        r"\bpypi-[A-Za-z0-9_-]{50,255}",
        r"\bSG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}",
        # JSON web tokens.
        r"\beyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{0,4096}",
    )
)

_VALUES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        # Passwords in the addresses of databases and others.
        r"""(://[^\s/:@"'\\]{0,100}:)[^\s/"'\\]{1,200}(?=@)""",
        rf"(?i)(\b(?:proxy-)?authorization{_SIGN}(?:(?:bearer|basic|token|digest)\s{{1,4}})?)"
        r"""[^\s"'\\,]{4,4096}""",
        r"(?i)(\bbearer\s{1,4})[A-Za-z0-9._~+/=-]{16,4096}",
        r"""(?i)(\b(?:set-)?cookie["']?\s{0,4}:\s{0,4})[^\r\n"'\\]{8,4096}""",
        rf"(?i)((?:passw(?:or)?d|passphrase|pwd|secret)(?:[_-]?key)?{_SIGN})"
        r"""[^\s"'\\,;&<>(){}]{4,512}""",
        # A value with digits and letters: `tokens = 100` and `token = read()` are no secrets.
        rf"(?i)((?:api|access|private|signing|encryption|account)[_-]?key(?:[_-]?id)?{_SIGN}"
        rf"|token{_SIGN}|credentials?{_SIGN})"
        r"""(?=[^\s"'\\,;&<>(){}]{0,512}\d)(?=[^\s"'\\,;&<>(){}]{0,512}[A-Za-z])"""
        r"""[^\s"'\\,;&<>(){}]{8,512}""",
        r"""(?i)([?&](?:key|sig|signature|x-amz-signature|x-goog-signature)=)[^\s&"'#\\]{8,512}""",
    )
)

_NAMES: Final = re.compile(
    r"(?i)(?:^|[_.-])(?:passw(?:or)?d|passphrase|pwd|secret|api[_-]?key|access[_-]?key"
    r"|private[_-]?key|secret[_-]?key|authorization|(?:auth|access|refresh|id|bearer)?[_-]?token"
    r"|credentials?|cookie)$"
)
"""Keys whose values are secrets whatever they look like."""

_UNTOUCHED: Final = frozenset({"signature"})
"""Keys of the providers' own proofs, which are no secrets and useless when changed."""


def redact_text(text: str) -> str:
    """Return `text` with everything that looks like a secret replaced by MARK."""
    for pattern in _WHOLE:
        text = pattern.sub(MARK, text)
    for pattern in _VALUES:
        text = pattern.sub(rf"\g<1>{MARK}", text)
    return text


def redact(value: Any) -> Any:
    """Return a JSON value with the secrets of its texts replaced, keys and structure kept."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, list):
        return [redact(item) for item in value]
    if isinstance(value, dict):
        return {key: _redact_field(key, item) for key, item in value.items()}
    return value


def _redact_field(key: str, value: Any) -> Any:
    if key in _UNTOUCHED:
        return value
    if isinstance(value, str) and value and _NAMES.search(key):
        return MARK
    return redact(value)
