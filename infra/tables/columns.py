"""What every table is made of: names of constraints, moments, sources of facts."""

from sqlalchemy import BigInteger, Column, DateTime, MetaData, SmallInteger, Text

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)


def at(name: str, *, nullable: bool = False, **options: object) -> Column[object]:
    """An aware moment."""
    return Column(name, DateTime(timezone=True), nullable=nullable, **options)  # type: ignore[arg-type]


def source(prefix: str, *, nullable: bool = False) -> tuple[Column[object], ...]:
    """Which event a row's facts came from; see `domain.facts.Source`."""
    return (
        Column(f"{prefix}_version", BigInteger, nullable=nullable),
        at(f"{prefix}_at", nullable=nullable),
        Column(f"{prefix}_rank", SmallInteger, nullable=nullable),
        Column(f"{prefix}_event", Text, nullable=nullable),
    )
