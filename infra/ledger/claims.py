"""Load what was said of whose customers and sales are: as much of it as decides, not all that was ever said.

A provider's customer names its partner again with every event. Such a repetition decides nothing as long as it stands
behind another that names the same; whatever comes between the two is late, and then the one after it is read as well.
Triggers mark what repeats (`claims.repeats`), each subject by itself: where claims under several names of one customer
come together, one may stand between two of another, and all of them are read.
"""

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Connection

from domain.customers import Claim
from infra.ledger.shapes import claim_of
from infra.rows import as_json, fetch

Said = Mapping[str, tuple[Claim, ...]]

#: The claims that events tell anew as they are recorded, and what comes right after where they stood and will stand.
_BESIDE = """
with told as (
    select * from json_to_recordset(cast(:told as json)) as t(subject text, learnt_at timestamptz, cause text)
), places as (
    select subject, learnt_at, cause from told
    union
    select c.subject, c.learnt_at, c.cause from told join claims c using (subject, cause)
)
select c.* from told join claims c using (subject, cause)
union
select next.* from places cross join lateral (
    select * from claims c where c.subject = places.subject and c.learnt_at >= places.learnt_at
        and (c.learnt_at, c.cause collate "C") > (places.learnt_at, places.cause)
    order by c.learnt_at, c.cause collate "C" limit 1
) next
"""


def load_claims(
    connection: Connection,
    subjects: Collection[str],
    together: Iterable[Collection[str]] = (),
    told: Collection[Claim] = (),
) -> dict[str, tuple[Claim, ...]]:
    """What decides whose each subject is, per subject.

    `together`: subjects whose claims are read as one, for they are one customer's or may become so. `told`: what is
    about to be recorded.
    """
    if not subjects:
        return {}
    found: dict[tuple[str, str], Claim] = {}
    rows = fetch(
        connection, "select * from claims where subject = any(:subjects) and not repeats", subjects=sorted(subjects)
    )
    found |= {(row.subject, row.cause): claim_of(row) for row in rows}
    if told:
        beside = fetch(connection, _BESIDE, told=as_json(_place(claim) for claim in told))
        found |= {(row.subject, row.cause): claim_of(row) for row in beside}
    claimed = {subject for subject, _ in found} | {claim.subject for claim in told}
    mixed = {each for group in together if len(claimed.intersection(group)) > 1 for each in group}
    if mixed:
        rows = fetch(connection, "select * from claims where subject = any(:subjects)", subjects=sorted(mixed))
        found |= {(row.subject, row.cause): claim_of(row) for row in rows}
    said: dict[str, list[Claim]] = {}
    for (subject, _), claim in found.items():
        said.setdefault(subject, []).append(claim)
    return {subject: tuple(claims) for subject, claims in said.items()}


def _place(claim: Claim) -> dict[str, object]:
    return {"subject": claim.subject, "learnt_at": claim.learnt_at, "cause": claim.cause}
