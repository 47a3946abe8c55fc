"""The Stripe half of the corpus; `python -m tests.corpus.stripe_cases` writes its files anew."""

from tests.corpus.cases import FOLDER, Case
from tests.corpus.stripe_billing import billing_cases
from tests.corpus.stripe_money import money_cases


def stripe_cases() -> list[Case]:
    """Every case, as it is built."""
    return [*billing_cases(), *money_cases()]


def write() -> int:
    """Replace the files by what is built; how many there are."""
    for file in (FOLDER / "stripe").glob("*.json"):
        file.unlink()
    built = stripe_cases()
    for case in built:
        case.file.parent.mkdir(exist_ok=True)
        case.file.write_text(case.text(), encoding="utf-8")
    return len(built)


if __name__ == "__main__":
    write()
