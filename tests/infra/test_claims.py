"""What is read of all that was said of whose a customer is decides as all of it would."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import Connection, Engine

from domain.customers import Attribution, Claim, attributions
from infra import tables
from infra.ledger.claims import load_claims
from infra.ledger.shapes import claim_of
from infra.rows import fetch, insert_rows

START = datetime(2026, 1, 1, tzinfo=UTC)
LOOKBACK = timedelta(days=3)
NAMES = ("stripe:customer:cus_1", "stripe:customer:cus_2")


def drawn(random: Random, subjects: Sequence[str]) -> Claim:
    """Few partners and few moments, so that claims repeat, tie and come between others; some say from when."""
    at = START + timedelta(days=random.randrange(6))
    since = START + timedelta(days=random.randrange(-3, 8)) if random.random() < 0.15 else None
    member = random.choice([None, None, "m_1"])
    subject = random.choice(subjects)
    cause = f"stripe:evt_{random.randrange(12)}_{subject[-1]}"  # an event speaks of one customer
    return Claim(subject, random.choice("ab"), member, at, cause, since)


def written(connection: Connection, claims: Sequence[Claim]) -> None:
    """As the ledger writes them: what says so again with other words replaces itself."""
    last = {(claim.subject, claim.cause): claim for claim in claims}
    insert_rows(connection, tables.claims, [asdict(claim) for claim in last.values()], replace=True)


def history(claims: Sequence[Claim]) -> tuple[Attribution, ...]:
    """Whose the customer is, of all these together."""
    return attributions(claims, LOOKBACK)


def all_of(connection: Connection, subjects: Sequence[str]) -> list[Claim]:
    """Everything that was ever said."""
    rows = fetch(connection, "select * from claims where subject = any(:subjects)", subjects=list(subjects))
    return [claim_of(row) for row in rows]


def read(connection: Connection, subjects: Sequence[str], told: Sequence[Claim] = ()) -> list[Claim]:
    """What is read of it."""
    said = load_claims(connection, subjects, [subjects], told)
    return [claim for claims in said.values() for claim in claims]


def told_anew(known: Sequence[Claim], news: Sequence[Claim]) -> list[Claim]:
    """What is known once news have replaced what they say otherwise."""
    now = {(claim.subject, claim.cause): claim for claim in (*known, *news)}
    return list(now.values())


@pytest.mark.parametrize("names", [NAMES[:1], NAMES])
def test_what_is_read_decides_as_everything_does(engine: Engine, names: tuple[str, ...]) -> None:
    """Before a portion is recorded, with it, and afterwards; whatever the order, under one name and under two."""
    for seed in range(120):
        random = Random(seed)
        with engine.connect() as connection:
            for _ in range(8):
                news = [drawn(random, names) for _ in range(random.randint(1, 3))]
                news = list({(claim.subject, claim.cause): claim for claim in news}.values())
                everything, known = all_of(connection, names), read(connection, names, news)
                assert history(known) == history(everything), seed
                assert history(told_anew(known, news)) == history(told_anew(everything, news)), seed
                written(connection, news)
                assert history(read(connection, names)) == history(all_of(connection, names)), seed


def test_a_customer_that_was_said_to_be_the_same_partner_s_a_hundred_times_is_read_once(engine: Engine) -> None:
    """In whatever order the hundred are told; a late word between two of them brings back the one after it."""
    again = [Claim(NAMES[0], "a", None, START + timedelta(days=day), f"stripe:evt_{day:03d}") for day in range(100)]
    Random(1).shuffle(again)
    with engine.connect() as connection:
        for claim in again:
            written(connection, [claim])
        assert [claim.learnt_at for claim in read(connection, NAMES[:1])] == [START]
        late = Claim(NAMES[0], "b", None, START + timedelta(days=49, hours=1), "stripe:evt_late")
        written(connection, [late])
        days = sorted((claim.partner_key, claim.learnt_at - START) for claim in read(connection, NAMES[:1]))
    assert days == [("a", timedelta(0)), ("a", timedelta(days=50)), ("b", timedelta(days=49, hours=1))]


def test_what_is_taken_away_leaves_what_came_after_it(engine: Engine) -> None:
    """The second of three that said the same is the first, once the first is gone."""
    with engine.connect() as connection:
        written(connection, [Claim(NAMES[0], "a", None, START + timedelta(days=day), f"e{day}") for day in range(3)])
        fetch(connection, "delete from claims where cause = 'e0' returning cause")
        assert [claim.cause for claim in read(connection, NAMES[:1])] == ["e1"]
