"""File, environment and secret files into settings; every mistake named."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from pricewatch.config import Settings, _leaves, as_toml, load, masked
from pricewatch.domain.errors import ConfigError

Write = Callable[[str], Path]
EXAMPLE = Path(__file__).resolve().parents[1] / "deploy" / "pricewatch.example.toml"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):  # noqa: TID251 - what the test itself is run with
        if name.startswith("PRICEWATCH_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str) -> Path:
        path = tmp_path / "pw.toml"
        path.write_text(content)
        return path

    return write


def complaint(path: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value)


def test_without_anything_the_defaults_hold() -> None:
    assert load() == Settings()


def test_the_environment_beats_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write('[gateway]\nport = 1\nhost = "0.0.0.0"\n[evaluation]\nshard = 3')
    monkeypatch.setenv("PRICEWATCH_GATEWAY__PORT", "2")
    settings = load(path)
    assert (settings.gateway.port, settings.gateway.host, settings.evaluation.shard) == (2, "0.0.0.0", 3)


def test_the_file_is_found_by_variable_or_by_name(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pricewatch.toml").write_text("[gateway]\nport = 5")
    assert load().gateway.port == 5
    monkeypatch.setenv("PRICEWATCH_CONFIG", str(write("[gateway]\nport = 6")))
    assert load().gateway.port == 6


def test_files_that_cannot_be_read(write: Write, tmp_path: Path) -> None:
    assert "missing.toml: No such file" in complaint(tmp_path / "missing.toml")
    assert "Is a directory" in complaint(tmp_path)
    assert "not valid TOML" in complaint(write("[gateway"))
    (tmp_path / "latin.toml").write_bytes(b'[app]\ndata = "\xff"')
    assert "not valid TOML" in complaint(tmp_path / "latin.toml")


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("postgresql://u:hidden@h/d\n")
    monkeypatch.setenv("PRICEWATCH_DATABASE__URL_FILE", str(secret))
    assert load().database.url.get_secret_value() == "postgresql://u:hidden@h/d"
    monkeypatch.setenv("PRICEWATCH_DATABASE__URL", "postgresql://other")
    assert "both set" in complaint()


def test_a_secret_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRICEWATCH_DATABASE__URL_FILE", "/nowhere/secret")
    assert "PRICEWATCH_DATABASE__URL_FILE: cannot read the secret file" in complaint()


def test_a_setting_whose_name_ends_in_file_is_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRICEWATCH_DELIVERY__EMAIL__CA_FILE", "/etc/ca.pem")
    assert load().delivery.email.ca_file == Path("/etc/ca.pem")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[gateway]\nprot = 1", "gateway.prot: there is no such setting"),
        ("[gateway]\nprot = 1", "did you mean gateway.port?"),
        ("[gatway]\nport = 1", "did you mean gateway?"),
        ('[ingest.venues.kraken]\nsymbls = ["BTC-USD"]', "did you mean ingest.venues.kraken.symbols?"),
        (
            '[ingest.venues.krakn]\nsymbols = ["BTC-USD"]',
            "ingest.venues: there is no venue 'krakn'; did you mean kraken?",
        ),
        ('[ingest.venues.xy]\nsymbols = ["BTC-USD"]', "there is no venue 'xy'; known: binance, "),
        ('[ingest.venues.kraken]\nsymbols = ["BTC USD!"]', "ingest.venues: kraken: symbol: 'BTC USD!' is not"),
        ('[gateway]\nport = "many"', "gateway.port: Input should be a valid integer"),
        ('[gateway]\nport = "many"', '(given: "many")'),
        ("[gateway]\nport = 70000", "less than or equal to 65535"),
        ('[log]\nlevel = "loud"', "'debug', 'info', 'warning' or 'error'"),
        ("[delivery]\nlease = 1.0", "lease (1.0 s) must exceed attempt_timeout"),
        ('gateway = "x"', "gateway: "),
    ],
)
def test_mistakes_in_the_file_are_named(write: Write, content: str, says: str) -> None:
    assert says in complaint(write(content))


def test_all_mistakes_are_named_at_once(write: Write) -> None:
    assert len(complaint(write('[gateway]\nprot = 1\nport = "x"\n[app]\nroels = []')).splitlines()) == 3


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PRICEWATCH_GATEWAY__PROT", "1", "did you mean PRICEWATCH_GATEWAY__PORT?"),
        ("PRICEWATCH_GATEWAY__PORT__X", "1", "there is no such setting"),
        ("PRICEWATCH_INGEST__VENUES__KRAKEN__SYMBLS", "[]", "did you mean PRICEWATCH_INGEST__VENUES__KRAKEN__SYMBOLS?"),
        ("PRICEWATCH_GATEWAY__PORT", "many", "gateway.port: Input should be a valid integer"),
        ("PRICEWATCH_INGEST__VENUES", "no json", "ingest.venues"),
        ("PRICEWATCH_GATEWAY", "no json", "gateway"),
    ],
)
def test_mistakes_in_the_environment_are_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    assert says in complaint()


def test_venues_from_the_file_and_from_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write('[ingest.venues.kraken]\nsymbols = ["btc-usd"]\nhistory = false')
    assert load(path).ingest.venues.keys() == {"kraken"}
    assert load(path).ingest.venues["kraken"].symbols == ("BTC-USD",)
    monkeypatch.setenv("PRICEWATCH_INGEST__VENUES__KRAKEN__SYMBOLS", '["ETH-USD"]')
    assert load(path).ingest.venues["kraken"].symbols == ("ETH-USD",)
    assert not load(path).ingest.venues["kraken"].history
    monkeypatch.delenv("PRICEWATCH_INGEST__VENUES__KRAKEN__SYMBOLS")
    monkeypatch.setenv("PRICEWATCH_INGEST__VENUES", json.dumps({"coinbase": {"symbols": ["SOL-USD"]}}))
    assert load().ingest.venues["coinbase"].symbols == ("SOL-USD",)


def test_lists_may_be_json_or_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRICEWATCH_APP__ROLES", "ingest, engine")
    assert load().app.roles == ("ingest", "engine")
    monkeypatch.setenv("PRICEWATCH_APP__ROLES", '["gateway"]')
    assert load().app.roles == ("gateway",)
    monkeypatch.setenv("PRICEWATCH_DATABASE__EMBEDDED__OPTIONS__WORK_MEM", "8MB")
    assert load().database.embedded.options == {"work_mem": "8MB"}


SECRETS = """
[database]
url = "postgresql://u:sesame@h/d"
[bus]
url = "redis://:sesame@h/0"
[delivery.email]
host = "h"
username = "u"
password = "sesame"
"""


def test_secrets_are_never_shown(write: Write) -> None:
    settings = load(write(SECRETS))
    for text in (as_toml(settings), json.dumps(masked(settings)), repr(settings), str(settings)):
        assert "sesame" not in text
        assert "****" in text


@pytest.mark.parametrize(
    "mistake",
    [
        "[database]\nurl = 5353535353",
        "[delivery.email]\npassword = 5353535353\nusername = 'x'",
        "[delivery.email]\npassword = ['5353535353']",
        "[delivery]\nemail = ['5353535353']",
        "[bus]\nurl = 'redis://:5353535353@h'\nblock = 10.0",
        "[delivery.email]\npassword = '5353535353'",
        "database = 'postgresql://u:5353535353@h'",
    ],
)
def test_no_secret_is_in_an_error(write: Write, mistake: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(mistake))
    error: BaseException | None = caught.value
    assert "5353535353" not in str(error)
    assert error is not None
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_the_example_explains_every_key_and_says_the_defaults(write: Write) -> None:
    text = as_toml(Settings(), explained=True)
    assert load(write(text)) == Settings()
    lines = text.splitlines()
    for path, field in _leaves(Settings):
        assert field.description, path
        if path[-1] != "venues":
            assert any(line.startswith((f"{path[-1]} = ", f"# {path[-1]} = ")) for line in lines), path
    tomllib.loads(text)


def test_what_is_shown_can_be_loaded_again(write: Write) -> None:
    settings = load(write('[ingest.venues.kraken]\nsymbols = ["BTC-USD"]\nopen_interval = 2.5\n[app]\ndata = "a b"'))
    assert load(write(as_toml(settings))) == settings


def test_the_committed_example_is_what_the_command_prints() -> None:
    assert EXAMPLE.read_text(encoding="utf-8") == as_toml(Settings(), explained=True)
