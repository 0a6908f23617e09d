from __future__ import annotations

import ast
import configparser
import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from pricewatch.config import Settings
from pricewatch.delivery.settings import DeliverySettings

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def instructions() -> Iterator[tuple[str, str]]:
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", DOCKERFILE))
    for line in joined.splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            yield word, rest


def settings_named_in(text: str) -> set[str]:
    return set(re.findall(r"PRICEWATCH_[A-Z]+(?:__[A-Z_]+?)+(?=[:=\s])", text))


@pytest.fixture
def compose() -> dict[str, Any]:
    content = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    assert isinstance(content, dict)
    return content


def test_every_copied_source_is_there_and_let_through() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for word, rest in instructions():
        if word == "COPY" and "--from" not in rest:
            for source in shlex.split(rest)[:-1]:
                assert (ROOT / source).exists(), source
                assert any(fnmatch(source, pattern) for pattern in allowed), source


def test_the_image_runs_as_nobody_special() -> None:
    final = [word for word, _ in instructions()]
    users = [rest for word, rest in instructions() if word == "USER"]
    assert users == ["10001:10001"]
    assert final.index("USER") > len(final) - 1 - final[::-1].index("FROM")


def test_dependencies_are_checked_by_hash_and_nothing_else_is_fetched() -> None:
    runs = [rest for word, rest in instructions() if word == "RUN" and "pip" in rest]
    fetching = [run for run in runs if "pip download" in run or "--no-index" not in run]
    assert len(fetching) == 1
    assert "--require-hashes" in fetching[0]
    assert "compileall" in " ".join(runs)
    assert "://" not in DOCKERFILE.replace("http://127.0.0.1:8080/healthz", "")


def test_the_health_check_is_python_and_asks_healthz() -> None:
    (check,) = [rest for word, rest in instructions() if word == "HEALTHCHECK"]
    command = ast.literal_eval(check[check.index("CMD") + 4 :])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "healthcheck", "exec")
    assert "/healthz" in command[2]
    assert str(Settings().gateway.port) in command[2]


def test_the_image_is_started_and_stopped_as_the_service_wants() -> None:
    found = dict(instructions())
    assert found["STOPSIGNAL"] == "SIGTERM"
    assert found["ENTRYPOINT"] == '["pricewatch"]'
    assert found["CMD"] == '["run"]'


def test_every_variable_named_in_the_files_is_a_setting() -> None:
    files = [ROOT / "Dockerfile", *sorted((ROOT / "deploy").iterdir())]
    for name in {name for file in files if file.is_file() for name in settings_named_in(file.read_text())}:
        if name.endswith("__"):
            continue
        model: Any = Settings
        for part in name.removeprefix("PRICEWATCH_").lower().split("__"):
            field = model.model_fields.get(part)
            assert field is not None, f"{name}: there is no setting {part!r}"
            model = field.annotation


def test_compose_has_all_it_needs_and_shows_nothing_to_the_world(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services.keys() >= {"pricewatch", "timescaledb", "redis", "mail"}
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert set(service.get("depends_on", {})) <= services.keys()
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in compose["volumes"]
    assert "healthcheck" in services["timescaledb"]
    assert "healthcheck" in services["redis"]
    assert services["pricewatch"]["build"]["context"] == ".."


def test_the_composed_mail_settings_are_accepted(compose: dict[str, Any]) -> None:
    prefix = "PRICEWATCH_DELIVERY__EMAIL__"
    environment = compose["services"]["pricewatch"]["environment"]
    email = {name.removeprefix(prefix).lower(): value for name, value in environment.items() if name.startswith(prefix)}
    assert DeliverySettings.model_validate({"email": email}).email.host == "mail"


def test_passwords_are_asked_for_not_shipped(compose: dict[str, Any]) -> None:
    assert compose["services"]["timescaledb"]["environment"]["POSTGRES_PASSWORD"].startswith(
        "${PRICEWATCH_DB_PASSWORD:?"
    )
    assert ":${PRICEWATCH_DB_PASSWORD:?" in compose["services"]["pricewatch"]["environment"]["PRICEWATCH_DATABASE__URL"]


def test_the_systemd_unit_is_confined() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "deploy" / "pricewatch.service")
    service = unit["Service"]
    assert service["ExecStart"].endswith("/pricewatch run")
    assert service["DynamicUser"] == "yes"
    assert service["NoNewPrivileges"] == "yes"
    assert service["KillSignal"] == "SIGTERM"
    assert int(service["TimeoutStopSec"]) > Settings().app.drain_timeout
