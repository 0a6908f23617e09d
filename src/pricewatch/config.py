"""One TOML file, environment and secret files into frozen settings."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from pricewatch.backtest.settings import PreviewSettings
from pricewatch.blobs.settings import BlobSettings
from pricewatch.bus.settings import BusSettings
from pricewatch.delivery.settings import DeliverySettings
from pricewatch.domain.errors import ConfigError
from pricewatch.engine.settings import EngineSettings
from pricewatch.evaluation.settings import EvaluationSettings
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ingest.settings import IngestSettings
from pricewatch.store.settings import StoreSettings
from pricewatch.telemetry.settings import LogSettings
from pricewatch.training.settings import TrainingSettings

PREFIX = "PRICEWATCH_"
_NOT_SETTINGS = {"PRICEWATCH_CONFIG", "PRICEWATCH_KEY", "PRICEWATCH_SHARED", "PRICEWATCH_REQUIRE_ALL"}
_ROLES = ("ingest", "engine", "gateway", "delivery", "training")


class AppSettings(BaseModel):
    """Section `app`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Field(default=Path("data"), description="Folder for the embedded database, the spool and captures.")
    roles: tuple[str, ...] = Field(
        default=_ROLES, description="Which parts this process runs: ingest, engine, gateway, delivery, training."
    )
    drain_timeout: float = Field(default=10.0, gt=0, description="Seconds a stop may take before it is cut short.")
    recent: float = Field(
        default=60.0, gt=0, le=3_600, description="Seconds that `recent` covers where /status tells of the event loop."
    )


class Settings(BaseSettings):
    """Everything an operator may set, by section."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__", case_sensitive=False
    )

    app: AppSettings = Field(default_factory=AppSettings, description="The process itself.")
    log: LogSettings = Field(default_factory=LogSettings, description="Logs.")
    database: StoreSettings = Field(default_factory=StoreSettings, description="PostgreSQL or TimescaleDB.")
    bus: BusSettings = Field(default_factory=BusSettings, description="Between processes; unused in one process.")
    ingest: IngestSettings = Field(default_factory=IngestSettings, description="Venue connections.")
    engine: EngineSettings = Field(default_factory=EngineSettings, description="Rule evaluation and online models.")
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings, description="Order, commit, recovery.")
    blobs: BlobSettings = Field(default_factory=BlobSettings, description="Model artefacts, signed.")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="Prophet baselines.")
    delivery: DeliverySettings = Field(default_factory=DeliverySettings, description="Mail and other channels.")
    preview: PreviewSettings = Field(default_factory=PreviewSettings, description="Rules over the past.")
    gateway: GatewaySettings = Field(default_factory=GatewaySettings, description="REST, WebSocket feed, live page.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment beats the file (which comes in as arguments)."""
        _ = env_settings, dotenv_settings, file_secret_settings
        return _Environment(settings_cls), init_settings


class _Environment(EnvSettingsSource):
    """Variables, with `…_FILE` replaced by what the named file holds; lists may be written `a,b`."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in _variables().items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ARG002 - theirs
        """JSON, or else plain words: a list is split at its commas, the rest is for the field itself to refuse."""
        try:
            return json.loads(value)
        except ValueError:
            return [word.strip() for word in value.split(",") if word.strip()] if _is_list(field) else value


def _is_list(field: FieldInfo) -> bool:
    return typing.get_origin(field.annotation) in {tuple, list}


def load(path: Path | None = None) -> Settings:
    """Read the file (`path`, else `$PRICEWATCH_CONFIG`, else `pricewatch.toml` if there is one) and the environment.

    Raises `ConfigError` that names every wrong key, its value and the fix.
    """
    named = path or _named_by_environment()
    chosen = named or Path("pricewatch.toml")
    content: dict[str, Any] = {}
    if named is not None or chosen.is_file():
        content = _read(chosen)
    _refuse_unknown_variables()
    try:
        return Settings(**content)
    except ValidationError as error:
        raise ConfigError("\n".join(_problems(error, chosen))) from None  # its words may hold secrets


def _named_by_environment() -> Path | None:
    value = os.environ.get("PRICEWATCH_CONFIG")  # noqa: TID251 - this module is where settings come from
    return Path(value) if value else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _variables() -> dict[str, str]:
    """Our variables; `NAME_FILE` becomes `NAME` with the file's content, unless NAME itself is a setting."""
    found: dict[str, str] = {}
    names = {name.upper() for name in os.environ}  # noqa: TID251 - this module is where settings come from
    for name, value in os.environ.items():  # noqa: TID251 - as above
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in _NOT_SETTINGS:
            continue
        if upper.endswith("_FILE") and _field_at(upper) is None:
            if upper.removesuffix("_FILE") in names:
                raise ConfigError(f"{upper} and {upper.removesuffix('_FILE')} are both set: give one of them")
            try:
                found[upper.removesuffix("_FILE")] = Path(value).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{name}: cannot read the secret file {value!r}: {error}") from error
        else:
            found[upper] = value
    return found


def _field_at(variable: str) -> FieldInfo | None:
    """The setting a variable names, None when there is none."""
    return _field(variable.removeprefix(PREFIX).lower().split("__"))


def _field(path: Sequence[str]) -> FieldInfo | None:
    """The setting at a path; below a table with free keys (venues) the next part is any key."""
    model: type[BaseModel] | None = Settings
    field: FieldInfo | None = None
    free = False
    for part in path:
        if free:
            free = False
            continue
        field = None if model is None else model.model_fields.get(part)
        if field is None:
            return None
        model, free = _model_of(field), False
        if model is None:
            model = _value_model(field)
            free = model is not None or typing.get_origin(field.annotation) is dict
    return field


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _value_model(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a table's values, where the table's keys are free."""
    if typing.get_origin(field.annotation) is not dict:
        return None
    kind = typing.get_args(field.annotation)[1]
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _known(path: Sequence[str]) -> list[str]:
    """Every setting there is, with the free keys on `path` filled in."""
    known = [".".join(leaf) for leaf, _ in _leaves(Settings)] + list(Settings.model_fields)
    for end in range(1, len(path)):
        field = _field(path[:end])
        model = None if field is None else _value_model(field)
        if model is not None:
            known += [".".join((*path[: end + 1], *leaf)) for leaf, _ in _leaves(model)]
    return known


def _refuse_unknown_variables() -> None:
    for variable in _variables():
        if _field_at(variable) is None:
            known = [
                PREFIX + name.replace(".", "__").upper()
                for name in _known(variable.removeprefix(PREFIX).lower().split("__"))
            ]
            raise ConfigError(f"{variable}: there is no such setting{_nearest(variable, known)}")


def _leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in model.model_fields.items():
        inner = _model_of(field)
        if inner is None:
            yield (*path, name), field
        else:
            yield from _leaves(inner, (*path, name))


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def _problems(error: ValidationError, path: Path) -> Iterator[str]:
    for problem in error.errors():
        place = tuple(str(part) for part in problem["loc"])
        name = ".".join(place)
        if problem["type"] == "extra_forbidden":
            yield f"{name}: there is no such setting (in {path} or the environment){_nearest(name, _known(place))}"
        else:
            said = str(problem["ctx"]["error"]) if problem["type"] == "value_error" else problem["msg"]
            yield f"{name}: {said}{_given(place, problem.get('input'))}"


def _given(place: Sequence[str], value: object) -> str:
    """The wrong value, unless it is a secret or may hold one."""
    field = _field(place)
    if field is None or field.annotation is SecretStr or _model_of(field) or _value_model(field):
        return ""
    return f" (given: {json.dumps(value, default=str)[:80]})"


# -- as text ----------------------------------------------------------------------------------------------------------


def as_toml(settings: BaseModel, *, explained: bool = False) -> str:
    """The settings as TOML with secrets masked; `explained` puts each key's meaning above it."""
    return "\n".join(_tables(settings, (), explained=explained)).strip() + "\n"


def masked(settings: BaseModel) -> dict[str, Any]:
    """The settings as JSON-ready values with secrets masked."""
    content: dict[str, Any] = json.loads(settings.model_dump_json())
    return content


def _tables(model: BaseModel, path: tuple[str, ...], *, explained: bool) -> Iterator[str]:
    tables: list[tuple[str, BaseModel, str | None]] = []
    if path:
        yield f"\n[{'.'.join(path)}]"
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            tables.append((name, value, field.description))
        elif isinstance(value, dict) and value and all(isinstance(one, BaseModel) for one in value.values()):
            tables.extend((f"{name}.{key}", one, None) for key, one in value.items())
        else:
            if explained and field.description:
                yield f"# {field.description}"
            yield f"# {name} = (not set)" if value is None else f"{name} = {_toml(value)}"
    for name, inner, description in tables:
        if explained and description:
            yield f"\n# -- {description}"
        yield from _tables(inner, (*path, name), explained=explained)


def _toml(value: object) -> str:
    if isinstance(value, SecretStr):
        return '"**********"' if value.get_secret_value() else '""'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, (list, tuple, set, frozenset)):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False)
