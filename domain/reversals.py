"""What is left of a payment after refunds, credit notes and disputes, whatever their order and number.

All that is known of an invoice's reversals is settled at once: first the credit notes, which name their lines, then
everything else in proportion to what is left. Amounts only grow, so merging sightings and settling again is safe.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from domain.facts import Reversal, ReversalKind, ReversalLine
from domain.money import split_proportionally
from domain.transactions import Line, Transaction

#: (provider, kind, the provider's id)
ReversalKey = tuple[str, str, str]


def key_of(reversal: Reversal) -> ReversalKey:
    """What makes two sightings the same reversal."""
    return reversal.provider, reversal.kind.value, reversal.reversal_key


def merged(one: Reversal, other: Reversal) -> Reversal:
    """All that two sightings of one reversal say; the order in which they came does not matter."""
    newer, older = (one, other) if one.source >= other.source else (other, one)
    return replace(
        newer,
        amount_minor=max(one.amount_minor, other.amount_minor),
        undone_minor=max(one.undone_minor, other.undone_minor),
        refunded_minor=max(one.refunded_minor, other.refunded_minor),
        refunds=tuple(
            sorted(
                {
                    key: max(dict(one.refunds).get(key, 0), dict(other.refunds).get(key, 0))
                    for key, _ in (*one.refunds, *other.refunds)
                }.items()
            )
        ),
        invoice_key=newer.invoice_key or older.invoice_key,
        payment_keys=tuple(sorted({*one.payment_keys, *other.payment_keys})),
        lines=newer.lines or older.lines,
        provider_customer_key=newer.provider_customer_key or older.provider_customer_key,
    )


def settle(paid: Transaction, reversals: Iterable[Reversal]) -> Transaction:
    """The transaction with what is taken back of each line. Reversals in another currency say nothing of it.

    A credit note covers as much of the refunds as it takes: what its line no longer had was still paid back. Of an
    invoice that is not paid, by a newer word than the one that it was, nothing is left.
    """
    reversals = list(reversals)
    if any(each.kind is ReversalKind.UNPAID and each.source > paid.source for each in reversals):
        return replace(paid, lines=tuple(replace(line, reversed_minor=max(0, line.net_minor)) for line in paid.lines))
    known = [reversal for reversal in reversals if reversal.currency == paid.currency]
    if not known and not any(line.reversed_minor for line in paid.lines):
        return paid
    notes = [note for note in known if note.kind is ReversalKind.CREDIT_NOTE and note.undone_minor < note.amount_minor]
    taken = dict.fromkeys((line.key for line in paid.lines), 0)
    paid_out = _paid_out(notes, known)
    tax_minor = paid.tax_minor
    spread_minor, unplaced_minor, covered_minor = _withdrawn(known), 0, 0
    for note in sorted(notes, key=lambda note: note.reversal_key):
        if not note.lines:
            spread_minor += note.amount_minor
            covered_minor += min(paid_out[note.reversal_key], note.amount_minor)
            continue
        off_lines, note_tax, without_line = _of_note(note, paid.lines, taken)
        for key, amount_minor in off_lines.items():
            taken[key] += amount_minor
        tax_minor -= min(tax_minor, note_tax)
        unplaced_minor += without_line
        covered_minor += min(paid_out[note.reversal_key], sum(off_lines.values()) + note_tax + without_line)
    spread_minor += max(0, _paid_back(known) - covered_minor)
    taken = _spread(spread_minor, unplaced_minor, paid.lines, taken, tax_minor)
    return replace(paid, lines=tuple(replace(line, reversed_minor=taken[line.key]) for line in paid.lines))


def _paid_out(notes: Iterable[Reversal], known: Sequence[Reversal]) -> dict[str, int]:
    """How much of each note refunds paid out, less those that failed and were not made again.

    One that no note names, and that comes to exactly what failed, is that refund made again. Where the provider names
    none of a note's refunds, whatever was paid back pays it out.
    """
    refunds = {each.reversal_key: each for each in known if each.kind is ReversalKind.REFUND}
    named = {key for note in known for key, _ in note.refunds}
    again = [each.amount_minor for key, each in refunds.items() if key not in named and not each.undone_minor]
    found: dict[str, int] = {}
    for note in sorted(notes, key=lambda note: note.reversal_key):
        found[note.reversal_key] = note.refunded_minor
        for key, of_it_minor in note.refunds:
            if key not in refunds or not refunds[key].undone_minor:
                continue
            if refunds[key].amount_minor in again:
                again.remove(refunds[key].amount_minor)
            else:
                found[note.reversal_key] = max(0, found[note.reversal_key] - of_it_minor)
    return found


def _paid_back(known: Sequence[Reversal]) -> int:
    """All refunds together, however they were reported."""
    refunds = [reversal for reversal in known if reversal.kind is ReversalKind.REFUND]
    one_by_one = sum(max(0, refund.amount_minor - refund.undone_minor) for refund in refunds)
    failed_minor = sum(min(refund.amount_minor, refund.undone_minor) for refund in refunds)
    in_all = sum(reversal.amount_minor for reversal in known if reversal.kind is ReversalKind.REFUNDED)
    return max(one_by_one, in_all - failed_minor)


def _withdrawn(known: Iterable[Reversal]) -> int:
    disputes = (reversal for reversal in known if reversal.kind is ReversalKind.DISPUTE)
    return sum(max(0, dispute.amount_minor - dispute.undone_minor) for dispute in disputes)


def _of_note(note: Reversal, lines: Sequence[Line], taken: Mapping[str, int]) -> tuple[dict[str, int], int, int]:
    """What a note takes off each line, the tax in it, and what none of our lines answers to (to be spread, untaxed).

    More than a line has left is taken off nothing else: the note is about that line.
    """
    off: dict[str, int] = {}
    unplaced = 0
    for part in note.lines:
        line = _line_of(part, lines)
        if line is None:
            unplaced += part.amount_minor
            continue
        left = max(0, line.net_minor) - taken[line.key] - off.get(line.key, 0)
        off[line.key] = off.get(line.key, 0) + max(0, min(left, part.amount_minor))
    return off, max(0, note.amount_minor - sum(part.amount_minor for part in note.lines)), unplaced


def _line_of(part: ReversalLine, lines: Iterable[Line]) -> Line | None:
    """By the provider's line id, else by subscription and product, else by the product alone if that is clear."""
    by_key = [line for line in lines if part.line_key is not None and part.line_key in line.parts]
    if by_key or part.product_key is None:
        return by_key[0] if by_key else None
    same = [line for line in lines if line.product_key == part.product_key]
    on_subscription = [line for line in same if line.subscription_key == part.subscription_key]
    found = on_subscription or (same if part.subscription_key is None else [])
    return found[0] if len(found) == 1 else None


def _spread(
    taxed_minor: int, untaxed_minor: int, lines: Sequence[Line], taken: Mapping[str, int], tax_minor: int
) -> dict[str, int]:
    """Take an amount, its share of the tax included, and one without tax off what is left of every line.

    Never more than the payment still amounts to.
    """
    left = [max(0, line.net_minor) - taken[line.key] for line in lines]
    net_minor = max(0, sum(left) + sum(min(0, line.net_minor) for line in lines))
    untaxed_minor = min(untaxed_minor, net_minor)
    net_minor -= untaxed_minor
    off_net_minor, _ = split_proportionally(min(taxed_minor, net_minor + tax_minor), [net_minor, tax_minor])
    parts = split_proportionally(untaxed_minor + off_net_minor, left)
    return {line.key: taken[line.key] + part for line, part in zip(lines, parts, strict=True)}
