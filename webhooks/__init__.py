"""The receiver: verify, store, commit, acknowledge. No rule lives here."""
