"""The project's own corpus of provider events with what each means; see README.md for the format."""
