"""Every command: what it prints where, and its exit code."""

from __future__ import annotations

import io
import json
import socket
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Command

from pricewatch.cli import app, execute
from pricewatch.cli.output import ExitCode
from pricewatch.domain.errors import Fenced, PricewatchError, Refused, Unavailable

RULE = {"title": "dear", "symbols": ["BTC-USD"], "when": {"type": "above", "level": "70000"}}
COMMANDS = [
    "run", "demo", "check", "migrate", "watch", "simulate", "replay", "record", "backfill", "import",
    "config show", "config example",
    "rules list", "rules add", "rules delete", "rules schema", "user add", "user key", "user list", "user revoke",
    "user password", "user change", "user export", "user erase",
]  # fmt: skip


@pytest.mark.parametrize("command", ["", *COMMANDS, "config", "rules", "user"])
def test_help_is_there(pw: Command, command: str) -> None:
    answer = pw(*command.split(), "--help")
    assert answer.code == 0
    assert "Usage: pricewatch" in answer.out


def test_the_version(pw: Command) -> None:
    assert pw("--version").code == 0


@pytest.mark.parametrize(
    "line", ["dance", "run --nonsense", "rules delete no-uuid --account a", "user add", "--nothing"]
)
def test_wrong_use(pw: Command, line: str) -> None:
    answer = pw(*line.split())
    assert answer.code == ExitCode.USAGE
    assert not answer.out
    assert answer.err.startswith("pricewatch: ")


@pytest.mark.parametrize(
    "line",
    [
        "run",
        "check",
        "migrate",
        "config show",
        "rules list --account a",
        "user list",
        "user add ann",
        "record x",
        "import x",
        "backfill coinbase BTC-USD --from 1d",
    ],
)
def test_a_wrong_configuration(pw: Command, line: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[gateway]\nprot = 1")
    answer = pw(*line.split(), "--config", "bad.toml")
    assert answer.code == ExitCode.CONFIG
    assert "did you mean gateway.port?" in answer.err
    assert not answer.out


def test_roles_that_cannot_work(pw: Command) -> None:
    assert "bus.url" in pw("run", "--roles", "gateway").err
    assert pw("run", "--roles", "cook,gateway").code == ExitCode.CONFIG


def test_config_show_and_example(pw: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRICEWATCH_DATABASE__URL", "postgresql://u:sesame@h/d")
    shown = pw("config", "show", "--json")
    assert shown.json["database"]["url"] == "**********"
    text = pw("config", "show")
    assert "sesame" not in shown.out + text.out + shown.err + text.err
    assert "[gateway]" in text.out
    assert "# " in pw("config", "example").out


def test_the_schema(pw: Command) -> None:
    assert "above" in json.dumps(pw("rules", "schema").json)


@pytest.mark.postgres
def test_people_change_and_leave(pw: Command, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = ("--config", str(config))
    for name, role in (("root", "admin"), ("ann", "user")):
        assert pw("user", "add", name, "--role", role, *where).code == 0
    for text, code in (("correct horse battery\n", 0), ("short\n", ExitCode.INPUT)):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        assert pw("user", "password", "ann", *where).code == code
    assert "no password any more" in pw("user", "password", "ann", "--remove", *where).err
    assert pw("user", "change", "ann", *where).code == ExitCode.INPUT
    changed = pw("user", "change", "ann", "--role", "viewer", "--email", "a@example.org", "--disabled", *where)
    assert "ann: viewer, a@example.org, shut out" in changed.err
    assert "(disabled)" in pw("user", "list", *where).out
    assert "let in" in pw("user", "change", "ann", "--enabled", *where).err
    assert "last administrator" in pw("user", "change", "root", "--role", "user", *where).err
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps(RULE))
    assert pw("rules", "add", str(rules), "--account", "ann", *where).code == 0
    kinds = [json.loads(line)["kind"] for line in pw("user", "export", "ann", *where).out.splitlines()]
    assert {"account", "key", "rule", "audit"} == set(kinds)
    written = pw("user", "export", "ann", str(tmp_path / "ann.ndjson"), *where)
    assert f"{len(kinds)} documents of ann" in written.err
    assert len((tmp_path / "ann.ndjson").read_text().splitlines()) == len(kinds)
    assert pw("user", "erase", "ann", *where).code == ExitCode.INPUT
    assert "ann and 1 rules are gone" in pw("user", "erase", "ann", "--yes", *where).err
    assert pw("user", "export", "ann", *where).code == ExitCode.INPUT
    assert [one["name"] for one in pw("user", "list", "--json", *where).json] == ["root"]


def test_a_password_is_asked_for_twice(pw: Command, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["correct horse battery", "correct horse batterie"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _: next(answers))
    answer = pw("user", "password", "ann", "--config", str(config))
    assert (answer.code, "not the same" in answer.err) == (ExitCode.INPUT, True)


@pytest.mark.postgres
class TestPeopleAndRules:
    def test_from_an_account_to_its_rules_and_back(self, pw: Command, config: Path, tmp_path: Path) -> None:
        where = ("--config", str(config))
        made = pw("user", "add", "ann", "--email", "ann@example.org", "--role", "admin", "--json", *where)
        assert made.code == 0, made.err
        assert made.json["name"] == "ann"
        assert made.json["key"].startswith("pw_")
        assert made.json["key"] not in made.err
        taken = pw("user", "add", "ann", *where)
        assert taken.code == ExitCode.INPUT
        assert "taken" in taken.err
        plain = pw("user", "key", "ann", "--expires", "90d", *where)
        assert plain.code == 0
        assert "pw_" in plain.out
        assert pw("user", "key", "bob", *where).code == ExitCode.INPUT
        assert pw("user", "key", "ann", "--expires", "soon", *where).code == ExitCode.INPUT
        (ann,) = pw("user", "list", "--json", *where).json
        assert [key["expires"] is None for key in ann["keys"]] == [True, False]
        first = ann["keys"][0]["id"]
        assert pw("user", "revoke", "ann", first, *where).code == 0
        assert pw("user", "revoke", "ann", str(uuid.UUID(int=5)), *where).code == ExitCode.INPUT
        (ann,) = pw("user", "list", "--json", *where).json
        assert ann["keys"][0]["revoked"]
        assert "ann@example.org" in pw("user", "list", *where).out
        scoped = pw("user", "key", "ann", "--title", "bot", "--scope", "read", "--scope", "write", *where)
        assert scoped.code == 0, scoped.err
        (ann,) = pw("user", "list", "--json", *where).json
        assert (ann["keys"][-1]["title"], ann["keys"][-1]["scopes"]) == ("bot", ["read", "write"])

        rules, bad = tmp_path / "rules.json", tmp_path / "bad.json"
        rules.write_text(json.dumps([RULE, RULE | {"title": "dearer"}]))
        added = pw("rules", "add", str(rules), "--account", "ann", *where)
        assert added.code == 0, added.err
        ids = added.out.split()
        assert len({uuid.UUID(one) for one in ids}) == 2
        bad.write_text(json.dumps([RULE, {"title": "x", "symbols": "*", "when": {"type": "abov"}}]))
        refused = pw("rules", "add", str(bad), "--account", "ann", *where)
        assert refused.code == ExitCode.INPUT
        assert "bad.json[1]" in refused.err
        listed = pw("rules", "list", "--account", "ann", "--json", *where).json
        assert sorted(one["id"] for one in listed) == sorted(ids)
        assert "dearer" in pw("rules", "list", "--account", "ann", *where).out
        assert pw("rules", "delete", ids[0], "--account", "ann", *where).code == 0
        assert pw("rules", "delete", ids[0], "--account", "ann", *where).code == ExitCode.INPUT
        assert len(pw("rules", "list", "--account", "ann", "--json", *where).json) == 1
        assert pw("migrate", *where).code == 0
        assert pw("rules", "list", "--account", "bob", *where).code == ExitCode.INPUT

    def test_what_rest_refuses_is_refused_here_too(self, pw: Command, config: Path, tmp_path: Path) -> None:
        where = ("--config", str(config))
        bad = tmp_path / "bad.json"
        assert pw("user", "add", "ann", *where).code == 0
        for words in (("add", "x y"), ("add", "zed", "--email", "nope"), ("change", "ann", "--email", "nope")):
            unfit = pw("user", *words, *where)
            assert (unfit.code, "will not do" in unfit.err) == (ExitCode.INPUT, True), unfit.err
        listening = tmp_path / "listening.toml"
        listening.write_text(config.read_text() + '[ingest.venues.kraken]\nenabled = true\nsymbols = ["BTC-USD"]\n')
        faults: list[tuple[dict[str, Any], str]] = [
            ({"symbols": ["BTC-UDS"]}, "bad.json[1].symbols[0]: no venue here lists 'BTC-UDS'; did you mean BTC-USD"),
            ({"venues": ["karken"]}, "bad.json[1].venues[0]: nothing is listened to on 'karken'; did you mean kraken"),
            ({"symbols": {"watchlist": "majors"}}, "bad.json[1].symbols.watchlist: ann has no watchlist 'majors'"),
            (
                {"policy": {"channels": ["email", "webhook", "webhook:bot"]}},
                "bad.json[1].policy.channels[2]: ann has no webhook 'bot'",
            ),
        ]
        for wrong, told in faults:
            bad.write_text(json.dumps([RULE, RULE | wrong]))
            refused = pw("rules", "add", str(bad), "--account", "ann", "--config", str(listening))
            assert (refused.code, told in refused.err) == (ExitCode.INPUT, True), refused.err
        bad.write_text(json.dumps([RULE] * 10_001))
        refused = pw("rules", "add", str(bad), "--account", "ann", *where)
        assert (refused.code, "0 rules of at most 10000" in refused.err) == (ExitCode.REFUSED, True), refused.err

    def test_check_tells_all(self, pw: Command, config: Path) -> None:
        answer = pw("check", "--json", "--config", str(config))
        assert answer.code == 0, answer.out
        assert {one["subject"] for one in answer.json} == {"app.roles", "app.data", "database", "delivery.email"}
        with config.open("a") as file:
            file.write('[ingest.venues.kraken]\nsymbols = ["BTC-USD"]\nsocket_url = "ws://127.0.0.1:9/x"\n')
            file.write('[ingest.venues.binance]\n[bus]\nurl = "redis://127.0.0.1:9"\n')
            file.write('[delivery.email]\nhost = "127.0.0.1"\nport = 9\n')
        answer = pw("check", "--json", "--config", str(config))
        assert answer.code == ExitCode.UNAVAILABLE
        bad = {one["subject"]: one["says"] for one in answer.json if not one["ok"]}
        assert bad.keys() == {"bus.url", "delivery.email", "ingest.venues.kraken", "ingest.venues.binance"}
        assert "without symbols" in bad["ingest.venues.binance"]
        assert "FAIL  bus.url" in pw("check", "--config", str(config)).out


def test_check_of_a_database_that_is_away(pw: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRICEWATCH_DATABASE__URL", "postgresql://u:sesame@127.0.0.1:9/d")
    monkeypatch.setenv("PRICEWATCH_INGEST__VENUES", "{}")
    monkeypatch.setenv("PRICEWATCH_APP__ROLES", "gateway")
    answer = pw("check", "--json")
    assert answer.code == ExitCode.UNAVAILABLE
    assert {one["subject"] for one in answer.json if not one["ok"]} == {"database.url", "app.roles"}
    assert "sesame" not in answer.out + answer.err
    for line in ("migrate", "user list --json"):
        away = pw(*line.split())
        assert away.code == ExitCode.UNAVAILABLE
        assert not away.out
        assert "sesame" not in away.err


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("rules add missing.json --account a", ExitCode.INPUT),
        ("rules add broken.json --account a", ExitCode.INPUT),
        ("replay missing.jsonl", ExitCode.CONFIG),
        ("replay --speed fast broken.json", ExitCode.INPUT),
        ("replay --speed 0 broken.json", ExitCode.INPUT),
        ("replay --mode dance broken.json", ExitCode.INPUT),
        ("simulate --rate 0", ExitCode.INPUT),
        ("simulate --ws-port 99999", ExitCode.INPUT),
        ("record folder --for soon", ExitCode.INPUT),
        ("demo --for soon", ExitCode.INPUT),
        ("watch", ExitCode.CONFIG),
    ],
)
def test_wrong_input(pw: Command, tmp_path: Path, line: str, code: ExitCode) -> None:
    (tmp_path / "broken.json").write_text("{")
    answer = pw(*line.split())
    assert answer.code in {code, ExitCode.INPUT, ExitCode.CONFIG}, answer
    assert not answer.out
    assert "pricewatch: " in answer.err
    assert "Traceback" not in answer.err


def test_rules_from_stdin(pw: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"when": 1}')))
    answer = pw("rules", "add", "-", "--account", "a")
    assert answer.code == ExitCode.INPUT
    assert "-[0]" in answer.err


def test_a_taken_port(pw: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = pw("simulate", "--ws-port", str(taken.getsockname()[1]))
    assert answer.code == ExitCode.UNAVAILABLE
    assert not answer.out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("away"), ExitCode.UNAVAILABLE),
        (Refused("no"), ExitCode.REFUSED),
        (Fenced("other"), ExitCode.REFUSED),
        (PricewatchError("odd"), ExitCode.FAILED),
        (ExceptionGroup("two", [ExceptionGroup("deep", [Unavailable("away")])]), ExitCode.UNAVAILABLE),
        (FileNotFoundError(2, "No such file", "x"), ExitCode.FAILED),
        (OSError("odd"), ExitCode.FAILED),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
    ],
)
def test_every_error_has_its_code(monkeypatch: pytest.MonkeyPatch, error: BaseException, code: ExitCode) -> None:
    def fails(*words: Any, **how: Any) -> None:
        raise error

    monkeypatch.setattr("pricewatch.cli.app", fails)
    assert execute([]) == code
    assert callable(app)
