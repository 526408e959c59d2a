"""What a redacted report hides, kind by kind, and what it leaves alone."""

import pytest
from hypothesis import given
from hypothesis.strategies import lists, sampled_from

from assets.report.redaction import MASK, redact, redacted_tokens, sensitive_spans
from orchestration.secrets import without_secrets

HIDDEN = {
    "e-mail address": "write to ada.lovelace+list@mail.example.co.uk today",
    "e-mail address of spaced tokens": "guido @ python.org said",
    "IPv4": "listens on 192.168.17.254:8080 now",
    "IPv6": "listens on 2001:db8:85a3:0:0:8a2e:370:7334 now",
    "short IPv6": "listens on fe80::1ff:fe23:4567:890a now",
    "international phone": "call +44 20 7946 0958 before noon",
    "phone of North America": "call (555) 867-5309 before noon",
    "phone with dots": "call 555.867.5309 before noon",
    "cloud key": "key AKIAIOSFODNN7EXAMPLE in the log",
    "source forge token": "token ghp_16C7e42F292c6912E7710c838347Ae178B4a in the log",
    "model provider key": "key sk-proj-abcDEF1234567890abcDEF in the log",
    "web token": "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P in",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY----- after",
    "password": "password = 'correct-horse' in the file",
    "api key": 'api_key: "0x1f9a8b7c" in the file',
    "hash": "digest 9e107d9d372bb6826bd81d3542a419d6 of the file",
    "credentials in a URL": "https://ada:secret123@example.org/path",
    "token as the user of a URL": "https://hub-token-1@example.org/path",
    "token in a query": "https://example.org/x?a=1&token=t0k3n today",
    "bearer": "Authorization: Bearer abcdefghij in the log",
    "hub token": "token hf_abcdefGHIJKLMNOPqrstuvWXYZ in the log",
}
SECRETS = (
    "ada.lovelace+list@mail.example.co.uk", "guido @ python.org", "192.168.17.254", "2001:db8:85a3:0:0:8a2e:370:7334",
    "fe80::1ff:fe23:4567:890a", "+44 20 7946 0958", "(555) 867-5309", "555.867.5309", "AKIAIOSFODNN7EXAMPLE",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "sk-proj-abcDEF1234567890abcDEF", "eyJhbGciOiJIUzI1NiJ9",
    "MIIEpAIBAAKCAQEA", "correct-horse", "0x1f9a8b7c", "9e107d9d372bb6826bd81d3542a419d6", "ada:secret123",
    "hub-token-1", "t0k3n", "abcdefghij", "hf_abcdefGHIJKLMNOPqrstuvWXYZ",
)  # fmt: skip
LEFT_ALONE = (
    "def password(self): return None",
    "version 1.2.3 of python 3.11.4",
    "@property decorates a method",
    "x = 1_000_000 + 0.123456789",
    "2024-03-28 10:15:00 in ISO 8601",
    "a::b::c of C++, and std::vector",
    "range(100, 200)[1:2:3]",
    "deadbeef is short",
    "see section 10.1.2 and table 3-4",
    "hf_tokenizer = AutoTokenizer.from_pretrained(name)",
    "a bearer of news, a key=value pair",
)


@pytest.mark.parametrize(("name", "secret"), zip(HIDDEN, SECRETS, strict=True))
def test_hides(name, secret):
    text = HIDDEN[name]
    hidden = redact(text)
    assert secret in text and secret not in hidden
    assert MASK in hidden and len(hidden) == len(text)
    assert hidden.split()[-1] == text.split()[-1] or "://" in text


@pytest.mark.parametrize(("name", "secret"), zip(HIDDEN, SECRETS, strict=True))
def test_sentences_hide_what_opens_something_and_name_what_is_only_personal(name, secret):
    personal = name.startswith(("e-mail", "IPv", "short IPv", "international", "phone", "hash"))
    assert (secret in without_secrets(HIDDEN[name])) == personal


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_leaves_ordinary_text_alone(text):
    assert redact(text) == text


def test_a_secret_cut_into_tokens_is_hidden_whole():
    tokens = ["mail", " ada", ".love", "lace", "@exam", "ple.org", " now"]
    assert redacted_tokens(tokens) == ["mail", *[MASK] * 5, " now"]


@given(lists(sampled_from([" a", "da@", "ex.org", "@", "x.de ", "192.", "168.1.1", "\n", "", "é"]), max_size=30))
def test_no_token_that_touches_a_span_is_shown(tokens):
    text, shown = "".join(tokens), redacted_tokens(tokens)
    assert len(shown) == len(tokens)
    hidden = {i for span in sensitive_spans(text) for i in range(span.start, span.end)}
    start = 0
    for token, seen in zip(tokens, shown, strict=True):
        touches = hidden & set(range(start, start + len(token)))
        assert seen == (MASK if touches else token)
        start += len(token)
