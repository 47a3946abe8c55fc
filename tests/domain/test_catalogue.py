"""The product book: exact matching, names as of a moment, and a hint for what is nearly right."""

from datetime import UTC, datetime

from domain.catalogue import Catalogue, Entry, EntryName, placeholder

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
INBOX = Entry("pbook_inbox", (EntryName(None, "Inbox"), EntryName(NOON, "Team Inbox")), "prod_inbox")
CHAT = Entry("pbook_chat", (EntryName(NOON, "Live Chat"),), "prod_chat")
BOOK = Catalogue(
    {entry.key: entry for entry in (INBOX, CHAT)},
    {"prod_inbox": INBOX.key, "prod_chat": CHAT.key, "price_bundle": INBOX.key},
)


def test_the_price_comes_before_the_product() -> None:
    """A price filed under another entry decides; without one the product does."""
    assert BOOK.match(("price_bundle",), "prod_chat") is INBOX
    assert BOOK.match(("price_other",), "prod_chat") is CHAT
    assert BOOK.match((), None) is None


def test_matching_is_exact_and_says_what_the_eye_misses() -> None:
    """Capitals count; a near miss is named, a stranger is not."""
    assert BOOK.match((), "Prod_chat") is None
    hint = '"Prod_chat" matches no product book entry; "prod_chat" (Live Chat) differs only in capitals'
    assert BOOK.near_miss("Prod_chat") == hint
    assert BOOK.near_miss("prod_surveys") is None


def test_a_name_holds_from_its_day_and_the_first_from_the_beginning() -> None:
    """Renaming does not reach back; the first known name does, even where it has a day."""
    before = NOON.replace(hour=11)
    assert (INBOX.name_at(before), INBOX.name_at(NOON)) == ("Inbox", "Team Inbox")
    assert CHAT.name_at(before) == "Live Chat"


def test_an_unknown_product_gets_one_entry_of_its_own() -> None:
    """Made twice it is one; the book that has it finds it and keeps what it had."""
    made = placeholder("stripe", "prod_new")
    assert made == placeholder("stripe", "prod_new") != placeholder("chargebee", "prod_new")
    book = BOOK.with_entries([made, INBOX])
    assert book.match((), "prod_new") == made
    assert made.needs_review
    assert book.match(("price_bundle",), None) is INBOX
