"""Which text can be an id of Chargebee's. Ids come from event bodies, and go into the paths of requests."""

import re
from typing import Final

#: Whatever a company may call its invoices, but nothing that leads elsewhere in a path.
_KEY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@ +:()#-]{0,254}", re.ASCII)


def could_be_key(text: str) -> bool:
    """Whether Chargebee could have given this id, or taken it from a company."""
    return _KEY.fullmatch(text) is not None and ".." not in text
