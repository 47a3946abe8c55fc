"""Reading a Stripe event's envelope: one meaning or none."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.providers.exact import MalformedEvent
from infra.providers.stripe.envelope import Envelope, read_envelope
from tests.benchmarks.events import bodies
from tests.webhooks.receiver_process import event_body

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_the_fields_are_taken_over() -> None:
    """Id, type, account, mode, version and time come out as they went in."""
    assert read_envelope(event_body("evt_1", account="acct_1", livemode=True)) == Envelope(
        event_key="evt_1",
        event_type="invoice.paid",
        account="acct_1",
        livemode=True,
        api_version="2026-03-25.dahlia",
        occurred_at=datetime.fromtimestamp(1_776_000_000, UTC),
        thin=False,
    )


def test_recorded_events_are_all_readable(recorded_payloads_dir: Path) -> None:
    """Every recorded Stripe event has an envelope."""
    recorded = [path for path in (recorded_payloads_dir / "stripe").glob("*.json") if path.stem != "manifest"]
    assert len(recorded) > 50
    for path in recorded:
        body = path.read_bytes()
        assert read_envelope(body).event_key == json.loads(body)["id"], path.name


def test_made_up_events_are_readable_however_they_are_written() -> None:
    """Indented, compact or escaped, the same event has the same envelope."""
    for body in bodies(20, seed=5):
        event = json.loads(body)
        compact = json.dumps(event, separators=(",", ":")).encode()
        escaped = json.dumps(event, separators=(", ", " : ")).replace("invoice", "\\u0069nvoice").encode()
        assert read_envelope(body) == read_envelope(compact) == read_envelope(escaped)


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        (1_000_000_000, datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)),
        ("2026-04-01T12:00:00Z", datetime(2026, 4, 1, 12, tzinfo=UTC)),
        ("2026-04-01T12:00:00.123456+02:00", datetime(2026, 4, 1, 10, 0, 0, 123456, tzinfo=UTC)),
        (999_999_999, None),
        (4_102_444_801, None),
        (-1, None),
        (10**400, None),
        (1.5, None),
        (True, None),
        (None, None),
        ("1776000000", None),
        ("2026-04-01", None),
        ("2026-04-01T12:00:00", None),
        ("2026-13-01T12:00:00Z", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("0001-01-01T00:00:00+23:59", None),
    ],
)
def test_times(created: object, expected: datetime | None) -> None:
    """A time is Unix seconds or RFC 3339 with an offset, in this century, and comes out in UTC."""
    body = event_body("evt_1", created=created)
    if expected is None:
        with pytest.raises(MalformedEvent):
            read_envelope(body)
    else:
        occurred_at = read_envelope(body).occurred_at
        assert (occurred_at, occurred_at.utcoffset()) == (expected, timedelta(0))


@pytest.mark.parametrize("field", ["id", "type", "account", "api_version"])
@pytest.mark.parametrize("value", ["a" * 256, "a\x00b", "a\nb", "a\u2028b", "a\u202eb", 7, ["a"], {"a": 1}])
def test_text_fields_hold_printable_text(field: str, value: object) -> None:
    """What goes into text columns and log lines is text, short enough, and free of control characters."""
    with pytest.raises(MalformedEvent):
        read_envelope(event_body("evt_1", **{field: value}))


@pytest.mark.parametrize("field", ["id", "type", "api_version"])
def test_empty_text_is_no_text(field: str) -> None:
    """An empty id, type or version is refused."""
    with pytest.raises(MalformedEvent):
        read_envelope(event_body("evt_1", **{field: ""}))


@pytest.mark.parametrize("missing", ["id", "type", "created"])
def test_what_every_event_has_must_be_there(missing: str) -> None:
    """Without id, type or time it is no event."""
    event = json.loads(event_body("evt_1"))
    del event[missing]
    with pytest.raises(MalformedEvent):
        read_envelope(json.dumps(event).encode())


def test_other_objects_are_no_events() -> None:
    """A signed body that is something else than an event is refused."""
    with pytest.raises(MalformedEvent):
        read_envelope(event_body("evt_1", object="charge"))


@pytest.mark.parametrize(
    "place", ['"id": "evt_1"', '"data": {"object": {"a": 1, "a": 2}}', '"x": [{"a:b": 1, "a\\u003ab": 2}]']
)
def test_a_key_that_is_there_twice_is_refused_at_any_depth(place: str) -> None:
    """Two equal keys in one object, even when one of them is escaped, have no one meaning."""
    body = event_body("evt_0").replace(b'"object": "event"', b'"object": "event", "data2": {}, ' + place.encode())
    with pytest.raises(MalformedEvent):
        read_envelope(body)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=5))
@example({"a:b": ":", "\\u003a": '":"', "n": 1e300})
@example({"id\\": "\\\\u003a"})
def test_no_event_is_taken_for_ambiguous(extra: dict[str, object]) -> None:
    """Whatever keys and values an event holds beside the known ones, written in any way, it is readable."""
    known = json.loads(event_body("evt_1"))
    for ensure_ascii in (True, False):
        written = json.dumps({**known, "extra": extra}, ensure_ascii=ensure_ascii)
        try:
            body = written.encode()
        except UnicodeEncodeError:
            continue
        if "\\ud" not in written:
            assert read_envelope(body).event_key == "evt_1"


@given(st.binary(max_size=400))
@example(b"\xef\xbb\xbf{}")
@example(b'{"a": 1e400}')
@example(b'{"a": NaN}')
@example(b'{"a": ' + b"9" * 5000 + b"}")
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    """Any bytes at all are either an event or malformed."""
    with pytest.raises(MalformedEvent):
        read_envelope(body)


@given(st.integers(0, 600), st.binary(min_size=1, max_size=3))
def test_damaged_events_raise_nothing_else(at: int, damage: bytes) -> None:
    """A real event with some bytes overwritten is either still an event or malformed."""
    body = event_body("evt_1")
    damaged = body[:at] + damage + body[at + len(damage) :]
    try:
        assert read_envelope(damaged).occurred_at.tzinfo is not None
    except MalformedEvent as error:
        assert str(error)  # noqa: PT017 - either outcome is right


def test_aware_times_of_other_zones_are_moved_to_utc() -> None:
    """An offset changes how a moment is written, not the moment."""
    there = datetime(2026, 4, 1, 12, tzinfo=timezone(timedelta(hours=-7)))
    assert read_envelope(event_body("evt_1", created=there.isoformat())).occurred_at == there
