"""What a date condition allows: `{"current": "month"}`, `{"rolling": {"days": 30}}`, `{"after": "2026-03-01"}` ...

A bound is a calendar day in the program's time zone (`"2026-03-01"`) or a moment (epoch milliseconds). `after` and
`before` leave the day or moment named out; `between` takes both of its own in.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import assert_never

from domain.periods import Period, Span, Unit, current_period, previous_period, rolling_period, start_of_day
from domain.problems import Problems, listed, quoted

#: A calendar day, or a moment (datetime, which Python calls a date too: ask for datetime first).
Bound = date | datetime


@dataclass(frozen=True, slots=True)
class Current:
    """The calendar period that holds the moment judged."""

    unit: Unit


@dataclass(frozen=True, slots=True)
class Previous:
    """The whole calendar period before that."""

    unit: Unit


@dataclass(frozen=True, slots=True)
class Rolling:
    """The span that ends with the moment judged."""

    span: Span


@dataclass(frozen=True, slots=True)
class After:
    """Later than the bound."""

    bound: Bound


@dataclass(frozen=True, slots=True)
class Before:
    """Earlier than the bound."""

    bound: Bound


@dataclass(frozen=True, slots=True)
class Between:
    """From the first bound to the last, both included."""

    first: Bound
    last: Bound


Window = Current | Previous | Rolling | After | Before | Between

_FORMS = ("current", "previous", "rolling", "after", "before", "between")
#: Months and days of one of each unit a span may be written in.
_SPAN_UNITS: Mapping[str, tuple[int, int]] = {"days": (0, 1), "weeks": (0, 7), "months": (1, 0), "years": (12, 0)}
_SPAN_DAYS_MAX = 36_500
MOMENT_MS_MAX = 32_503_680_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def period_of(window: Window, as_of: datetime, zone: tzinfo) -> Period:
    """The moments a window allows, judged at `as_of`."""
    return _period_utc(window, as_of.astimezone(UTC), zone)


@lru_cache(maxsize=256)
def _period_utc(window: Window, as_of: datetime, zone: tzinfo) -> Period:
    """Remembered, by the moment in UTC: many triggers ask the same of one transaction."""
    match window:
        case Current(unit):
            return current_period(unit, as_of, zone)
        case Previous(unit):
            return previous_period(unit, as_of, zone)
        case Rolling(span):
            return rolling_period(span, as_of, zone)
        case After(bound):
            return Period(_end_of(bound, zone), None)
        case Before(bound):
            return Period(None, _start_of(bound, zone))
        case Between(first, last):
            return Period(_start_of(first, zone), _end_of(last, zone))
    assert_never(window)


def parse_window(value: object, path: str, problems: Problems) -> Window | None:
    """A window from its JSON form; None after noting what is wrong with it."""
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in _FORMS:
        problems.add(path, f"must be an object with one of {listed(_FORMS)}")
        return None
    form, argument = next(iter(value.items()))
    return _READERS[form](argument, f"{path}.{form}", problems)


def render_window(window: Window) -> dict[str, object]:
    """The JSON form that `parse_window` reads back."""
    match window:
        case Current(unit):
            return {"current": str(unit)}
        case Previous(unit):
            return {"previous": str(unit)}
        case Rolling(span):
            return {"rolling": render_span(span)}
        case After(bound):
            return {"after": _render_bound(bound)}
        case Before(bound):
            return {"before": _render_bound(bound)}
        case Between(first, last):
            return {"between": [_render_bound(first), _render_bound(last)]}
    assert_never(window)


def parse_span(value: object, path: str, problems: Problems, least: int = 0) -> Span | None:
    """A length of time: `{"days": 30}`, in days, weeks, months or years; a bare number counts days."""
    unit, count = next(iter(value.items())) if isinstance(value, Mapping) and len(value) == 1 else ("days", value)
    if unit not in _SPAN_UNITS or not isinstance(count, int) or isinstance(count, bool):
        problems.add(
            path, f'must be an object with a whole number of {listed(list(_SPAN_UNITS))}, such as {{"days": 30}}'
        )
        return None
    months, days = _SPAN_UNITS[unit]
    if not least <= count <= _SPAN_DAYS_MAX * 12 // (months * 365 + days * 12):
        problems.add(path, f"must be from {least} {unit} to 100 years")
        return None
    return Span(months * count, days * count)


def render_span(span: Span) -> dict[str, int]:
    """The JSON form that `parse_span` reads back."""
    return {"months": span.months} if span.months else {"days": span.days}


def parse_moment(value: object, path: str, problems: Problems) -> datetime | None:
    """Epoch milliseconds as an aware UTC datetime; None after noting what is wrong."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOMENT_MS_MAX:
        problems.add(path, "must be a time in epoch milliseconds, such as 1767225600000")
        return None
    if 10**9 <= value < 10**10:
        problems.add(path, f"{value} looks like seconds; times are epoch milliseconds, such as {value}000")
        return None
    return _EPOCH + timedelta(milliseconds=value)


def epoch_ms(moment: datetime) -> int:
    """A moment in epoch milliseconds."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _parse_bound(value: object, path: str, problems: Problems) -> Bound | None:
    if not isinstance(value, str):
        return parse_moment(value, path, problems)
    try:
        day = date.fromisoformat(value)
    except ValueError:
        day = date.min
    if not 1970 <= day.year < 3000 or value != day.isoformat():
        problems.add(path, f'{quoted(value)} is not a day such as "2026-03-01" or a time in epoch milliseconds')
        return None
    return day


def _parse_unit(value: object, path: str, problems: Problems) -> Unit | None:
    if isinstance(value, str) and value in list(Unit):
        return Unit(value)
    problems.add(path, f"must be {listed([str(unit) for unit in Unit])}")
    return None


def _read_current(value: object, path: str, problems: Problems) -> Window | None:
    unit = _parse_unit(value, path, problems)
    return Current(unit) if unit else None


def _read_previous(value: object, path: str, problems: Problems) -> Window | None:
    unit = _parse_unit(value, path, problems)
    return Previous(unit) if unit else None


def _read_rolling(value: object, path: str, problems: Problems) -> Window | None:
    span = parse_span(value, path, problems, least=1)
    return Rolling(span) if span else None


def _read_after(value: object, path: str, problems: Problems) -> Window | None:
    bound = _parse_bound(value, path, problems)
    return After(bound) if bound else None


def _read_before(value: object, path: str, problems: Problems) -> Window | None:
    bound = _parse_bound(value, path, problems)
    return Before(bound) if bound else None


def _read_between(value: object, path: str, problems: Problems) -> Window | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        problems.add(path, "must be a list of two days or two times")
        return None
    first, last = (_parse_bound(each, f"{path}[{index}]", problems) for index, each in enumerate(value))
    if first is None or last is None:
        return None
    if isinstance(first, datetime) != isinstance(last, datetime):
        problems.add(path, "must be two days or two times, not one of each")
        return None
    if first > last:
        problems.add(path, "must start before it ends")
        return None
    return Between(first, last)


_READERS: Mapping[str, Callable[[object, str, Problems], Window | None]] = {
    "current": _read_current,
    "previous": _read_previous,
    "rolling": _read_rolling,
    "after": _read_after,
    "before": _read_before,
    "between": _read_between,
}


def _start_of(bound: Bound, zone: tzinfo) -> datetime:
    return bound if isinstance(bound, datetime) else start_of_day(bound, zone)


def _end_of(bound: Bound, zone: tzinfo) -> datetime:
    """The first moment after the bound."""
    if isinstance(bound, datetime):
        return bound + timedelta.resolution
    return start_of_day(bound + timedelta(days=1), zone)


def _render_bound(bound: Bound) -> int | str:
    return epoch_ms(bound) if isinstance(bound, datetime) else bound.isoformat()
