"""Payments with their lines, and why each trigger fired on them or not; those that no provider tells of, by hand."""

from typing import Annotated, Any

from fastapi import Query
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from dashboard.answers import Answer
from dashboard.api import customers, explanations, reversals, transactions
from dashboard.fields import LongKey
from dashboard.lists import LIMIT_MAX, Page
from dashboard.pages.product_book import sold
from dashboard.pages.routes import Mistakes, PageVisit, ThisPage, manager_pages, mistakes_of, paged, within
from dashboard.pages.typed import Days, amount_of, moment_of, number_of
from domain.errors import Missing, Rejected
from domain.problems import Problems, quoted

router = manager_pages()

#: A form without a script has as many lines as it has; a button makes it longer.
_LINES, _LINES_MAX = 3, 30
#: Fields of the form's line by fields of the API's.
_OF_LINE = ("product_book_key", "subscription_key", "amount", "quantity")


class Found(transactions.Filters, Days):
    """Filters of the list."""


@router.get("/payments")
def find(page: ThisPage, filters: Annotated[Found, Query()]) -> Response:
    """The latest paid first, those that fit."""
    asked = within(page, paged(filters))
    return page.show("payments.html", filters=asked, found=transactions.list_transactions(page, asked).data)


@router.get("/payments/new")
def begin(page: ThisPage, customer_key: LongKey | None = None) -> Response:
    """An empty form, or one for a customer."""
    return _form(page, {"customer_key": customer_key or ""})


@router.post("/payments/new")
def post(page: ThisPage) -> Response:
    """Post it, once however often the button is pressed; its page says what it earned, or why nothing."""
    if "more" in page.form:
        return _form(page, page.form)
    made = page.attempt(lambda: _posted(page))
    if isinstance(made, Mistakes):
        return _form(page, page.form, made)
    return page.done(page.templates.path_to("/payments", made.data.key), _said(page, made.data.key, made.message))


@router.get("/payments/{key:path}")
def read(page: ThisPage, key: LongKey) -> Response:
    """One, judged again by the function that booked."""
    return _show(page, key)


@router.post("/payments/{key:path}/reversals")
def give_back(page: ThisPage, key: LongKey) -> Response:
    """Tell what was given back of one that the company posted, once however often the button is pressed."""
    done = page.attempt(lambda: _given_back(page, key))
    if isinstance(done, Mistakes):
        return _show(page, key, done)
    return page.done(page.templates.path_to("/payments", key), "Given back: its commissions follow what is left.")


@router.post("/payments/{key:path}/reversals/undo")
def undo(page: ThisPage, key: LongKey) -> Response:
    """Say that something told here was not given back after all."""
    given = {"key": page.form.get("reversal", "")}
    done = page.attempt(lambda: reversals.undo(page, key, page.body(reversals.UndoneReversal, given)))
    if isinstance(done, Mistakes):
        return _show(page, key, done)
    return page.done(page.templates.path_to("/payments", key), "Undone: it counts as if nothing had been given back.")


def _show(page: PageVisit, key: str, mistakes: Mistakes | None = None) -> Response:
    return page.show(
        "payment.html",
        item=transactions.read(page, key).data,
        explained=explanations.explain(page, key).data,
        taken_back=reversals.list_reversals(page, key, Page(limit=LIMIT_MAX)).data,
        mistakes=mistakes,
    )


def _given_back(page: PageVisit, key: str) -> Answer[reversals.ReversalItem]:
    form, problems = page.form, Problems()
    given: dict[str, Any] = {"line_key": form.get("line_key")}
    currency = transactions.read(page, key).data.currency
    _read_amount(form.get("amount"), given, "", currency, problems)
    _read_moment(page, "given_back_at", given, problems)
    problems.raise_any()
    return reversals.create(page, key, page.body(reversals.NewReversal, given))


def _posted(page: PageVisit) -> Answer[transactions.TransactionItem]:
    problems = Problems()
    _check_known(page, page.form.get("customer_key"), problems)
    given = _given(page, problems)
    try:
        body = page.body(transactions.NewTransaction, given)
    except RequestValidationError as error:
        for each in mistakes_of(page.request, error).errors:
            problems.add(each.field, each.message)
    problems.raise_any()
    return transactions.create(page, body)


def _check_known(page: PageVisit, customer_key: str | None, problems: Problems) -> None:
    """A customer nobody has spoken of may come later over the API; typed by hand it is a slip, and not to be undone."""
    if customer_key is None:
        problems.add("customer_key", "is required")
        return
    try:
        if customers.read(page, customer_key).data.customer_key is None:
            problems.add("customer_key", "is somebody whom nobody has linked; say on their page who they are first")
    except Missing:
        by_provider = customers.Filters(limit=1, provider_key=customer_key)
        if not customers.list_customers(page, by_provider).data.items:
            missing = f"no customer is called {quoted(customer_key)}; see the list, or add them there"
            problems.add("customer_key", missing)


def _given(page: PageVisit, problems: Problems) -> dict[str, Any]:
    """The form as the API takes it; what cannot be read is noted, and stands in with a nought."""
    form, currency = page.form, page.form.get("currency", "")
    given: dict[str, Any] = {
        name: form[name] for name in ("customer_key", "currency", "subscription_key", "key") if name in form
    }
    _read_moment(page, "paid_at", given, problems)
    _read_amount(form.get("amount"), given, "", currency, problems)
    lines = []
    for place, typed in enumerate(_lines(page)):
        line: dict[str, Any] = {name: typed[name] for name in ("product_book_key", "subscription_key") if name in typed}
        _read_amount(typed.get("amount"), line, f"lines[{place}].", currency, problems)
        if "quantity" in typed:
            line["quantity"] = number_of(typed["quantity"])
        lines.append(line)
    return {**given, **({"lines": lines} if lines else {})}


def _read_moment(page: PageVisit, name: str, into: dict[str, Any], problems: Problems) -> None:
    if name not in page.form:
        return
    try:
        into["created_at"] = moment_of(page.form[name], page.settings.program_timezone, "created_at")
    except Rejected as error:
        problems.add("created_at", str(error))


def _read_amount(text: str | None, into: dict[str, Any], path: str, currency: str, problems: Problems) -> None:
    if text is None:
        return
    try:
        into["amount"] = amount_of(text, currency, f"{path}amount")
    except Rejected as error:
        problems.add(f"{path}amount", str(error))
        into["amount"] = 0


def _lines(page: PageVisit) -> list[dict[str, str]]:
    """The lines of which something is filled in."""
    form = page.form
    typed = (
        {name: form[f"line{place}_{name}"] for name in _OF_LINE if f"line{place}_{name}" in form}
        for place in range(_LINES_MAX)
    )
    return [each for each in typed if each]


def _said(page: PageVisit, key: str, message: str) -> str:
    booked = len(explanations.explain(page, key).data.commissions)
    earned = (
        f"it earned {booked} commission{'' if booked == 1 else 's'}" if booked else "it earned nothing; see why below"
    )
    return f"{message[:1].upper()}{message[1:]}: {earned}."


def _form(page: PageVisit, typed: Any, mistakes: Mistakes | None = None) -> Response:
    lines = _lines(page)
    count = min(max(_LINES, len(lines) + (_LINES if "more" in typed else 0)), _LINES_MAX)
    return page.show(
        "new_payment.html",
        typed=typed,
        lines=[*lines, *({} for _ in range(count - len(lines)))],
        sold=sold(page),
        can_grow=count < _LINES_MAX,
        mistakes=mistakes,
    )
