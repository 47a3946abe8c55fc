"""Refunds, credit notes and disputes of a drawn history: what they finally come to, and every sighting on the way."""

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from domain.facts import InvoicePayment, Reversal, ReversalKind, ReversalLine, Source
from tests.simulation.world import Payment, TakenBack, World


def take_back(world: World, random: Random, payment: Payment) -> None:
    """Sometimes some of a payment goes back, once or several times, told by any mixture of events."""
    total = sum(line.amount - line.discount for line in payment.lines) + payment.tax
    paid_with = f"pi_{payment.invoice}"
    link = InvoicePayment("stripe", payment.invoice, _source(random, payment.paid_at, "link"), (paid_with,))
    if total <= 0 or random.random() < 0.6:
        return
    world.facts.append(link)
    taking = _Taking(world, random, payment, total, paid_with)
    for _ in range(random.randint(1, 3)):
        random.choice([taking.refunds, taking.dispute, taking.note, taking.note_paid_out])()


def _source(random: Random, after: datetime, word: str) -> Source:
    at = after + timedelta(seconds=random.randint(0, 86_400 * 40))
    return Source(0, at, 1, f"evt_{word}_{random.randrange(10**9):09d}")


class _Taking:
    """Takes back from one payment."""

    def __init__(self, world: World, random: Random, payment: Payment, total: int, paid_with: str) -> None:
        self.world = world
        self.random = random
        self.payment = payment
        self.total = total
        self.paid_with = paid_with
        #: False once a refund was told of by the payment's amount refunded alone.
        self.individually = True
        #: All refunds so far, those that failed included.
        self.refunded = 0

    def refunds(self) -> None:
        """One refund; it may fail later, and be told one by one, in all, or both."""
        self._refund(self._amount(), fails=self.random.random() < 0.2)

    def _refund(self, amount: int, *, fails: bool, named: bool = False) -> None:
        key = self._refund_key()
        self.world.taken.append(TakenBack("refund", key, self.payment.invoice, 0 if fails else amount))
        seen = self._reversal(ReversalKind.REFUND, key, amount)
        self.individually = self.individually and (fails or self.random.random() < 0.85)
        if self.individually or fails:
            self.world.taken[-1] = replace(self.world.taken[-1], plain=not fails and not named)
            self._tell(seen)
        self.refunded += amount
        if fails:
            self._tell(replace(seen, undone_minor=amount))
        if not self.individually or self.random.random() < 0.4:
            self._tell(self._reversal(ReversalKind.REFUNDED, f"ch_{self.payment.invoice}", self.refunded))

    def _refund_key(self) -> str:
        return f"re_{len(self.world.taken)}_{self.payment.invoice}"

    def dispute(self) -> None:
        """First an inquiry, then funds withdrawn, and sometimes reinstated."""
        amount, won = self._amount(), self.random.random() < 0.5
        key = f"dp_{len(self.world.taken)}_{self.payment.invoice}"
        self.world.taken.append(TakenBack("dispute", key, self.payment.invoice, 0 if won else amount))
        withdrawn = self._reversal(ReversalKind.DISPUTE, key, amount)
        self._tell(replace(withdrawn, amount_minor=0))
        self._tell(withdrawn)
        if won:
            self._tell(replace(withdrawn, undone_minor=amount))

    def note(self) -> None:
        """A credit note by its lines; sometimes voided."""
        self._note(paid_out=False)

    def note_paid_out(self) -> None:
        """A credit note whose money went back as a refund, which is told of as well."""
        self._note(paid_out=True)

    def _note(self, *, paid_out: bool) -> None:
        lines = self._note_lines()
        amount = sum(part for _, part in lines) + self.random.choice([0, self.payment.tax // 2])
        if amount == 0:
            return
        key, voided = f"cn_{len(self.world.taken)}_{self.payment.invoice}", self.random.random() < 0.2
        refunded = amount if paid_out else 0
        told = tuple(
            ReversalLine(part, line_key=self.payment.lines[place].key)
            if self.payment.lines[place].product is None or self.random.random() < 0.5
            else ReversalLine(part, None, self.payment.lines[place].subscription, self.payment.lines[place].product)
            for place, part in lines
        )
        taken = TakenBack("credit_note", key, self.payment.invoice, amount, lines, refunded)
        self.world.taken.append(replace(taken, amount=0, lines=(), refunded=0) if voided else taken)
        seen = replace(self._reversal(ReversalKind.CREDIT_NOTE, key, amount), lines=told, refunded_minor=refunded)
        seen = replace(seen, invoice_key=self.payment.invoice)
        apart = Random(f"{self.world.seed} {key}")  # leaves everything else as it was drawn
        named = paid_out and apart.random() < 0.8
        if named:
            seen = replace(seen, refunds=((self._refund_key(), amount),))
        self._tell(seen)
        if voided:
            self._tell(replace(seen, undone_minor=amount))
        if paid_out:
            self._refund(amount, fails=False, named=named)
            if named and self.individually and apart.random() < 0.4:
                self._fail(key, apart)

    def _fail(self, note_key: str, apart: Random) -> None:
        """The refund that was told of last, a note's own, never reaches the customer."""
        taken = self.world.taken
        refund, amount = taken[-1], taken[-1].amount
        taken[-1] = replace(refund, amount=0)
        place = next(n for n, each in enumerate(taken) if each.key == note_key)
        taken[place] = replace(taken[place], failed=taken[place].refunded > 0)
        own, self.random = self.random, apart
        self._tell(replace(self._reversal(ReversalKind.REFUND, refund.key, amount), undone_minor=amount))
        self.random = own

    def _note_lines(self) -> tuple[tuple[int, int], ...]:
        charged = [place for place, line in enumerate(self.payment.lines) if line.amount > 0]
        chosen = self.random.sample(charged, self.random.randint(1, len(charged)))
        return tuple((place, self.random.randint(1, self.payment.lines[place].amount)) for place in chosen)

    def _amount(self) -> int:
        return self.random.choice([self.total, 1, self.total // 2 or 1, self.random.randint(1, self.total)])

    def _reversal(self, kind: ReversalKind, key: str, amount: int) -> Reversal:
        named = self.random.random() < 0.5
        return Reversal(
            provider="stripe",
            kind=kind,
            reversal_key=key,
            source=_source(self.random, self.payment.paid_at, kind),
            currency=self.payment.currency,
            amount_minor=amount,
            invoice_key=self.payment.invoice if named else None,
            payment_keys=() if named else (self.paid_with,),
            provider_customer_key=self.payment.customer,
        )

    def _tell(self, seen: Reversal) -> None:
        at = seen.source.occurred_at + timedelta(seconds=self.random.randint(0, 100_000))
        event_key = f"evt_{seen.kind}_{self.random.randrange(10**9):09d}"
        self.world.facts.append(replace(seen, source=Source(0, at, 1, event_key)))
