"""Settings: what is accepted, what is refused, and that no secret ever leaves through an error or a repr."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.settings import Settings, SettingsError, load_settings

REPOSITORY = Path(__file__).resolve().parents[2]
SECRET = "whsec_0123456789abcdef0123456789abcdef"


def loaded(**environment: str) -> Settings:
    return load_settings(environment, env_file=None)


def problems_of(**environment: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        loaded(**environment)
    return caught.value.problems


def test_an_empty_environment_is_enough() -> None:
    """With nothing set, everything is embedded, in UTC, and no provider has an endpoint."""
    settings = loaded()
    assert (settings.database_url, settings.redis_url) == (None, None)
    assert (settings.port, settings.dashboard_port) == (8000, 8001)
    assert (settings.stripe_webhook_secrets, settings.chargebee_webhook_users) == ((), ())
    assert settings.program_timezone == ZoneInfo("UTC")
    assert (settings.commission_basis, settings.hold_days, settings.attribution_lookback_days) == ("net", None, 30)
    assert (settings.match_customers_by_email, settings.stripe_mode) == (False, "any")
    assert settings.data_dir.is_absolute()
    assert settings.data_dir.name == "product-attribution"


def test_blank_counts_as_unset() -> None:
    """A variable that is empty or only spaces does the same as one that is not there."""
    assert loaded(PORT="", HOLD_DAYS="  ", STRIPE_WEBHOOK_SECRETS="", DATABASE_URL=" ") == loaded()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_becomes_psycopg(scheme: str) -> None:
    """All accepted schemes end as the one driver this program has."""
    settings = loaded(DATABASE_URL=f"{scheme}://user:p%40ss@db.internal:5433/pa?sslmode=require")
    assert settings.database_url == "postgresql+psycopg://user:p%40ss@db.internal:5433/pa?sslmode=require"


@pytest.mark.parametrize("dialect", ["sqlite", "mysql", "mysql+pymysql", "postgresql+asyncpg"])
def test_other_dialects_are_refused_by_name(dialect: str) -> None:
    """An address of another database is refused, and the message says which dialect it named."""
    (problem,) = problems_of(DATABASE_URL=f"{dialect}://user:hunter2hunter2@host/pa")
    assert problem.startswith(f"DATABASE_URL: names the dialect {dialect};")
    assert "postgresql://" in problem


def test_secrets_are_split_and_stripped() -> None:
    """Two secrets with a comma between them are both in force while one is being rolled."""
    assert loaded(STRIPE_WEBHOOK_SECRETS=f"{SECRET}, {SECRET[::-1]}").stripe_webhook_secrets == (SECRET, SECRET[::-1])


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (f"{SECRET},", "secret 2 of 2 is empty"),
        (f",{SECRET}", "secret 1 of 2 is empty"),
        ("whsec_short", "secret 1 of 1 is shorter than 16 characters"),
        ("sk_live_0123456789abcdef", "secret 1 of 1 is an API key"),
    ],
)
def test_weak_secrets_are_refused(value: str, complaint: str) -> None:
    """An empty, short or mistaken signing secret stops the program: it would verify what it must not."""
    (problem,) = problems_of(STRIPE_WEBHOOK_SECRETS=value)
    assert problem.startswith(f"STRIPE_WEBHOOK_SECRETS: {complaint}")


def test_chargebee_passwords_may_hold_colons() -> None:
    """Only the first colon separates the user from the password."""
    users = loaded(CHARGEBEE_WEBHOOK_USERS="hook:a:b:c,next:second").chargebee_webhook_users
    assert users == (("hook", "a:b:c"), ("next", "second"))


@pytest.mark.parametrize("value", ["hook", "hook:", ":password", "hook:password,", "hook:password,next"])
def test_half_a_chargebee_user_is_refused(value: str) -> None:
    """A user without a password, or the reverse, would let anybody in."""
    (problem,) = problems_of(CHARGEBEE_WEBHOOK_USERS=value)
    assert problem.startswith("CHARGEBEE_WEBHOOK_USERS: an entry is not user:password")


def test_the_chargebee_address_follows_from_the_site() -> None:
    """The site's name is enough; an address of its own wins; neither gives none."""
    assert loaded(CHARGEBEE_SITE="acme-test").chargebee_api_base == "https://acme-test.chargebee.com"
    given_both = loaded(CHARGEBEE_SITE="acme", CHARGEBEE_API_BASE="http://127.0.0.1:9/")
    assert given_both.chargebee_api_base == "http://127.0.0.1:9"
    assert loaded().chargebee_api_base is None


@pytest.mark.parametrize("host", ["localhost:9", "127.0.0.1", "[::1]:9"])
def test_plain_http_is_for_this_machine(host: str) -> None:
    """An API key never travels unencrypted, except to a stand-in on the same machine."""
    assert loaded(STRIPE_API_BASE=f"http://{host}").stripe_api_base == f"http://{host}"
    (problem,) = problems_of(STRIPE_API_BASE="http://stripe.internal")
    assert "unencrypted" in problem


def test_all_problems_are_reported_at_once() -> None:
    """Every wrong variable gets one line with its name and what to set, and none that is fine is mentioned."""
    problems = problems_of(
        PORT="eight thousand",
        HOLD_DAYS="-1",
        PROGRAM_TIMEZONE="Mars/Olympus",
        COMMISSION_BASIS="nett",
        STRIPE_MODE="prod",
        MATCH_CUSTOMERS_BY_EMAIL="perhaps",
        REDIS_URL="http://cache",
        CHARGEBEE_SITE="https://acme.chargebee.com",
        ATTRIBUTION_LOOKBACK_DAYS="30",
    )
    assert sorted(problem.split(":")[0] for problem in problems) == [
        "CHARGEBEE_SITE",
        "COMMISSION_BASIS",
        "HOLD_DAYS",
        "MATCH_CUSTOMERS_BY_EMAIL",
        "PORT",
        "PROGRAM_TIMEZONE",
        "REDIS_URL",
        "STRIPE_MODE",
    ]
    assert all("; set it to " in problem for problem in problems)


@pytest.mark.parametrize("environment", [{"PORT": "9000", "DASHBOARD_PORT": "9000"}, {"PORT": "8001"}])
def test_two_processes_cannot_share_a_port(environment: dict[str, str]) -> None:
    """The dashboard on the receiver's port, set or by default, is reported before either starts."""
    (problem,) = problems_of(**environment)
    assert problem.startswith("DASHBOARD_PORT: is the same as PORT")


SECRET_NAMES = [
    "DATABASE_URL",
    "REDIS_URL",
    "STRIPE_WEBHOOK_SECRETS",
    "STRIPE_API_KEY",
    "CHARGEBEE_WEBHOOK_USERS",
    "CHARGEBEE_API_KEY",
]


@given(name=st.sampled_from(SECRET_NAMES), start=st.sampled_from(["", "whsec_", "sk_", "x://u:", "postgres://u:"]))
def test_no_secret_leaves_through_an_error_or_repr(name: str, start: str) -> None:
    """Whether a value is accepted or refused, what is secret in it is not in the text that results."""
    hidden = "hunter2-correct-horse-battery"
    try:
        text = repr(loaded(**{name: f"{start}{hidden}@host:5432/pa,"}))
    except SettingsError as error:
        text = f"{error} {error!r} {error.__cause__} {error.problems}"
    assert hidden not in text


def test_the_env_file_lies_below_the_environment(tmp_path: Path) -> None:
    """What `.env` says holds unless the environment says otherwise; `$` and quotes in it stay what they are."""
    env_file = tmp_path / ".env"
    env_file.write_text("PORT=9100\nDASHBOARD_PORT=9101\nexport STRIPE_API_KEY='sk_test_$HOME'\n", encoding="utf-8")
    settings = load_settings({"PORT": "9200"}, env_file)
    assert (settings.port, settings.dashboard_port) == (9200, 9101)
    assert settings.stripe_api_key == "sk_test_$HOME"


def test_a_broken_env_file_is_reported_by_line(tmp_path: Path) -> None:
    """A line that cannot be understood is named, without its text, beside every other problem."""
    env_file = tmp_path / ".env"
    env_file.write_text("PORT=9100\nSTRIPE_API_KEY = 'sk_test_never_closed\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings({"HOLD_DAYS": "x"}, env_file)
    assert "line 2: cannot be understood" in str(caught.value)
    assert "HOLD_DAYS: " in str(caught.value)
    assert "never_closed" not in str(caught.value)


def test_a_misspelt_name_in_the_env_file_is_reported(tmp_path: Path) -> None:
    """What is nearly a setting is named with what was meant, all at once; names of other programs are theirs."""
    env_file = tmp_path / ".env"
    env_file.write_text(
        f"COMPOSE_PROJECT_NAME=shop\nSTRIPE_WEBHOOK_SECRET={SECRET}\nSEALING_KEYS_FILE=\nHOLD_DAY=30\n",
        encoding="utf-8",
    )
    with pytest.raises(SettingsError) as caught:
        load_settings({}, env_file)
    assert caught.value.problems == (
        f"{env_file}: STRIPE_WEBHOOK_SECRET is no setting; write STRIPE_WEBHOOK_SECRETS",
        f"{env_file}: HOLD_DAY is no setting; write HOLD_DAYS",
    )


def test_a_missing_env_file_is_no_problem(tmp_path: Path) -> None:
    """Without `.env` the environment alone decides."""
    assert load_settings({"PORT": "9300"}, tmp_path / ".env").port == 9300


def test_a_webhook_secret_may_be_in_a_file_of_its_own(tmp_path: Path) -> None:
    """`<NAME>_FILE` names a file that holds the value: as containers mount secrets, and as a reload can read it."""
    (tmp_path / "secrets").write_text(f"{SECRET},\n{SECRET}2\n")
    (tmp_path / "users").write_text("billing:a-long-password")
    settings = loaded(
        STRIPE_WEBHOOK_SECRETS_FILE=str(tmp_path / "secrets"), CHARGEBEE_WEBHOOK_USERS_FILE=str(tmp_path / "users")
    )
    assert settings.stripe_webhook_secrets == (SECRET, f"{SECRET}2")
    assert settings.chargebee_webhook_users == (("billing", "a-long-password"),)


def test_a_bad_secret_file_is_named(tmp_path: Path) -> None:
    """A file that is missing, empty or beside the setting itself is a problem of that name; no content is shown."""
    file = tmp_path / "secrets"
    file.write_text("  \n")
    assert "names a file that is empty" in problems_of(STRIPE_WEBHOOK_SECRETS_FILE=str(file))[0]
    file.write_text("short_secret")
    (problem,) = problems_of(STRIPE_WEBHOOK_SECRETS_FILE=str(file), STRIPE_WEBHOOK_SECRETS=SECRET)
    assert problem == "STRIPE_WEBHOOK_SECRETS: is set, and STRIPE_WEBHOOK_SECRETS_FILE too; unset one of them"
    (problem,) = problems_of(STRIPE_WEBHOOK_SECRETS_FILE=str(file))
    assert problem.startswith("STRIPE_WEBHOOK_SECRETS: secret 1 of 1 is shorter")
    (problem,) = problems_of(CHARGEBEE_WEBHOOK_USERS_FILE=str(tmp_path / "nowhere"))
    assert problem.startswith("CHARGEBEE_WEBHOOK_USERS_FILE: cannot be read (FileNotFoundError)")


def test_the_example_names_every_setting_and_changes_none() -> None:
    """`.env.example` holds each variable once, and copying it as it is gives the defaults."""
    example = REPOSITORY / ".env.example"
    named = [line.partition("=")[0] for line in example.read_text(encoding="utf-8").splitlines() if line[:1].isalpha()]
    assert sorted(named) == sorted(field.upper() for field in Settings.model_fields)
    assert load_settings({}, example) == loaded()


def test_settings_do_not_change() -> None:
    """Nobody can alter a setting once it is loaded."""
    with pytest.raises(ValueError, match="frozen"):
        setattr(loaded(), "port", 1)  # noqa: B010 - mypy knows it already
