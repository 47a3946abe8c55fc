"""How many rows there are of what history is made of, kept by the database itself: see decision 0038."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Table, Text

from infra.tables.columns import metadata

#: Differences; what there is is their sum. Triggers write them beside the change, in its transaction: nobody waits for
#: anybody. Now and then they are folded into one. Events that are open or dead are in no tally: an index counts those.
tallies = Table(
    "tallies",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("counted", Text, nullable=False),
    Column("state", Text, nullable=False),
    #: Of commissions only.
    Column("currency", Text),
    Column("number", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("counted in ('events', 'commissions')", name="counted"),
    CheckConstraint("(counted = 'commissions') = (currency is not null)", name="currency"),
)
