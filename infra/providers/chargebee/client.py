"""Chargebee's API: what an event left out, whether an event exists, and lists to reconcile with.

Nothing here waits long: what Chargebee cannot answer now is TryLater, and the inbox row carries the next attempt.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, Literal

import httpx
import tenacity
from chargebee import APIError, Chargebee

from domain.errors import CannotProcess, TryLater
from infra.pace import Pace
from infra.providers.chargebee.keys import could_be_key

_PAGE_LIMIT: Final = 100
#: As many lines as any invoice may have.
_LINES_MAX: Final = 1_000_000
#: Longer than that a quick retry does not wait, even if Chargebee says so.
_WAIT_S_MAX: Final = 5.0

RawObject = dict[str, Any]
#: The objects of one page, and the offset at which the next one begins; None: it was the last.
ListPage = tuple[list[RawObject], str | None]
#: What can be fetched by its id.
Name = Literal["credit_note", "customer", "invoice", "subscription", "transaction"]
#: What takes money back.
TransactionType = Literal["refund", "payment_reversal"]
#: (type, occurred at)
KnownEvent = tuple[str, datetime]


class _Busy(TryLater):
    """Chargebee will not answer now; `again_after_s` is how long it said to wait, if it did."""


class ChargebeeApi:
    """One site's API with one key. Safe to share between threads."""

    def __init__(
        self,
        api_key: str,
        api_base: str,
        *,
        timeout_s: tuple[float, float] = (3.0, 10.0),
        retries_max: int = 1,
        pace: Pace | None = None,
    ) -> None:
        """`api_base` is `https://<site>.chargebee.com`; `timeout_s` is (connect, read), per request.

        `retries_max` counts quick retries of what may pass.
        """
        self._pace = pace
        # The library logs whole answers where somebody asks for debugging.
        logging.getLogger("chargebee").setLevel(logging.WARNING)
        base = api_base.rstrip("/")
        self._client = Chargebee(api_key, site=base.partition("://")[2].partition(".")[0])
        self._client.env.connect_timeout, self._client.env.read_timeout = timeout_s
        self._client.env.protocol = base.partition("://")[0]
        self._client.env.api_endpoint = f"{base}/api/v2"
        if self._client.env.protocol == "http":
            # Loopback only, says the setting. The library asks its class, not its object, whether to speak plainly.
            Chargebee.verify_ca_certs = False
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Busy),
            stop=tenacity.stop_after_attempt(retries_max + 1),
            wait=_AsTold(tenacity.wait_random_exponential(multiplier=0.5, max=_WAIT_S_MAX)),
            reraise=True,
        )

    def fetch_event(self, event_key: str) -> RawObject | None:
        """The event as Chargebee has it; None where it has none by that id: then nobody there sent it."""
        key = _checked(event_key)
        answer = self._ask(f"events/{key}", lambda: self._client.Event.retrieve(key), missing_is_none=True)
        return None if answer is None else _raw(answer.event)

    def known_event(self, event_key: str) -> KnownEvent | None:
        """What Chargebee says the event is; None where it has none by that id."""
        event = self.fetch_event(event_key)
        return None if event is None else _known(event)

    def known_events(self, event_keys: Iterable[str]) -> dict[str, KnownEvent]:
        """Those of the events that Chargebee lists, a hundred in a request. What is new may not be listed yet."""
        wanted = sorted({key for key in event_keys if could_be_key(key)})
        found: dict[str, KnownEvent] = {}
        for start in range(0, len(wanted), _PAGE_LIMIT):
            params = {"id": {"in": json.dumps(wanted[start : start + _PAGE_LIMIT])}}
            listed, _ = self._page("event", self._client.Event.list, params)
            found |= {event["id"]: _known(event) for event in listed if "id" in event}
        return found

    def fetch_invoice_lines(self, invoice_key: str) -> list[RawObject]:
        """Every line of an invoice, in its order.

        Raises TryLater where Chargebee is out of reach, busy, failing or refuses the key, CannotProcess where it
        knows no such invoice or the id cannot be one.
        """
        key = _checked(invoice_key)
        lines: list[RawObject] = []
        params: RawObject = {"line_items_limit": _PAGE_LIMIT}
        while len(lines) < _LINES_MAX:
            page_params = dict(params)
            answer = self._ask(f"invoices/{key}", lambda: self._client.Invoice.retrieve(key, page_params))  # noqa: B023
            invoice = _raw(answer.invoice)
            page = invoice.get("line_items")
            if not isinstance(page, list) or not all(isinstance(line, dict) for line in page):
                raise CannotProcess(f"Chargebee answered invoices/{key} with something other than lines")
            lines += page
            if not (offset := invoice.get("line_items_next_offset")):
                return lines
            params["line_items_offset"] = offset
        raise CannotProcess(f"Chargebee's list of the lines of invoices/{key} has no end")

    def fetch(self, name: Name, key: str) -> RawObject | None:
        """An object by its id, as it is now; None where Chargebee has none by that id, or has deleted it."""
        checked = _checked(key)
        operations = {
            "credit_note": self._client.CreditNote,
            "customer": self._client.Customer,
            "invoice": self._client.Invoice,
            "subscription": self._client.Subscription,
            "transaction": self._client.Transaction,
        }
        answer = self._ask(f"{name}s/{checked}", lambda: operations[name].retrieve(checked), missing_is_none=True)
        return None if answer is None else _raw(getattr(answer, name, None))

    def list_events(self, since: datetime, after: str | None = None) -> ListPage:
        """Events of `since` and later, oldest first, from the offset `after` on.

        Chargebee keeps them for 90 days, and renders each as its webhook got it.
        """
        return self._page("event", self._client.Event.list, _from("occurred_at", since), after)

    def list_invoices(self, since: datetime, after: str | None = None) -> ListPage:
        """Paid invoices dated `since` and later, oldest first, from the offset `after` on."""
        params = {**_from("date", since), "status": {"is": "paid"}}
        return self._page("invoice", self._client.Invoice.list, params, after)

    def list_subscriptions(self, after: str | None = None) -> ListPage:
        """All subscriptions, ended and deleted ones too, oldest first, from the offset `after` on."""
        params = {"include_deleted": "true", "sort_by": {"asc": "created_at"}}
        return self._page("subscription", self._client.Subscription.list, params, after)

    def list_credit_notes(self, since: datetime, after: str | None = None) -> ListPage:
        """Credit notes that were changed `since` or later, void and deleted ones too, oldest first."""
        params = {**_from("updated_at", since), "sort_by": {"asc": "date"}, "include_deleted": "true"}
        return self._page("credit_note", self._client.CreditNote.list, params, after)

    def list_transactions(self, kind: TransactionType, since: datetime, after: str | None = None) -> ListPage:
        """Transactions of one type that were changed `since` or later, whatever came of them, oldest first."""
        params = {**_from("updated_at", since), "type": {"is": kind}}
        return self._page("transaction", self._client.Transaction.list, params, after)

    def close(self) -> None:
        """Nothing is kept open between two requests."""

    def _page(self, name: str, ask: Callable[[Any], Any], params: RawObject, after: str | None = None) -> ListPage:
        page_params = {**params, "limit": _PAGE_LIMIT, **({"offset": after} if after else {})}
        answer = self._ask(f"{name}s", lambda: ask(page_params))
        return [_raw(getattr(entry, name, None)) for entry in answer.list], answer.next_offset or None

    def _ask(self, path: str, ask: Callable[[], Any], *, missing_is_none: bool = False) -> Any:
        return self._retrying(self._once, path, ask, missing_is_none=missing_is_none)

    def _once(self, path: str, ask: Callable[[], Any], *, missing_is_none: bool) -> Any:
        if self._pace is not None:
            self._pace.take()
        try:
            return ask()
        except APIError as error:
            if missing_is_none and error.http_status_code == 404:
                return None
            raise _sorted_out(error, path) from error
        except httpx.HTTPError as error:
            raise _Busy(f"Chargebee could not be reached at {path}") from error
        except (AttributeError, TypeError, KeyError) as error:
            raise CannotProcess(f"Chargebee answered {path} with something other than promised") from error
        except Exception as error:
            # What is no JSON at all: a proxy's page, most often. The library has no class of its own for it.
            raise _Busy(f"Chargebee failed at {path} with something other than JSON") from error


class _AsTold(tenacity.wait.wait_base):
    """As long as Chargebee said, as far as that is bearable; else like `otherwise`."""

    def __init__(self, otherwise: tenacity.wait.wait_base) -> None:
        self._otherwise = otherwise

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        told_s = error.again_after_s if isinstance(error, _Busy) else None
        return float(self._otherwise(retry_state)) if told_s is None else told_s


def _checked(key: str) -> str:
    if not could_be_key(key):
        raise CannotProcess("not an id that Chargebee would give")
    return key


def _from(field: str, since: datetime) -> RawObject:
    """From that whole second on: Chargebee's filter leaves its end out. The oldest first."""
    return {field: {"after": str(int(since.timestamp()) - 1)}, "sort_by": {"asc": field}}


def _known(event: RawObject) -> KnownEvent:
    kind, second = event.get("event_type"), event.get("occurred_at")
    if not isinstance(kind, str) or not isinstance(second, int):
        raise CannotProcess("Chargebee answered with something other than an event")
    return kind, datetime.fromtimestamp(second, UTC)


def _raw(model: Any) -> RawObject:
    found: object = getattr(model, "raw_data", None)
    if not isinstance(found, dict):
        raise CannotProcess("Chargebee answered with something other than an object")
    return found


def _sorted_out(error: APIError, path: str) -> TryLater | CannotProcess:
    """By what to do next. A refused key is for an operator to mend, and the event waits for it, visible."""
    status = error.http_status_code
    if status in (401, 403):
        return TryLater(f"Chargebee refused CHARGEBEE_API_KEY for {path}")
    if status == 429:
        after_s = _retry_after(error)
        message = f"Chargebee asked to slow down at {path}"
        soon = after_s is None or after_s <= _WAIT_S_MAX
        return _Busy(message, after_s) if soon else TryLater(message, after_s)
    if status >= 500 or status in (408, 409, 425):
        return _Busy(f"Chargebee failed at {path} with status {status}")
    return CannotProcess(f"Chargebee refused {path} with status {status}")


def _retry_after(error: APIError) -> int | None:
    """In whole seconds, as far as it is a number, and no more than an hour."""
    told = (error.http_headers or {}).get("retry-after", "")
    return min(int(told), 3600) if re.fullmatch(r"[0-9]{1,6}", told) else None
