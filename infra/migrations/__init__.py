"""The schema's history: `alembic` runs what is in `versions`, in order, through `env.py`."""
