"""The Chargebee half of the corpus; `python -m tests.corpus.chargebee_cases` writes its files anew."""

from tests.corpus.cases import FOLDER, Case
from tests.corpus.chargebee_money import money_cases
from tests.corpus.chargebee_people import people_cases


def chargebee_cases() -> list[Case]:
    """Every case, as it is built."""
    return [
        Case(name, "chargebee", about, event, expect)
        for name, about, event, expect in (*people_cases(), *money_cases())
    ]


def write() -> int:
    """Replace the files by what is built; how many there are."""
    for file in (FOLDER / "chargebee").glob("*.json"):
        file.unlink()
    built = chargebee_cases()
    for case in built:
        case.file.parent.mkdir(exist_ok=True)
        case.file.write_text(case.text(), encoding="utf-8")
    return len(built)


if __name__ == "__main__":
    write()
