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

_WHOLE: Final = (
    # Private keys, with their line breaks written either way; one that is cut off too.
    (
        ("private key",),
        r"(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----"
        r".*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----|\Z)",
    ),
    # Keys and tokens that name their issuer.
    (("sk-",), r"\bsk-[A-Za-z0-9_-]{16,200}"),
    (("k_live_", "k_test_"), r"\b[rsp]k_(?:live|test)_[A-Za-z0-9]{10,200}"),
    (("aiza",), r"\bAIza[A-Za-z0-9_-]{30,60}"),
    (("ya29.",), r"\bya29\.[A-Za-z0-9_-]{20,400}"),
    (
        ("akia", "asia", "agpa", "aroa", "aida"),
        r"\b(?:AKIA|ASIA|AGPA|AROA|AIDA)[A-Z0-9]{16}\b",
    ),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\bgh[pousr]_[A-Za-z0-9]{20,255}"),
    (("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{20,255}"),
    (("glpat-",), r"\bglpat-[A-Za-z0-9_-]{16,100}"),
    (("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{10,255}"),
    (("hf_",), r"\bhf_[A-Za-z0-9]{20,100}"),
    (("npm_",), r"\bnpm_[A-Za-z0-9]{30,60}"),
    (("pypi-",), r"\bpypi-[A-Za-z0-9_-]{50,255}"),
    (("sg.",), r"\bSG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}"),
    # JSON web tokens.
    (("eyj",), r"\beyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{0,4096}"),
)
"""What a text in lower case must hold one of to be searched, and what is replaced whole."""

_VALUES: Final = (
    # Passwords in the addresses of databases and others.
    (("://",), r"""(://[^\s/:@"'\\]{0,100}:)[^\s/"'\\]{1,200}(?=@)"""),
    (
        ("authorization",),
        rf"(?i)(\b(?:proxy-)?authorization{_SIGN}(?:(?:bearer|basic|token|digest)\s{{1,4}})?)"
        r"""[^\s"'\\,]{4,4096}""",
    ),
    (("bearer",), r"(?i)(\bbearer\s{1,4})[A-Za-z0-9._~+/=-]{16,4096}"),
    (("cookie",), r"""(?i)(\b(?:set-)?cookie["']?\s{0,4}:\s{0,4})[^\r\n"'\\]{8,4096}"""),
    (
        ("passw", "passphrase", "pwd", "secret"),
        rf"(?i)((?:passw(?:or)?d|passphrase|pwd|secret)(?:[_-]?key)?{_SIGN})"
        r"""[^\s"'\\,;&<>(){}]{4,512}""",
    ),
    # A value with digits and letters: `tokens = 100` and `token = read()` are no secrets.
    (
        ("key", "token", "credential"),
        rf"(?i)((?:api|access|private|signing|encryption|account)[_-]?key(?:[_-]?id)?{_SIGN}"
        rf"|token{_SIGN}|credentials?{_SIGN})"
        r"""(?=[^\s"'\\,;&<>(){}]{0,512}\d)(?=[^\s"'\\,;&<>(){}]{0,512}[A-Za-z])"""
        r"""[^\s"'\\,;&<>(){}]{8,512}""",
    ),
    (
        ("key=", "sig=", "signature="),
        r"""(?i)([?&](?:key|sig|signature|x-amz-signature|x-goog-signature)=)"""
        r"""[^\s&"'#\\]{8,512}""",
    ),
)
"""As above; the first group stays, what follows it is replaced."""

_RULES: Final = (
    *((hints, re.compile(pattern), MARK) for hints, pattern in _WHOLE),
    *((hints, re.compile(pattern), rf"\g<1>{MARK}") for hints, pattern in _VALUES),
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
    # Most texts hold no secret: a look for a few words is much faster than a pattern.
    lowered = text.lower()
    for hints, pattern, replacement in _RULES:
        if any(hint in lowered for hint in hints):
            text = pattern.sub(replacement, text)
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
