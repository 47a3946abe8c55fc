"""Celery workers, periodic chores and the command line."""
