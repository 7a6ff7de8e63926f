import json
import time

import pytest

from fiducial.redaction import is_secret, redact, redact_command, redact_override, redact_text


@pytest.mark.parametrize(
    "key",
    ["password", "db.password", "AWS_SECRET_ACCESS_KEY", "apiKey", "api_key", "hf_token", "credentials",
     "tracking.credential", "accessToken", "a.b.private_key", "MLFLOW_TRACKING_PASSWORD",
     "PGPASSWORD", "X-API-Key", "Authorization"],
)  # fmt: skip
def test_secret_keys(key):
    assert is_secret(key)
    assert redact(key, "hunter2") == "***"
    assert redact(key, 12345) == "***"


@pytest.mark.parametrize(
    "key", ["tokenizer", "num_tokens", "model.max_tokens", "max-tokens", "secretary", "keys", "author", "learning_rate"]
)
def test_harmless_keys(key):
    assert not is_secret(key)
    assert redact(key, 197) == "197"


def test_a_flag_is_no_secret():
    assert redact("model.class_token", True) == "True"
    assert redact("db.password", None) == "None"
    assert redact("model.class_token", "true") == "true"


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('client = Client(token="hunter2")', 'client = Client(token="***")'),
        ('headers = {"password": "hunter2"}', 'headers = {"password": "***"}'),
        ("data.auth={token: hunter2}", "data.auth={token: ***}"),
        ("{'event': {'password': 'hunter2'}}", "{'event': {'password': '***'}}"),
        ("uri=http://h/?a=1&token=hunter2", "uri=http://h/?a=1&token=***"),
        ('os.environ["PGPASSWORD"] = "hunter2"', 'os.environ["PGPASSWORD"] = "***"'),
        ("headers['auth']['token'] = 'hunter2'", "headers['auth']['token'] = '***'"),
        ("Server=x;Password=hunter2;", "Server=x;Password=***;"),
        ('{"command": "train lr=1 token=hunter2", "host": "b"}', '{"command": "train lr=1 token=***", "host": "b"}'),
        (r'{"error": "{\"password\": \"hunt er2\", \"lr\": 1}"}', r'{"error": "{\"password\": \"***\", \"lr\": 1}"}'),
        (r"RuntimeError('num_tokens=5\npassword=hunter2')", r"RuntimeError('num_tokens=5\npassword=***')"),
    ],
)
def test_a_secret_behind_other_keys(text, shown):
    assert redact_text(text) == shown
    assert redact_text(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password='hunt er2' lr=1", "password='***' lr=1"),
        (r'"password": "hunt\"er2", "lr": 1', '"password": "***", "lr": 1'),
        ('token = b"hunt er2"', 'token = b"***"'),
        ('token = """hunt er2"""', 'token = """***"""'),
        ("'db.password=hunt er2' lr=1", "'db.password=***' lr=1"),
        ("password: hunt er2", "password: ***"),
        ("-password: hunt er2", "-password: ***"),
        ("+  - password: hunt er2", "+  - password: ***"),
        ("password = hunt er2", "password = ***"),
        ("f(password: str = 'hunt er2', lr=1)", "f(password: str = '***', lr=1)"),
        ('password: str | None = "hunt er2"', 'password: str | None = "***"'),
        ('f(token=Secret("hunt er2"), lr=1)', 'f(token=***"), lr=1)'),
        ('f(token=[b, "hunt er2"], lr=1)', 'f(token=***"], lr=1)'),
        ('if password == "hunt er2":', 'if password == "***":'),
        ('password = "hunt er2', 'password = "***'),
        ('os.environ.get("API_KEY", "hunt er2")', 'os.environ.get("API_KEY", "***")'),
        ("monkeypatch.setenv('PGPASSWORD', 'hunt er2')", "monkeypatch.setenv('PGPASSWORD', '***')"),
    ],
)
def test_a_value_of_several_words(text, shown):
    assert redact_text(text) == shown
    assert redact_text(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("train --password hunter2 lr=1", "train --password *** lr=1"),
        ('["train", "--api-key", "hunter2", "lr=1"]', '["train", "--api-key", "***", "lr=1"]'),
        ("['train', '--token=hunter2', 'lr=1']", "['train', '--token=***', 'lr=1']"),
        ("train --token --verbose lr=1", "train --token --verbose lr=1"),
        ('curl -H "Authorization: Bearer x1" http://h', 'curl -H "Authorization: Bearer ***" http://h'),
        ("{Authorization: Basic x1, Accept: b}", "{Authorization: Basic ***, Accept: b}"),
        ("> Authorization: Digest x1, y2", "> Authorization: Digest ***, y2"),
        ("Authorization: Digest x1, y2", "Authorization: Digest ***"),
        ("postgresql://h/db?password=hunter2", "postgresql://h/db?password=***"),
        ("postgresql://me:hunt/er2@h/db", "postgresql://***@h/db"),
        ("http://h:5000/a?mail=me@h http://h:5000", "http://h:5000/a?mail=me@h http://h:5000"),
        (f'login("hf_{"aB3" * 11}")', 'login("***")'),
        ("a\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END b", "a\n-----BEGIN RSA PRIVATE KEY-----***-----END b"),
    ],
)
def test_headers_options_addresses_and_keys(text, shown):
    assert redact_text(text) == shown
    assert redact_text(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "tokenizer=bert num_tokens=5 author=me",
        "tokenizer = Tokenizer(path='x', vocab=y)",
        "class_token: true  # as in the paper",
        "model.class_token=True lr=1",
        "def f(token=None, *, password: str | None = None, lr: float = 1):",
        "if len(tokens) == 1:",
        '["--token=", "x"], {"a": "token:", "b": "c"}, token=""',
    ],
)
def test_innocent_text_is_unchanged(text):
    assert redact_text(text) == text


def test_json_stays_json():
    content = {"password": "a b", "n": {"api_key": "x,y", "command": "train 'token=a b' --token c", "lr": [1, 2]}}
    shown = json.loads(redact_text(json.dumps(content)))
    assert shown == {
        "password": "***",
        "n": {"api_key": "***", "command": "train 'token=***' --token ***", "lr": [1, 2]},
    }


PIECES = [
    "a", " ", "=", "a=", "token=", "token= ", "token=None ", 'token="', 'token="\\"', "token=(", "token=( ", "token=[",
    "token=(a(", "token=x(y", "token: str = ", "--token ", "--", "\\", '\\"', '"', "'token= ", 'get("token", ', "://",
    "://@", "://a:b", "bearer ", "-----BEGIN PRIVATE KEY-----", "#",
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_a_long_line_takes_no_longer_for_being_odd(piece):
    begin = time.process_time()
    for start in ("", "token=", 'token="'):
        redact_text(start + piece * (100_000 // len(piece)) + " token=a" * 2_000)
    assert time.process_time() - begin < 3  # an eighth of a second; many seconds, were it quadratic


def test_a_megabyte_without_a_line_break():
    begin = time.process_time()
    shown = redact_text('{"a": [1, 2], "b": {"c": "d", "token": "hunter2"}}, ' * 20_000)
    assert time.process_time() - begin < 5  # half a second
    assert "hunter2" not in shown
    assert shown.count("***") == 20_000


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


def test_a_word_of_a_command_line_is_one_value():
    assert redact_override("db.password=hunt er2") == "db.password=***"
    assert redact_override("+data.auth={token: hunter2}") == "+data.auth={token: ***}"
    assert redact_override("model.class_token=true") == "model.class_token=true"
    assert redact_command(["train", "db.password=hunt er2", "lr=1"]) == "train db.password=*** lr=1"
