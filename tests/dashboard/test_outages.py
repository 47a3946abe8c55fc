"""What the API does when Redis or the database is away, and when somebody asks too often. Processes of their own."""

from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from dashboard.rate_limits import REFUSED_PER_MINUTE, RateLimits
from infra.access import create_api_key
from infra.unit_of_work import unit_of_work_on
from tests.dashboard.running import Api, running
from tests.webhooks.receiver_process import free_port

PER_MINUTE = 5


@pytest.fixture
def key(engine: Engine) -> tuple[str, str]:
    """An API key of this test's own database."""
    with unit_of_work_on(engine) as connection:
        made = create_api_key(connection, None)
    return made.public_key, made.secret_key


def test_who_asks_too_often_is_told_when_to_come_again(
    database_url: str, redis_url: str, key: tuple[str, str], engine: Engine, tmp_path: Path
) -> None:
    """Beyond the limit a key gets 429 with Retry-After, while another key is still let in; health is not counted."""
    with unit_of_work_on(engine) as connection:
        other = create_api_key(connection, None)
    settings = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "API_REQUESTS_PER_MINUTE": str(PER_MINUTE)}
    with (
        running(tmp_path, **settings) as dashboard,
        Api(dashboard.url, key) as api,
        Api(dashboard.url, (other.public_key, other.secret_key)) as beside,
    ):
        answers = [api.client.get("/product_book") for _ in range(PER_MINUTE + 2)]
        assert [answer.status_code for answer in answers] == [200] * PER_MINUTE + [429] * 2
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert answers[-1].json()["status"] == 429
        assert beside.get("/product_book")["items"] == []
        assert httpx.get(f"{dashboard.url}/readyz").text == "ready\n"


def test_strangers_are_slowed_down_without_locking_out_who_has_a_key(
    database_url: str, redis_url: str, key: tuple[str, str], tmp_path: Path
) -> None:
    """After too many wrong credentials from one address strangers get 429 there, whatever other address they say is
    theirs, and a working key still opens.
    """
    with (
        running(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url) as dashboard,
        Api(dashboard.url, ("pub_nobody", "wrong")) as stranger,
        Api(dashboard.url, key) as api,
    ):
        statuses = [stranger.client.get("/product_book").status_code for _ in range(REFUSED_PER_MINUTE + 1)]
        assert statuses == [401] * REFUSED_PER_MINUTE + [429]
        for said in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            assert stranger.client.get("/product_book", headers={said: "203.0.113.7"}).status_code == 429
        assert api.get("/product_book")["items"] == []


def test_without_redis_nobody_is_turned_away(database_url: str, key: tuple[str, str], tmp_path: Path) -> None:
    """Requests are answered, uncounted, and the log says once in a while that limits are suspended."""
    settings = {"DATABASE_URL": database_url, "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    with (
        running(tmp_path, **settings, API_REQUESTS_PER_MINUTE="1") as dashboard,
        Api(dashboard.url, key) as api,
    ):
        assert [api.client.get("/product_book").status_code for _ in range(4)] == [200] * 4
        assert dashboard.log().count("rate_limits.suspended") == 1


def test_redis_is_asked_again_after_a_while(redis_url: str) -> None:
    """Left alone for five seconds after a failure, then counted with again."""
    now_s = [0.0]
    away = RateLimits(f"redis://127.0.0.1:{free_port()}/0", 1, clock=lambda: now_s[0])
    assert away.wait_of_caller("key:a") is None
    here = RateLimits(redis_url, 1, clock=lambda: now_s[0])
    assert here.wait_of_caller("key:a") is None
    assert here.wait_of_caller("key:a")
    here._ask_again_s = 5.0
    assert here.wait_of_caller("key:a") is None
    now_s[0] = 5.0
    assert here.wait_of_caller("key:a")
    away.close()
    here.close()


def test_without_the_database_the_answer_is_to_try_later(redis_url: str, tmp_path: Path) -> None:
    """503 with Retry-After and no detail; it lives, and says that it is not ready."""
    url = f"postgresql://nobody:pass-word@127.0.0.1:{free_port()}/none"
    with (
        running(tmp_path, DATABASE_URL=url, REDIS_URL=redis_url) as dashboard,
        Api(dashboard.url, ("pub_a", "sec_b")) as api,
    ):
        answer = api.client.get("/product_book")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["message"] == "the database is busy or away; try again in a moment"
        assert httpx.get(f"{dashboard.url}/readyz").status_code == 503
        assert httpx.get(f"{dashboard.url}/healthz").status_code == 200
        assert "pass-word" not in dashboard.log()
