"""What one partner may see, loaded for `domain.partner_view` and `domain.offers` to judge.

A customer who is somebody else's is looked for by the same statements as one who is not there, and found as little.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from domain import ids
from domain.case import Program
from domain.commissions import CommissionState
from domain.customers import attributions
from domain.facts import ProductStatus
from domain.occasions import CustomerFile
from domain.partner_view import (
    CommissionView,
    EarnedCommission,
    OwnedProduct,
    ProductView,
    commissions_of,
    is_customer_of,
    products_of,
)
from domain.problems import is_storable
from domain.products import purchased_at, version_at
from domain.readings import entry_of, payee_of
from infra.ledger.case_files import load_meant
from infra.ledger.customer_files import load_customer_files
from infra.rows import fetch
from infra.shown.rewards import posted_lines

#: A partner's commissions. Their time is when they were earned: when they were booked would tell what else came in.
COMMISSIONS = """
    select c.*, customers.customer_key, l.product_key, l.price_keys,
        l.provider as line_provider
    from (select key, partner_key, member_key, trigger_key, trigger_version, customer, amount_minor, currency, state,
            decline_reason, arithmetic, offer, earned_at, earned_at as created_at, due_at, adjusts, transaction_key,
            line_key
        from commissions where partner_key = :partner_key) c
    left join customers on customers.key = c.customer
    left join transaction_lines l on l.transaction_key = c.transaction_key and l.line_key = c.line_key
"""

#: Whom any claim of a partner's leads to, and since when by its own claims alone: what others claimed is not in it.
_CANDIDATES = """
    with mine as (
        select subject, min(coalesce(effective_from, learnt_at)) as since from claims
        where partner_key = :partner_key group by subject
    ), named as (
        select since, split_part(subject, ':', 1) as provider, split_part(subject, ':', 2) as kind,
            substr(subject, length(split_part(subject, ':', 1)) + length(split_part(subject, ':', 2)) + 3) as name
        from mine where subject not like 'customer:%'
    ), owners as (
        select substr(subject, 10) as customer, since from mine where subject like 'customer:%'
        union all
        select p.customer, n.since from named n join provider_customers p
            on p.provider = n.provider and p.provider_customer_key = n.name where n.kind = 'customer'
        union all
        select pc.customer, n.since from named n
            join products p on p.provider = n.provider and p.subscription_key = n.name
            join provider_customers pc on pc.provider = p.provider
                and pc.provider_customer_key = p.provider_customer_key
            where n.kind = 'subscription'
        union all
        select pc.customer, n.since from named n
            join products p on p.provider = n.provider and p.subscription_key || '/' || p.product_key = n.name
            join provider_customers pc on pc.provider = p.provider
                and pc.provider_customer_key = p.provider_customer_key
            where n.kind = 'product'
    )
    select c.key, c.customer_key, coalesce((
            select p.name from provider_customers p where p.customer = c.key and p.name is not null
            order by p.source_at desc nulls last, p.provider, p.provider_customer_key limit 1), c.name) as name,
        min(o.since) as since
    from owners o join customers c on c.key = o.customer group by c.key, c.customer_key, c.name
"""


@dataclass(frozen=True, slots=True)
class CustomerView:
    """A customer as a partner of theirs sees it."""

    key: str
    #: The company's own id.
    customer_key: str
    name: str | None
    #: When the partner's own first claim on them, or on a product of theirs, began.
    since: datetime


@dataclass(frozen=True, slots=True)
class Sight:
    """One partner's eyes, at a moment."""

    connection: Connection
    program: Program
    partner_key: str
    now: datetime

    def commissions(self, rows: Sequence[Any]) -> list[CommissionView]:
        """Rows of `COMMISSIONS`, all of which are the partner's, as the partner sees them."""
        meant = load_meant(self.connection, posted_lines(rows))
        return [self._commission(r, *meant.get((r.transaction_key, r.line_key), (r.line_provider, r))) for r in rows]

    def _commission(self, row: Any, provider: str, line: Any) -> CommissionView:
        name = None
        if line.product_key is not None:
            name = entry_of(line.price_keys, provider, line.product_key, self.program).name_at(row.earned_at)
        earned = EarnedCommission(
            key=row.key,
            partner_key=row.partner_key,
            member_key=row.member_key,
            trigger_key=row.trigger_key,
            trigger_version=row.trigger_version,
            customer=row.customer_key,
            product_name=name,
            amount_minor=row.amount_minor,
            currency=row.currency,
            state=CommissionState(row.state),
            decline_reason=row.decline_reason,
            arithmetic=row.arithmetic,
            offer=row.offer,
            earned_at=row.earned_at,
            due_at=row.due_at,
            adjusts=row.adjusts,
        )
        (view,) = commissions_of(self.partner_key, [earned])
        return view

    def customers(
        self, limit: int, starting_after: str | None, ending_before: str | None
    ) -> tuple[list[CustomerView], bool] | None:
        """A page of the partner's customers, latest first, and whether more follow; None where the cursor is nobody's.

        A cursor is a key or the company's own id of a customer of theirs.
        """
        backwards = ending_before is not None
        cursor = None
        if (named := starting_after or ending_before) is not None and (cursor := self._candidate(named)) is None:
            return None
        found: list[CustomerView] = []
        for candidate in self._candidates(cursor, limit + 1, ascending=backwards):
            found.append(candidate)
            if len(found) > limit:
                break
        shown = found[:limit]
        return shown[::-1] if backwards else shown, len(found) > limit

    def products(self, named: str) -> list[ProductView] | None:
        """Every product of a customer of theirs; None for anybody else, be they there or not."""
        claimed = self._claimed(named)
        if claimed is None:
            return None
        (file,) = self._files([claimed.key])
        owned = list(self._owned(file))
        if not self._is_theirs(file, owned):
            return None
        return products_of(self.partner_key, owned, self.program.zone)

    def _candidate(self, named: str) -> CustomerView | None:
        claimed = self._claimed(named)
        if claimed is None:
            return None
        (file,) = self._files([claimed.key])
        return claimed if self._is_theirs(file, list(self._owned(file))) else None

    def _claimed(self, named: str) -> CustomerView | None:
        """A customer whom a claim of the partner's own leads to, come into force or not: nobody else can be theirs."""
        rows = fetch(
            self.connection,
            f"select * from ({_CANDIDATES}) candidates where key = :key",
            partner_key=self.partner_key,
            key=self._key_of(named),
        )
        return CustomerView(*rows[0]) if rows else None

    def _candidates(self, cursor: CustomerView | None, count: int, *, ascending: bool) -> Iterator[CustomerView]:
        """Those who are theirs after the cursor, looked at a portion at a time."""
        sign, order = (">", "asc") if ascending else ("<", "desc")
        while True:
            after = "" if cursor is None else f"where (since, key) {sign} (:since, :key)"
            rows = fetch(
                self.connection,
                f"select * from ({_CANDIDATES}) candidates {after} order by since {order}, key {order} limit :count",
                partner_key=self.partner_key,
                count=count,
                **({} if cursor is None else {"since": cursor.since, "key": cursor.key}),
            )
            views = {row.key: CustomerView(*row) for row in rows}
            theirs = {
                file.customer for file in self._files(list(views)) if self._is_theirs(file, list(self._owned(file)))
            }
            yield from (view for key, view in views.items() if key in theirs)
            if len(rows) < count:
                return
            cursor = list(views.values())[-1]

    def _key_of(self, named: str) -> str:
        """Our key of a customer by it or by the company's own id; of one who is not there, the key it would have."""
        if not is_storable(named):
            return ids.customer_key("")
        rows = fetch(
            self.connection,
            "select key from customers where key = :named or customer_key = :named limit 1",
            named=named,
        )
        return str(rows[0].key) if rows else ids.customer_key(named)

    def _files(self, customers: Sequence[str]) -> list[CustomerFile]:
        loaded = load_customer_files(self.connection, (), customers, with_standings=False)
        return [file for file, _ in loaded]

    def _is_theirs(self, file: CustomerFile, owned: Sequence[OwnedProduct]) -> bool:
        history = attributions(file.claims, self.program.lookback)
        return is_customer_of(self.partner_key, history, owned, self.now)

    def _owned(self, file: CustomerFile) -> Iterator[OwnedProduct]:
        """A customer's products as they are now, each with whom it pays."""
        for (provider, subscription, product), history in file.products.items():
            now = version_at(history, self.now)
            payee = payee_of((provider, subscription, product), file.claims, file.sale_claims, self.now, self.program)
            yield OwnedProduct(
                key=ids.product_key_of(subscription, product),
                product_name=entry_of(now.price_keys if now else (), provider, product, self.program).name_at(self.now),
                partner_key=payee.partner_key if payee else None,
                member_key=payee.member_key if payee else None,
                status=now.status if now else ProductStatus.NONE,
                purchased_at=purchased_at(history),
                amount_minor=now.amount_minor if now else None,
                currency=now.currency if now else None,
                quantity=now.quantity if now else None,
            )
