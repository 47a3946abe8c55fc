"""Settings: one frozen object, built once by `load_settings`, validated whole, every problem reported by name.

Nothing here runs at import. A value is never echoed in an error, and secrets stay out of `repr`.
"""

import ipaddress
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import platformdirs
from dotenv.parser import parse_stream
from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from domain.errors import AttributionError

#: What the receiver reads again on SIGHUP.
WEBHOOK_SECRETS = ("stripe_webhook_secrets", "chargebee_webhook_users")
#: Each may be in a file of its own, which `<NAME>_FILE` names: a running process gets no other environment, but a file
#: may change.
_IN_FILES = (*WEBHOOK_SECRETS, "sealing_keys")
#: How alike a name must be to one of ours to be a slip of it and not another program's.
_NEARLY = 0.9

#: A shorter signing secret can be guessed; the real ones have 32 characters and more.
SECRET_LENGTH_MIN = 16

#: 32 bytes in URL-safe base64.
_SEALING_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")

_APPLICATION = "product-attribution"
_SYSTEM_DATA_DIR = Path("/var/lib") / _APPLICATION


class SettingsError(AttributionError):
    """Settings are missing or malformed. `problems` holds one line each, naming the variable and the way out."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        count = "1 setting is" if len(problems) == 1 else f"{len(problems)} settings are"
        super().__init__("\n".join((f"{count} wrong:", *(f"  {problem}" for problem in problems))))
        self.problems = problems


def default_data_dir() -> Path:
    """The platform's per-user data folder; as root a system one, which the database's own account can reach."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return _SYSTEM_DATA_DIR
    return platformdirs.user_data_path(_APPLICATION, appauthor=False)


def _comma_separated(value: object) -> object:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _users_and_passwords(value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs = [part.strip().partition(":") for part in value.split(",")]
    if not all(user and colon and password for user, colon, password in pairs):
        raise ValueError("an entry is not user:password with both parts filled in")
    return tuple((user, password) for user, _, password in pairs)


def _zone(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return ZoneInfo(value)
    except (LookupError, OSError, ValueError):
        raise ValueError("no time zone has this name") from None


def _http_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an http(s) address")
    if parts.scheme == "http" and not _is_this_machine(parts.hostname):
        raise ValueError("would send the API key unencrypted; plain http is for this machine only")
    return value.rstrip("/")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _chargebee_address(settings: Mapping[str, Any]) -> str | None:
    site = settings.get("chargebee_site")
    return f"https://{site}.chargebee.com" if site else None


def _networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in value.split(","))
    except ValueError:
        raise ValueError("an entry is not a network such as 10.1.0.0/16 or fd00:1::/64") from None


class Settings(BaseSettings):
    """All settings. A field's environment name is its own in upper case; its description says what to set."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False)

    #: None: the program starts a PostgreSQL of its own. Always `postgresql+psycopg://...`.
    database_url: Annotated[
        str | None, Field(repr=False, description="postgresql://user:password@host:5432/database, or unset")
    ] = None
    #: None: the program starts a Redis of its own.
    redis_url: Annotated[str | None, Field(repr=False, description="redis://host:6379/0, or unset")] = None
    data_dir: Annotated[Path, Field(default_factory=default_data_dir, description="a folder, or unset")]
    port: Annotated[int, Field(ge=1, le=65535, description="a port from 1 to 65535, such as 8000")] = 8000
    # Its default is validated too: PORT may have taken it.
    dashboard_port: Annotated[
        int, Field(ge=1, le=65535, validate_default=True, description="another port than PORT, such as 8001")
    ] = 8001
    #: Empty: there is no Stripe endpoint.
    stripe_webhook_secrets: Annotated[
        tuple[str, ...],
        BeforeValidator(_comma_separated),
        Field(repr=False, description="the endpoint's signing secret (whsec_...), several with commas, or unset"),
    ] = ()
    stripe_api_key: Annotated[
        str | None, Field(repr=False, description="a secret or restricted key (sk_... or rk_...), or unset")
    ] = None
    stripe_api_base: Annotated[str, Field(description="https://api.stripe.com, or unset")] = "https://api.stripe.com"
    stripe_requests_per_s: Annotated[
        int, Field(ge=1, le=1000, description="how often Stripe's API may be asked, from 1 to 1000 times a second")
    ] = 20
    #: Connected accounts whose events count like the program's own; those of any other are stored and ignored.
    stripe_accounts: Annotated[
        tuple[Annotated[str, Field(pattern=r"^acct_[A-Za-z0-9]+$")], ...],
        BeforeValidator(_comma_separated),
        Field(description="ids of connected accounts (acct_...), several with commas, or unset"),
    ] = ()
    #: (user, password) pairs; empty: there is no Chargebee endpoint.
    chargebee_webhook_users: Annotated[
        tuple[tuple[str, str], ...],
        BeforeValidator(_users_and_passwords),
        Field(repr=False, description="user:password, several with commas (no comma in a password), or unset"),
    ] = ()
    chargebee_site: Annotated[
        str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$", description="the site's name alone, such as acme-test")
    ] = None
    chargebee_api_key: Annotated[str | None, Field(repr=False, description="an API key of the site, or unset")] = None
    #: Without a site of its own: None.
    chargebee_api_base: Annotated[
        str | None, Field(default_factory=_chargebee_address, description="https://acme.chargebee.com, or unset")
    ]
    #: Chargebee allows a site 150 requests in a minute and more, by plan, and its other programs need some of them.
    chargebee_requests_per_s: Annotated[
        int, Field(ge=1, le=1000, description="how often Chargebee's API may be asked, from 1 to 1000 times a second")
    ] = 2
    #: Whether events that came by webhook are looked up before they count, where there is an API key to do it with.
    chargebee_confirm_events: Annotated[bool, Field(description="true or false")] = True
    program_timezone: Annotated[
        ZoneInfo, BeforeValidator(_zone), Field(description="an IANA time zone name, such as Europe/Berlin")
    ] = ZoneInfo("UTC")
    commission_basis: Annotated[Literal["net", "gross"], Field(description="net or gross")] = "net"
    #: Days a commission stays pending before it may be approved by itself; None: by hand only.
    hold_days: Annotated[int | None, Field(ge=0, le=3650, description="days from 0 to 3650, or unset")] = None
    attribution_lookback_days: Annotated[int, Field(ge=0, le=3650, description="days from 0 to 3650")] = 30
    match_customers_by_email: Annotated[bool, Field(description="true or false")] = False
    stripe_mode: Annotated[Literal["any", "live", "test"], Field(description="any, live or test")] = "any"
    #: Networks that no public address lies in, and webhooks to others may lead to all the same, over plain http too.
    webhook_targets_allowed: Annotated[
        tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...],
        BeforeValidator(_networks),
        Field(description="networks such as 10.1.0.0/16, several with commas, or unset"),
    ] = ()

    #: For the secrets of webhook endpoints: the first seals, any opens. Empty: they lie in the database as they are.
    sealing_keys: Annotated[
        tuple[str, ...],
        BeforeValidator(_comma_separated),
        Field(
            repr=False, description="keys as `attribution webhooks new-key` prints them, several with commas, or unset"
        ),
    ] = ()

    api_requests_per_minute: Annotated[int, Field(ge=1, description="a whole number of requests, such as 6000")] = 6000

    #: auto: text on a terminal, JSON otherwise. `attribution up` on a terminal sets it for what it starts.
    log_format: Annotated[Literal["auto", "text", "json"], Field(description="auto, text or json")] = "auto"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The environment reaches this object through `load_settings` alone, so that building one reads nothing.
        return (init_settings,)

    @field_validator("database_url")
    @classmethod
    def _postgresql_only(cls, value: str | None) -> str | None:
        if value is None:
            return None
        dialect, separator, rest = value.partition("://")
        if not separator:
            raise ValueError("is not an address")
        if dialect not in ("postgresql", "postgres", "postgresql+psycopg"):
            raise ValueError(f"names the dialect {_speakable(dialect)}; only PostgreSQL 15 or newer is supported")
        try:
            urlsplit(f"postgresql://{rest}").port  # noqa: B018 - reading it is the check
        except ValueError:
            raise ValueError("has a host or port that cannot be read; escape special characters as %xx") from None
        return f"postgresql+psycopg://{rest}"

    @field_validator("redis_url")
    @classmethod
    def _redis_only(cls, value: str | None) -> str | None:
        if value is not None and value.partition("://")[0] not in ("redis", "rediss", "unix"):
            raise ValueError("does not start with redis://, rediss:// or unix://")
        return value

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("dashboard_port")
    @classmethod
    def _ports_differ(cls, value: int, info: ValidationInfo) -> int:
        if value == info.data.get("port"):
            raise ValueError("is the same as PORT")
        return value

    @field_validator("stripe_webhook_secrets")
    @classmethod
    def _strong_secrets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for place, secret in enumerate(value, start=1):
            if not secret:
                raise ValueError(f"secret {place} of {len(value)} is empty; an empty secret would verify anything")
            if secret.startswith(("sk_", "rk_", "pk_")):
                raise ValueError(f"secret {place} of {len(value)} is an API key, not a signing secret")
            if len(secret) < SECRET_LENGTH_MIN:
                raise ValueError(f"secret {place} of {len(value)} is shorter than {SECRET_LENGTH_MIN} characters")
        return value

    @field_validator("sealing_keys")
    @classmethod
    def _whole_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for place, key in enumerate(value, start=1):
            if not _SEALING_KEY.fullmatch(key):
                raise ValueError(f"key {place} of {len(value)} is not 32 bytes in URL-safe base64")
        return value

    @field_validator("stripe_api_key")
    @classmethod
    def _secret_key(cls, value: str | None) -> str | None:
        if value is not None and value.startswith(("whsec_", "pk_")):
            raise ValueError("is a signing secret or a publishable key, not a secret key")
        return value

    @field_validator("stripe_api_base", "chargebee_api_base")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return None if value is None else _http_address(value)


def load_settings(environment: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")) -> Settings:
    """Settings from `environment` (default: the process's own), and below it from `env_file` where that exists.

    An empty or blank value counts as unset. Raises `SettingsError` listing every problem at once.
    """
    from_file, problems = _read_env_file(env_file)
    merged = {**from_file, **(os.environ if environment is None else environment)}
    problems += tuple(filter(None, [_read_secret_file(merged, field.upper()) for field in _IN_FILES]))
    names = {field: merged.get(field.upper(), "").strip() for field in Settings.model_fields}
    try:
        settings = Settings(**{field: value for field, value in names.items() if value})  # type: ignore[arg-type]
    except ValidationError as error:
        # A default that was not worked out because something else is wrong is no problem of its own.
        errors = [each for each in error.errors(include_url=False) if each["type"] != "default_factory_not_called"]
        raise SettingsError((*problems, *map(_problem, errors))) from None
    if problems:
        raise SettingsError(problems)
    return settings


def fixed_by_environment() -> tuple[str, ...]:
    """Those of WEBHOOK_SECRETS, by name, that this process was started with: no file says otherwise while it runs."""
    return tuple(field.upper() for field in WEBHOOK_SECRETS if field.upper() in os.environ)


def _read_secret_file(merged: dict[str, str], name: str) -> str | None:
    """Put what the file named by `<name>_FILE` holds into `merged`; the problem with it, if there is one."""
    path = merged.get(f"{name}_FILE", "").strip()
    if not path:
        return None
    if merged.get(name, "").strip():
        return f"{name}: is set, and {name}_FILE too; unset one of them"
    try:
        merged[name] = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        return f"{name}_FILE: cannot be read ({type(error).__name__}); make it name a readable UTF-8 file, or unset it"
    return None if merged[name] else f"{name}_FILE: names a file that is empty; put {name}'s value into it, or unset it"


def _read_env_file(path: Path | None) -> tuple[dict[str, str], tuple[str, ...]]:
    if path is None or not path.exists():
        return {}, ()
    try:
        with path.open(encoding="utf-8") as stream:
            bindings = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        return {}, (f"{path}: cannot be read ({type(error).__name__}); make it a readable UTF-8 file or remove it",)
    problems = tuple(
        f"{path} line {binding.original.line}: cannot be understood; write NAME=value"
        for binding in bindings
        if binding.error
    )
    read = {binding.key: binding.value for binding in bindings if binding.key and binding.value}
    return read, (*problems, *_misspelt(path, read))


def _misspelt(path: Path, names: Iterable[str]) -> Iterator[str]:
    """Names that are nearly a setting's: what was meant would not hold, and nothing would say so."""
    ours = [field.upper() for field in Settings.model_fields]
    known = {*ours, *(f"{field.upper()}_FILE" for field in _IN_FILES)}
    for name in names:
        if name not in known and (meant := get_close_matches(name.upper(), ours, 1, _NEARLY)):
            yield f"{path}: {name} is no setting; write {meant[0]}"


def _problem(error: ErrorDetails) -> str:
    """One line for one problem. Uses the message, never the input: that may be a secret."""
    field = str(error["loc"][0])
    wrong = re.sub(r"^(Value error, |Input |String )", "", error["msg"])
    return f"{field.upper()}: {wrong}; set it to {Settings.model_fields[field].description}"


def _speakable(dialect: str) -> str:
    """A dialect's name if it can be one; anything else might be part of a password."""
    return dialect if re.fullmatch(r"[a-z][a-z0-9_+]{0,30}", dialect) else "of another database"
