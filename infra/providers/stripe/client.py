"""Stripe's API: what an event left out, what a payment settled, and the lists that reconciling compares.

Nothing here waits long: what Stripe cannot answer now is TryLater, and the inbox row carries the time of the next
attempt.
"""

import copy
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal

import stripe
import tenacity

from domain.errors import CannotProcess, TryLater
from infra.pace import Pace

#: The version whose shapes the tests hold; without it, an account's default or a newer SDK would choose another.
API_VERSION: Final = "2026-03-25.dahlia"
API_BASE: Final = "https://api.stripe.com"

_KEY: Final = re.compile(r"[A-Za-z]+(_[A-Za-z0-9]+)+", re.ASCII)
#: What a company may have called a product, a plan or a customer itself.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]*", re.ASCII)
_PAGE_LIMIT: Final = 100
_PAGES_MAX: Final = 100

#: Longer than this nothing waits here; it is due again later.
_SOON_S: Final = 5.0

RawObject = dict[str, Any]
#: The objects of one page, and the id behind which the next one begins; None: it was the last.
ListPage = tuple[list[RawObject], str | None]
#: What takes back of payments, by the API's words for many.
Reversals = Literal["refunds", "credit_notes", "disputes"]


class UnknownObject(CannotProcess):
    """Stripe knows no such object: it was never there, is of another mode or account, or is a test body's."""


class _Busy(TryLater):
    """Another try may be luckier at once."""


class StripeApi:
    """Stripe's API with one secret key. Safe to share between threads."""

    def __init__(
        self,
        api_key: str,
        api_base: str = API_BASE,
        *,
        timeout_s: tuple[float, float] = (3.0, 10.0),
        network_retries_max: int = 1,
        pages_within_s: float = 30.0,
        pace: Pace | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`timeout_s` is (connect, read), per request; `network_retries_max` counts quick retries of what may pass.

        No page of a list that is wanted whole is asked for later than `pages_within_s` after the first.
        """
        self._account: str | None = None
        #: Whether the key is of live mode; None: it does not say. Not every object does, either.
        self.livemode = {"live": True, "test": False}.get(api_key.partition("_")[2].partition("_")[0])
        self._pages_within_s = pages_within_s
        self._pace = pace
        self._retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass_soon),
            stop=tenacity.stop_after_attempt(1 + network_retries_max),
            wait=_wait_s,
            sleep=sleep,
            reraise=True,
        )
        self._http = stripe.RequestsClient(timeout=timeout_s)
        self._client = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base.rstrip("/")},
            max_network_retries=0,
            http_client=self._http,
        )

    def fetch_invoice_lines(self, invoice_key: str) -> list[RawObject]:
        """Every line of an invoice as Stripe renders it at `API_VERSION`, in the invoice's order.

        Raises TryLater where Stripe is out of reach, busy, failing or refuses the key, CannotProcess where it knows
        no such invoice or the id is not one.
        """
        return self._fetch_all(f"/v1/invoices/{_checked(invoice_key)}/lines", {})

    def fetch_subscription_items(self, subscription_key: str) -> list[RawObject]:
        """Every item of a subscription, like `fetch_invoice_lines`: as it is now, not as an event saw it."""
        return self._fetch_all("/v1/subscription_items", {"subscription": _checked(subscription_key)})

    def fetch_credit_note_lines(self, note_key: str) -> list[RawObject]:
        """Every line of a credit note, like `fetch_invoice_lines`."""
        return self._fetch_all(f"/v1/credit_notes/{_checked(note_key)}/lines", {})

    def fetch_session_items(self, session_key: str) -> list[RawObject]:
        """Every line item of a checkout session, like `fetch_invoice_lines`."""
        return self._fetch_all(f"/v1/checkout/sessions/{_checked(session_key)}/line_items", {})

    def fetch(self, kind: str, key: str) -> RawObject:
        """An object by its id, such as `fetch("invoices", "in_1")`: as it is now. `kind` is the API's word for many."""
        if len(key) > 255 or not _NAME.fullmatch(key):
            raise CannotProcess("not an id that Stripe would give")
        return self._get(f"/v1/{kind}/{key}", {})

    def find_invoices_paid_by(self, payment_key: str) -> list[str]:
        """The invoices that a payment intent or a charge settled."""
        kind = "charge" if payment_key.startswith(("ch_", "py_")) else "payment_intent"
        payment = {"type": kind, kind: _checked(payment_key)}
        found = self._fetch_all("/v1/invoice_payments", {"payment": payment, "status": "paid"})
        return sorted({each["invoice"] for each in found if isinstance(each.get("invoice"), str)})

    def find_sessions_paid_by(self, payment_key: str) -> list[str]:
        """The checkout sessions that made a payment intent; a charge is never made by itself."""
        if not payment_key.startswith("pi_"):
            return []
        found = self._fetch_all("/v1/checkout/sessions", {"payment_intent": _checked(payment_key)})
        return sorted({each["id"] for each in found if isinstance(each.get("id"), str)})

    def of_account(self, account: str | None) -> "StripeApi":
        """The same client asking about a connected account; about the key's own where that is None."""
        if account == self._account:
            return self
        other = copy.copy(self)
        other._account = account
        return other

    def list_events(self, since: datetime, after: str | None = None) -> ListPage:
        """Events made from `since` on, newest first, from behind the event `after` on.

        Stripe keeps them for 30 days, and renders each as at `API_VERSION` or as its endpoint got it.
        """
        return self._page("/v1/events", _made(since), after)

    def list_invoices(self, since: datetime, after: str | None = None) -> ListPage:
        """Paid invoices made from `since` on, newest first, from behind the invoice `after` on."""
        return self._page("/v1/invoices", {**_made(since), "status": "paid"}, after)

    def list_subscriptions(self, after: str | None = None) -> ListPage:
        """All subscriptions, ended ones too, newest first, from behind the subscription `after` on."""
        return self._page("/v1/subscriptions", {"status": "all"}, after)

    def list_reversals(self, kind: Reversals, since: datetime, after: str | None = None) -> ListPage:
        """Refunds, credit notes or disputes made from `since` on, whatever came of them, newest first, from behind the
        one of the id `after` on.
        """
        return self._page(f"/v1/{kind}", _made(since), after)

    def close(self) -> None:
        """Let go of this thread's connections."""
        self._http.close()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped

    def _fetch_all(self, path: str, params: RawObject) -> list[RawObject]:
        """A list that is worth nothing unless it is whole, and soon."""
        found: list[RawObject] = []
        after = None
        until_s = time.monotonic() + self._pages_within_s
        for _ in range(_PAGES_MAX):
            if time.monotonic() > until_s:
                raise TryLater(f"Stripe takes too long for the pages of {path}")
            objects, after = self._page(path, params, after)
            found += objects
            if after is None:
                return found
        raise CannotProcess(f"Stripe's list at {path} has no end: {len(found)} objects in {_PAGES_MAX} pages")

    def _page(self, path: str, params: RawObject, after: str | None) -> ListPage:
        page = self._get(path, {**params, "limit": _PAGE_LIMIT, **({"starting_after": after} if after else {})})
        objects = page.get("data")
        if not isinstance(objects, list) or not all(isinstance(entry, dict) for entry in objects):
            raise CannotProcess(f"Stripe answered {path} with something other than a list")
        return objects, _last_key(objects, path) if page.get("has_more") else None

    def _get(self, path: str, params: RawObject) -> RawObject:
        return self._retry.copy()(self._ask, path, params)

    def _ask(self, path: str, params: RawObject) -> RawObject:
        if self._pace is not None:
            self._pace.take()
        account = {} if self._account is None else {"stripe_account": self._account}
        try:
            answer = self._client.raw_request("get", path, **params, **account)
        except stripe.StripeError as error:
            raise _sorted_out(error, path) from error
        content: object = answer.data
        if not isinstance(content, dict):
            raise CannotProcess(f"Stripe answered {path} with something other than an object")
        return content


def _may_pass_soon(error: BaseException) -> bool:
    """Busy, failing or out of reach for a moment; not when Stripe itself asks for more patience than that."""
    return isinstance(error, _Busy) and (error.again_after_s or 0) <= _SOON_S


def _wait_s(state: tenacity.RetryCallState) -> float:
    """What Stripe asks for, else more each time; with jitter, so that a herd does not return as one."""
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.again_after_s if isinstance(error, TryLater) else None
    return (asked_s or 0) + tenacity.wait_exponential_jitter(multiplier=0.2, exp_base=2, max=_SOON_S, jitter=0.3)(state)


def _made(since: datetime) -> RawObject:
    """From that whole second on."""
    return {"created": {"gte": int(since.timestamp())}}


def _checked(key: str) -> str:
    """Ids come from event bodies and go into a path: anything else than an id's letters is refused."""
    if len(key) > 255 or not _KEY.fullmatch(key):
        raise CannotProcess("not an id that Stripe would give")
    return key


def _last_key(objects: list[RawObject], path: str) -> str:
    last = objects[-1].get("id") if objects else None
    if not isinstance(last, str):
        raise CannotProcess(f"Stripe promised more at {path} without an object to go on from")
    return last


def _sorted_out(error: stripe.StripeError, path: str) -> TryLater | CannotProcess:
    """By what to do next. A refused key is for an operator to mend, and the event waits for it, visible."""
    again_after_s = _asked_patience(error)
    match error:
        case stripe.AuthenticationError() | stripe.PermissionError():
            return TryLater(f"Stripe refused STRIPE_API_KEY for {path}")
        case stripe.RateLimitError():
            return _Busy(f"Stripe asked to slow down at {path}", again_after_s)
        case stripe.APIConnectionError():
            return _Busy(f"Stripe could not be reached at {path}")
    status = error.http_status
    if status is None or status >= 500 or status in (408, 409, 425, 429):
        return _Busy(f"Stripe failed at {path} with status {status}", again_after_s)
    if status == 404 or error.code == "resource_missing":
        return UnknownObject(f"Stripe refused {path} with status {status}")
    return CannotProcess(f"Stripe refused {path} with status {status}")


def _asked_patience(error: stripe.StripeError) -> int | None:
    """`Retry-After` in whole seconds, as far as it is one and no more than an hour."""
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    asked = str(headers.get("retry-after", ""))
    return min(int(asked), 3600) if re.fullmatch(r"[0-9]{1,6}", asked) else None
