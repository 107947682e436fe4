"""Settings of `groundling serve`: from flags, then the environment, then a file, then the defaults.

    GROUNDLING_PORT=9000 groundling serve --config serve.toml --candidates 8

The environment's names are `GROUNDLING_` plus the setting's name in capitals; a list is written as JSON. The file
is TOML with the same names at its top level. Boundary: settings say what is wanted; `serve.api` makes it so.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as SourceError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from serve.errors import SettingsError
from serve.home import home
from serve.masking import masked_parameters, masked_url

ASSEMBLED = "serve.api.loading:assembled"
"""The agent that is made of model, engine, adapter, corpus and role."""


def default_database() -> str:
    """SQLite in Groundling's folder: what a single machine needs."""
    return f"sqlite:///{home() / 'serve.db'}"


class Settings(BaseSettings):
    """Everything that `groundling serve` can be told."""

    model_config = SettingsConfigDict(env_prefix="GROUNDLING_", extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 takes connections from anywhere.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(default=1, ge=1, le=64, description="API processes. More than one needs a shared engine.")

    model: str | None = Field(default=None, description="Model: a folder, a Hugging Face id, or a name of the store.")
    engine: str = Field(default="transformers", description="`transformers`, `vllm`, or the URL of a vLLM service.")
    adapter: str | None = Field(
        default=None,
        description="Adapter by name, or `none`; None is `joint` for the default model in this process.",
    )
    corpus: str | None = Field(default=None, description="Corpus that the retrieval tool searches.")
    role: str = Field(default="assistant", description="Role of the agent where a request names none.")
    candidates: int | None = Field(
        default=None, ge=1, le=256, description="Candidates a turn; None is 16, and 4 on a CPU in this process."
    )
    max_tokens: int | None = Field(
        default=None,
        ge=8,
        le=4096,
        description="Longest candidate, in tokens; None is 96, and 48 on a CPU in this process.",
    )
    max_candidates: int = Field(
        default=16, ge=1, le=256, description="Most candidates that a request may ask for; `candidates` may be more."
    )
    max_output_tokens: int = Field(
        default=512,
        ge=8,
        description="Longest candidate that a request may ask for, in tokens; `max_tokens` may be more.",
    )
    agent: str = Field(
        default=ASSEMBLED,
        description="`module:function` that takes these settings and returns an Agent: for an agent of your own.",
    )

    database: str = Field(
        default_factory=default_database, description="`sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`."
    )
    retention_days: float | None = Field(default=None, gt=0, description="Turns older than this are deleted.")

    auth: bool = Field(default=True, description="Ask for an API key. Off is allowed on a loopback address only.")
    cors_origins: tuple[str, ...] = Field(
        default=(), description="Origins whose pages may call the API; none by default."
    )
    requests_per_minute: int | None = Field(default=None, ge=1, description="Limit of a key that has none of its own.")
    tokens_per_minute: int | None = Field(default=None, ge=1, description="Limit of a key that has none of its own.")
    max_body_bytes: int = Field(default=1_000_000, ge=1_000, description="Largest request body.")
    max_messages: int = Field(default=1_000, ge=1, description="Most messages of one request.")
    max_choices: int = Field(default=4, ge=1, le=16, description="Largest `n` of a chat completion: each is a turn.")

    max_running: int = Field(default=8, ge=1, description="Turns that the engine works on at once, in each process.")
    max_queue: int = Field(default=64, ge=0, description="Turns that may wait; past it a request is refused with 429.")
    deadline_seconds: float = Field(default=120.0, gt=0, description="A turn that takes longer is given up.")
    header_seconds: float = Field(default=10.0, gt=0, description="Time in which a request's head must arrive.")
    body_seconds: float = Field(default=20.0, gt=0, description="Time in which a request's body must arrive.")
    drain_seconds: int = Field(default=30, ge=1, description="On SIGTERM, time that running turns have to end.")
    max_connections: int = Field(default=1_000, ge=1, description="Open connections of one process; one more gets 503.")

    page: bool = Field(default=True, description="Serve the web page at /.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")
    log_format: Literal["json", "text"] | None = Field(
        default=None, description="Form of the log on standard error; None is text on a terminal, else json."
    )
    log_text: bool = Field(default=False, description="Write messages and replies into the log; off keeps them out.")
    traces: bool = Field(default=False, description="Send OpenTelemetry spans (OTEL_EXPORTER_OTLP_ENDPOINT).")
    trace_text: bool = Field(default=False, description="Put messages and replies into the spans.")

    @field_validator("database")
    @classmethod
    def _known_database(cls, value: str) -> str:
        try:
            url = make_url(value)
            known = url.get_backend_name() in ("sqlite", "postgresql") and url.database not in (None, "", ":memory:")
        except ArgumentError:
            known = False
        if not known:
            raise ValueError("use sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME")
        return value

    @model_validator(mode="after")
    def _coherent(self) -> Settings:
        if not self.auth and not is_loopback(self.host):
            raise ValueError(f"auth is off but host {self.host} is not a loopback address. Leave auth on")
        if "*" in self.cors_origins:
            raise ValueError("cors_origins must name origins, '*' is not taken")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))

    def warnings(self) -> list[str]:
        """What works but is likely not meant, each with its remedy."""
        embedded = not self.engine.startswith(("http://", "https://"))
        if self.workers > 1 and embedded and self.agent == ASSEMBLED:
            return [
                f"workers is {self.workers} and engine is {masked_url(self.engine)!r}: each process loads the model by "
                f"itself, {self.workers} copies in memory that share one machine's processors. Start one "
                "`vllm serve MODEL` and give its URL as the engine, or set workers to 1."
            ]
        return []

    def shown(self) -> dict[str, Any]:
        """The settings as they may be printed: credentials in the addresses of engine and database are masked."""
        shown = self.model_dump(mode="json")
        shown["database"] = masked_parameters(make_url(self.database).render_as_string(hide_password=True))
        shown["engine"] = masked_url(self.engine)
        return shown


def load_settings(config: Path | None = None, **flags: Any) -> Settings:
    """Settings from all sources; flags that are None are taken as not given.

    Raises SettingsError that names the setting, its value and where it came from.
    """
    if config is not None and not config.is_file():
        raise SettingsError(f"there is no settings file {config}. Give the path of a TOML file.")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=config)

    try:
        found = FromFile(**{name: value for name, value in flags.items() if value is not None})
        return Settings.model_construct(**{name: getattr(found, name) for name in Settings.model_fields})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "settings"
        problem = first["msg"].removeprefix("Value error, ")
        value = "" if name in ("settings", "database") else f" {first['input']!r}"
        raise SettingsError(f"setting {name}{value}: {problem}. See `groundling serve --help`.") from error
    except SourceError as error:
        raise SettingsError(f"{error}. A list is written as JSON, such as '[\"https://example.org\"]'.") from error
    except ValueError as error:  # TOML that does not parse
        raise SettingsError(f"settings file {config}: {error}. It must be TOML.") from error


def is_loopback(host: str) -> bool:
    """Whether a listening address is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
