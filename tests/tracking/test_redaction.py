import pytest

from fiducial.tracking.redaction import is_secret, redact, redact_command, redact_text


@pytest.mark.parametrize(
    "key",
    ["password", "db.password", "AWS_SECRET_ACCESS_KEY", "apiKey", "api_key", "hf_token", "credentials",
     "tracking.credential", "accessToken", "a.b.private_key", "MLFLOW_TRACKING_PASSWORD"],
)  # fmt: skip
def test_secret_keys(key):
    assert is_secret(key)
    assert redact(key, "hunter2") == "***"
    assert redact(key, 12345) == "***"


@pytest.mark.parametrize("key", ["tokenizer", "num_tokens", "model.max_tokens", "secretary", "keys", "learning_rate"])
def test_harmless_keys(key):
    assert not is_secret(key)
    assert redact(key, 197) == "197"


def test_a_flag_is_no_secret():
    assert redact("model.class_token", True) == "True"
    assert redact("db.password", None) == "None"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("https://me:hunter2@host/path", "hunter2"),
        ("https://ghp_hunter2@github.com/a/b.git", "hunter2"),
        ("postgresql+psycopg://me:hunt@er2@host/db", "er2@"),
        ("password: hunter2", "hunter2"),
        ('"password": "hunt er2"', "er2"),
        ("{'api_key': 'hunter2', 'lr': 1}", "hunter2"),
        ("api_key='hunter2'", "hunter2"),
        ("AWS_SECRET_ACCESS_KEY=hunter2", "hunter2"),
        ("Authorization: Bearer hunter2hunter2", "hunter2"),
        ("+    token = 'hunter2'", "hunter2"),
        ("--token=hunter2", "hunter2"),
        ("password=hunt,er2", "er2"),
    ],
)
def test_text(text, secret):
    assert secret not in redact_text(text)
    assert "***" in redact_text(text)


def test_text_without_secrets_is_unchanged():
    text = "lr: 0.1\nclass_token: true\nnum_tokens: 12\nsee http://host:5000/a?b=c, or mail me@host\n"
    assert redact_text(text) == text


def test_text_keeps_its_lines():
    text = "token:\n  name: a\nx: 1\r\npassword=z\n"
    assert redact_text(text).count("\n") == 4
    assert "name: a" in redact_text(text)


def test_command(monkeypatch):
    monkeypatch.setenv("HOME", "/home/jane")
    argv = [
        "/home/jane/bin/fiducial",
        "train",
        "data_dir=/home/jane/x",
        "--token",
        "hunter2",
        "db.password=hunter3",
    ]
    assert redact_command(argv) == "fiducial train data_dir=~/x --token *** db.password=***"
