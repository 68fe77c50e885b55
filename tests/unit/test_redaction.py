"""What is taken for a secret, and what is not."""

from __future__ import annotations

import json

import pytest

from orchestrator.domain.redaction import MARK, redact, redact_text

KEY = "a1B2c3D4e5F6g7H8i9J0"
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nAAAA\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\\nb3BlbnNz\\n-----END OPENSSH PRIVATE KEY-----",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQOY\n-----END PGP PRIVATE KEY BLOCK-----",
    "-----BEGIN PRIVATE KEY-----\ncut off here",
)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


@pytest.mark.parametrize(
    "secret",
    [
        f"sk-{KEY}",
        f"sk-ant-api03-{KEY}-{KEY}",
        f"sk-proj-{KEY}_{KEY}",
        f"sk_live_{KEY}",
        f"AIza{KEY}{KEY[:15]}",
        "AKIAIOSFODNN7EXAMPLE",
        f"ghp_{KEY}{KEY[:16]}",
        f"github_pat_{KEY}_{KEY}",
        f"glpat-{KEY}",
        f"xoxb-1234567890-{KEY}",
        f"hf_{KEY}{KEY[:14]}",
        f"npm_{KEY}{KEY[:16]}",
        JWT,
        *PEM,
    ],
)
def test_what_names_itself_is_taken_out_whole(secret: str) -> None:
    assert redact_text(f"before {secret}") == f"before {MARK}"
    assert redact_text(json.dumps({"x": secret})).count(secret) == 0


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgres://me:pa:ss@db:5432/x", f"postgres://me:{MARK}@db:5432/x"),
        ("redis://:hunter2@cache/0", f"redis://:{MARK}@cache/0"),
        ("Authorization: Bearer abc.def-123", f"Authorization: Bearer {MARK}"),
        ("authorization: Basic dXNlcjpwYXNz", f"authorization: Basic {MARK}"),
        ('{"Authorization": "Token 0123abcd"}', f'{{"Authorization": "Token {MARK}"}}'),
        ("use bearer 0123456789abcdefXYZ now", f"use bearer {MARK} now"),
        ("Set-Cookie: session=0123456789", f"Set-Cookie: {MARK}"),
        ("password = 'hunter2'", f"password = '{MARK}'"),
        ("DB_PASSWORD=hunter2 make", f"DB_PASSWORD={MARK} make"),
        ('{\\"client_secret\\": \\"abcd1234\\"}', f'{{\\"client_secret\\": \\"{MARK}\\"}}'),
        ("API_KEY=0123456789abcdef", f"API_KEY={MARK}"),
        ("aws_secret_access_key = abcd/EFGH1234", f"aws_secret_access_key = {MARK}"),
        ("?id=1&sig=0123456789abcdef", f"?id=1&sig={MARK}"),
    ],
)
def test_a_value_is_taken_out_and_its_name_stays(text: str, left: str) -> None:
    assert redact_text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens = 100000",
        "token = read_token()",
        "The password is asked for at the start.",
        "https://example.com/path?query=value",
        "risk-averse, task-oriented",
        "git@github.com:owner/name.git",
        "0f3a9c1e-5d4a-4f6b-8a7c-9e0d1f2a3b4c",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "eyJ is how a token begins",
        "",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert redact_text(text) == text


def test_values_are_searched_everywhere_and_keep_their_shape() -> None:
    value = {
        "list": [1, None, True, 0.5, f"sk-{KEY}"],
        "api_key": "anything",
        "AccessToken": "",
        "password": {"deep": ["words"]},
        "input_tokens": 7,
        "signature": f"sk-{KEY}",
        "n": {"github.token": "x"},
    }
    assert redact(value) == {
        "list": [1, None, True, 0.5, MARK],
        "api_key": MARK,
        "AccessToken": "",
        "password": {"deep": ["words"]},
        "input_tokens": 7,
        "signature": f"sk-{KEY}",
        "n": {"github.token": MARK},
    }


def test_hostile_text_ends_soon() -> None:
    """Bounded patterns: none of these would end within the test's time otherwise."""
    for piece in ("password", "-----BEGIN PRIVATE KEY-----", "://a:", "eyJa.", "token=a", "sk-"):
        assert redact_text(piece * 20_000)
