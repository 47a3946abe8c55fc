"""What refunds, credit notes and disputes leave of a payment."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from domain.facts import InvoiceLine, InvoicePaid, Reversal, ReversalKind, ReversalLine, Source
from domain.reversals import key_of, merged, settle
from domain.transactions import Basis, Transaction, transaction_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def payment(*amounts: int, total: int | None = None, discount: int = 0) -> Transaction:
    """A paid invoice with a line per amount, of products 0, 1, ..., on subscriptions of the same numbers."""
    lines = tuple(
        InvoiceLine(f"il_{n}", f"sub_{n}", f"prod_{n}", (), amount, discount if amount > 0 else 0, 1, recurring=True)
        for n, amount in enumerate(amounts)
    )
    source = Source(0, NOON, 1, "evt_paid")
    return transaction_of(
        InvoicePaid("stripe", "in_1", "cus_1", source, NOON, "usd", lines, lines_missing=False, total_minor=total)
    )


def back(kind: ReversalKind, amount: int, key: str = "1", **details: object) -> Reversal:
    """One reversal of that payment."""
    plain = Reversal("stripe", kind, key, Source(0, NOON, 1, f"evt_{kind}_{key}"), "usd", amount, invoice_key="in_1")
    return replace(plain, **details)  # type: ignore[arg-type]


def left(paid: Transaction, *reversals: Reversal) -> list[int]:
    """What is left of each line."""
    return [line.net_minor - line.reversed_minor for line in settle(paid, reversals).lines]


REFUND, REFUNDED = ReversalKind.REFUND, ReversalKind.REFUNDED
NOTE, DISPUTE = ReversalKind.CREDIT_NOTE, ReversalKind.DISPUTE


def test_a_refund_lowers_every_line_in_proportion() -> None:
    """10.00 off 49.00 and 99.00 is 3.31 and 6.69: largest remainders, and nothing lost."""
    assert left(payment(4_900, 9_900), back(REFUND, 1_000)) == [4_900 - 331, 9_900 - 669]


def test_a_refund_takes_its_share_of_the_tax() -> None:
    """Half of 120.00, 20.00 tax in it, leaves half of the line; all of it leaves nothing."""
    assert left(payment(10_000, total=12_000), back(REFUND, 6_000)) == [5_000]
    assert left(payment(10_000, total=12_000), back(REFUND, 12_000)) == [0]


def test_a_failed_refund_is_undone() -> None:
    """What the bank sent back to the company was never refunded."""
    assert left(payment(1_000), back(REFUND, 400, undone_minor=400)) == [1_000]
    assert left(payment(1_000), back(REFUND, 400, undone_minor=400), back(REFUND, 100, "2")) == [900]


def test_refunds_told_in_all_and_one_by_one_count_once() -> None:
    """The larger of both is what went back; a refund that failed comes off the sum in all."""
    one, two = back(REFUND, 300), back(REFUND, 200, "2")
    assert left(payment(1_000), one, two, back(REFUNDED, 500, "ch_1")) == [500]
    assert left(payment(1_000), one, back(REFUNDED, 500, "ch_1")) == [500]
    failed = back(REFUND, 300, undone_minor=300)
    assert left(payment(1_000), failed, back(REFUNDED, 500, "ch_1")) == [800]
    assert left(payment(1_000), back(REFUNDED, 300, "ch_1"), back(REFUNDED, 200, "ch_2")) == [500]


def test_a_dispute_counts_what_was_withdrawn_and_not_reinstated() -> None:
    """An inquiry moves nothing, a lost dispute takes, a won one gives back."""
    assert left(payment(1_000), back(DISPUTE, 0)) == [1_000]
    assert left(payment(1_000), back(DISPUTE, 1_000)) == [0]
    assert left(payment(1_000), back(DISPUTE, 1_000, undone_minor=1_000)) == [1_000]


def test_a_credit_note_lowers_its_own_lines() -> None:
    """By the provider's line id, by subscription and product, or by a product that is clear."""
    paid = payment(1_000, 500)
    assert left(paid, back(NOTE, 300, lines=(ReversalLine(300, line_key="il_1"),))) == [1_000, 200]
    by_product = ReversalLine(300, subscription_key="sub_0", product_key="prod_0")
    assert left(paid, back(NOTE, 300, lines=(by_product,))) == [700, 500]
    assert left(paid, back(NOTE, 300, lines=(ReversalLine(300, product_key="prod_1"),))) == [1_000, 200]


def test_a_credit_note_about_no_line_of_ours_is_spread() -> None:
    """Another subscription's product, or no lines at all: in proportion to what is left."""
    paid = payment(1_000, 500)
    elsewhere = ReversalLine(300, subscription_key="sub_9", product_key="prod_0")
    assert left(paid, back(NOTE, 300, lines=(elsewhere,))) == [800, 400]
    assert left(paid, back(NOTE, 300)) == [800, 400]


def test_the_lines_of_one_credit_note_are_placed_one_by_one() -> None:
    """Those about nothing of ours are spread together, those about a line come off that line, in any order."""
    strange = ReversalLine(300, subscription_key="sub_9", product_key="prod_0"), ReversalLine(200, line_key="il_9")
    ours = ReversalLine(100, line_key="il_1")
    for parts in ((*strange, ours), (ours, *strange)):
        assert left(payment(1_000, 500), back(NOTE, 600, lines=parts)) == [643, 257]


def test_a_line_is_named_by_its_id_before_anything_else() -> None:
    """A part that names nothing is about no line, not even one without a product."""
    paid = payment(1_000, 500)
    assert left(paid, back(NOTE, 300, lines=(ReversalLine(300, line_key="il_1", product_key="prod_0"),))) == [
        1_000,
        200,
    ]
    bare = replace(paid, lines=tuple(replace(each, product_key=None) for each in paid.lines[:1]) + paid.lines[1:])
    assert left(bare, back(NOTE, 300, lines=(ReversalLine(300),))) == [800, 400]


def test_nothing_is_taken_off_a_free_line() -> None:
    """A note about a line of nothing takes nothing, there or elsewhere."""
    assert left(payment(1_000, 0), back(NOTE, 100, lines=(ReversalLine(100, line_key="il_1"),))) == [1_000, 0]


def test_a_credit_note_takes_no_more_than_its_line_has() -> None:
    """What is too much is not taken from another product; several notes share the line."""
    paid = payment(1_000, 500)
    notes = [back(NOTE, 400, str(n), lines=(ReversalLine(400, line_key="il_1"),)) for n in range(2)]
    assert left(paid, *notes) == [1_000, 0]
    double = (ReversalLine(300, line_key="il_1"), ReversalLine(300, line_key="il_1"))
    assert left(paid, back(NOTE, 600, lines=double)) == [1_000, 0]


def test_a_credit_note_with_its_tax_leaves_less_tax_to_refund() -> None:
    """After the whole line was credited with its tax, a refund takes from the other line alone."""
    paid = payment(1_000, 1_000, total=2_400)
    note = back(NOTE, 1_200, lines=(ReversalLine(1_000, line_key="il_0"),))
    assert left(paid, note) == [0, 1_000]
    assert left(paid, note, back(REFUND, 600)) == [0, 500]


def test_a_refund_that_a_credit_note_covers_counts_once() -> None:
    """The note says which line; the refund is how the money went back. What exceeds it counts on top."""
    note = back(NOTE, 300, lines=(ReversalLine(300, line_key="il_0"),), refunded_minor=300)
    assert left(payment(1_000), note, back(REFUND, 300)) == [700]
    assert left(payment(1_000), note, back(REFUND, 400)) == [600]
    assert left(payment(1_000), note, back(REFUNDED, 300, "ch_1")) == [700]


def test_a_note_whose_own_refund_failed_stands_beside_other_refunds() -> None:
    """Another refund counts on its own; one of the same amount is the failed one made again."""
    line = (ReversalLine(300, line_key="il_0"),)
    note = back(NOTE, 300, lines=line, refunded_minor=300, refunds=(("re_n", 300),))
    failed = back(REFUND, 300, "re_n", undone_minor=300)
    assert left(payment(1_000), note, failed) == [700]
    assert left(payment(1_000), note, failed, back(REFUND, 200, "re_p")) == [500]
    assert left(payment(1_000), note, failed, back(REFUND, 300, "re_p")) == [700]
    assert left(payment(1_000), note, failed, back(REFUND, 200, "re_p"), back(REFUNDED, 500, "ch_1")) == [500]
    both = [back(REFUND, 300, "re_p"), back(REFUND, 200, "re_q")]
    assert left(payment(1_000), note, failed, *both) == [500]
    assert left(payment(1_000), note, back(REFUND, 300, "re_n"), *both) == [200]


def test_of_a_note_that_two_refunds_paid_out_the_one_that_failed_covers_nothing() -> None:
    """What the other paid out counts once; and where no refund is named, whatever was paid back pays the note out."""
    line = (ReversalLine(300, line_key="il_0"),)
    note = back(NOTE, 300, lines=line, refunded_minor=300, refunds=(("re_m", 100), ("re_n", 200)))
    told = back(REFUND, 100, "re_m"), back(REFUND, 250, "re_n", undone_minor=250)
    assert left(payment(1_000), note, *told) == [700]
    assert left(payment(1_000), note, *told, back(REFUND, 50, "re_p")) == [650]
    unnamed = replace(note, refunds=())
    assert left(payment(1_000), unnamed, *told, back(REFUND, 50, "re_p")) == [700]
    other = back(
        NOTE, 400, "2", lines=(ReversalLine(400, line_key="il_0"),), refunded_minor=400, refunds=(("re_o", 400),)
    )
    assert left(payment(1_000), note, other, *told, back(REFUND, 250, "re_o")) == [300]


def test_a_credit_note_covers_all_that_it_takes_and_no_more() -> None:
    """Its tax, what none of our lines answers to, and all of it where it names no lines; the rest is a plain refund."""
    taxed = payment(1_000, 1_000, total=2_400)
    whole_line = back(NOTE, 1_200, lines=(ReversalLine(1_000, line_key="il_0"),), refunded_minor=1_200)
    assert left(taxed, whole_line, back(REFUND, 1_200)) == [0, 1_000]
    assert left(taxed, whole_line, back(REFUND, 1_320)) == [0, 900]
    elsewhere = back(NOTE, 300, lines=(ReversalLine(300, line_key="il_9"),), refunded_minor=300)
    bare = back(NOTE, 300, refunded_minor=900)
    for note in (elsewhere, bare):
        assert left(payment(1_000, 500), note, back(REFUND, 300)) == [800, 400]
        assert left(payment(1_000, 500), note, back(REFUND, 450)) == [700, 350]
    too_much = back(NOTE, 1_200, lines=(ReversalLine(1_200, line_key="il_0"),), refunded_minor=1_200)
    assert left(payment(1_000, 500), too_much) == [0, 500]
    assert left(payment(1_000, 500), too_much, back(REFUND, 1_200)) == [0, 300]


def test_what_a_credit_note_has_no_line_for_is_spread_without_tax() -> None:
    """Half of the goods and half of the tax leave half; then what is left of both is refunded in proportion."""
    paid = payment(600, 400, total=1_200)
    note = back(NOTE, 600, lines=(ReversalLine(500, line_key="il_9"),))
    assert left(paid, note) == [300, 200]
    assert left(paid, note, back(REFUND, 300)) == [150, 100]
    assert left(paid, back(NOTE, 5_000, lines=(ReversalLine(5_000, line_key="il_9"),))) == [0, 0]
    credited = payment(600, -200, total=400)
    assert left(credited, back(NOTE, 500, lines=(ReversalLine(500, line_key="il_9"),))) == [200, -200]


def test_a_voided_credit_note_takes_and_covers_nothing() -> None:
    """Its refund, if there was one, counts on its own again."""
    note = back(NOTE, 300, lines=(ReversalLine(300, line_key="il_0"),), refunded_minor=300, undone_minor=300)
    assert left(payment(1_000), note) == [1_000]
    assert left(payment(1_000), note, back(REFUND, 200)) == [800]


def test_never_more_is_taken_than_was_paid() -> None:
    """A refund and a dispute of the same payment leave nothing, not less; credits are left alone."""
    assert left(payment(1_000), back(REFUND, 1_000), back(DISPUTE, 1_000)) == [0]
    paid = payment(1_000, -400)
    assert left(paid, back(REFUND, 600)) == [400, -400]
    assert left(paid, back(REFUND, 900)) == [400, -400]


def test_an_invoice_that_is_paid_no_longer_leaves_nothing_until_it_is_paid_again() -> None:
    """The newer word counts: unpaid after paid takes everything, and paid after unpaid gives it back."""
    paid = payment(1_000, 500, -200)

    def unpaid(version: int) -> Reversal:
        return back(ReversalKind.UNPAID, 1_300, "in_1/unpaid", source=Source(version, NOON, 1, "evt_unpaid"))

    assert left(replace(paid, source=Source(5, NOON, 1, "evt_paid")), unpaid(6)) == [0, 0, -200]
    assert left(replace(paid, source=Source(7, NOON, 1, "evt_again")), unpaid(6)) == [1_000, 500, -200]
    assert merged(unpaid(6), unpaid(8)) == unpaid(8)


def test_another_currency_says_nothing_of_it() -> None:
    """An amount in euros is not taken off dollars."""
    assert left(payment(1_000), back(REFUND, 500, currency="eur")) == [1_000]


def test_gross_keeps_the_discount_in_what_is_left() -> None:
    """Half of the net went back: half of the gross is left."""
    paid = settle(payment(1_000, discount=200), [back(REFUND, 400)])
    assert (paid.left_minor(Basis.NET), paid.left_minor(Basis.GROSS)) == (400, 500)
    assert (paid.amount_minor(Basis.NET), paid.amount_minor(Basis.GROSS)) == (800, 1_000)
    assert paid.reversed_minor == 400


def test_all_the_money_of_a_whole_takes_its_discounts_with_it() -> None:
    """100.00 less 20.00, and 50.00 credited: of the 30.00 paid half, then all went back, and of 50.00 as well."""
    paid = payment(10_000, -5_000, discount=2_000)
    assert (paid.amount_minor(Basis.NET), paid.amount_minor(Basis.GROSS)) == (3_000, 5_000)
    half, whole = (settle(paid, [back(REFUND, amount)]) for amount in (1_500, 3_000))
    assert (half.left_minor(Basis.NET), half.left_minor(Basis.GROSS)) == (1_500, 2_500)
    assert (whole.left_minor(Basis.NET), whole.left_minor(Basis.GROSS)) == (0, 0)


def test_what_a_note_left_of_a_whole_is_what_it_left_of_its_lines() -> None:
    """Two at 100.00, one of them at half price, and a note credits the other: 50.00 for 100.00 is left."""
    lines = (replace(payment(10_000).lines[0], discount_minor=5_000), *payment(0, 10_000).lines[1:])
    paid = replace(payment(), lines=lines)
    noted = settle(paid, [back(NOTE, 10_000, lines=(ReversalLine(10_000, line_key="il_1"),))])
    assert (noted.left_minor(Basis.NET), noted.left_minor(Basis.GROSS)) == (5_000, 10_000)


@given(
    st.lists(st.tuples(st.integers(-5_000, 5_000), st.integers(0, 100)), max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5_000)), max_size=3),
    st.integers(0, 8_000),
)
def test_a_whole_is_worth_no_more_than_it_was_and_nothing_without_its_money(
    billed: list[tuple[int, int]], noted: list[tuple[int, int]], refunded: int
) -> None:
    """Whatever was discounted, credited, noted and refunded, on either basis."""
    lines = [
        replace(line, discount_minor=max(0, line.gross_minor) * percent // 100)
        for line, (_, percent) in zip(payment(*(amount for amount, _ in billed)).lines, billed, strict=True)
    ]
    paid = replace(payment(), lines=tuple(lines))
    notes = [
        back(NOTE, amount, str(n), lines=(ReversalLine(amount, line_key=f"il_{place}"),))
        for n, (place, amount) in enumerate(noted)
    ]
    settled = settle(paid, [*notes, back(REFUND, refunded)])
    money_left = settled.net_minor - settled.reversed_minor
    assert settled.left_minor(Basis.NET) == money_left
    if paid.net_minor > 0:
        assert settled.left_minor(Basis.GROSS) <= paid.amount_minor(Basis.GROSS)
        assert (settled.left_minor(Basis.GROSS) > 0) <= (money_left > 0)


reversals = st.lists(
    st.builds(
        back,
        st.sampled_from([REFUND, REFUNDED, DISPUTE]),
        st.integers(0, 3_000),
        st.sampled_from("123"),
        undone_minor=st.integers(0, 3_000),
        source=st.builds(Source, st.just(0), st.just(NOON), st.just(1), st.sampled_from("abcdef")),
    ),
    max_size=6,
)


def together(sightings: list[Reversal]) -> dict[tuple[str, str, str], Reversal]:
    """All that was seen of each reversal."""
    known: dict[tuple[str, str, str], Reversal] = {}
    for seen in sightings:
        known[key_of(seen)] = merged(known[key_of(seen)], seen) if key_of(seen) in known else seen
    return known


@given(reversals, st.randoms(use_true_random=False), st.integers(0, 500))
def test_neither_order_nor_repetition_of_sightings_matters(found: list[Reversal], random: object, tax: int) -> None:
    """Any order, any sighting twice: the same is left, between nothing and all of each line."""
    paid = payment(1_000, 500, -200, total=1_300 + tax)
    shuffled = [*found, *found]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = left(paid, *together(found).values()), left(paid, *together(shuffled).values())
    assert first == second
    assert all(0 <= rest <= max(line.net_minor, 0) or rest == line.net_minor
               for rest, line in zip(first, paid.lines, strict=True))  # fmt: skip
    assert sum(first) >= 0


def test_what_an_older_sighting_knew_is_kept() -> None:
    """Invoice, payments, customer and lines of any sighting stay known; the newest says the rest."""
    older = back(
        NOTE,
        5,
        lines=(ReversalLine(5, line_key="il_0"),),
        payment_keys=("pi_1",),
        refunded_minor=4,
        refunds=(("re_1", 3), ("re_2", 1)),
    )
    newer = replace(older, source=Source(0, NOON, 1, "evt_z"), amount_minor=3, undone_minor=3, lines=(),
                    invoice_key=None, payment_keys=("pi_2",), refunded_minor=1, refunds=(("re_2", 2), ("re_3", 1)),
                    provider_customer_key="cus_1")  # fmt: skip
    for found in (merged(older, newer), merged(newer, older)):
        assert (found.amount_minor, found.undone_minor, found.invoice_key) == (5, 3, "in_1")
        assert (found.payment_keys, found.lines) == (("pi_1", "pi_2"), older.lines)
        assert (found.source, found.provider_customer_key) == (newer.source, "cus_1")
        assert found.refunded_minor == 4
        assert found.refunds == (("re_1", 3), ("re_2", 2), ("re_3", 1))
    named = replace(older, provider_customer_key="cus_1")
    unnamed = replace(newer, provider_customer_key=None)
    assert merged(named, unnamed).provider_customer_key == merged(unnamed, named).provider_customer_key == "cus_1"
