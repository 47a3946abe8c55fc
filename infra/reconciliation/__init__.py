"""Our books beside a provider's: gaps filled from its event list, objects compared, repairs through the same path.

A run is a row that says how far it has come; every step is one page and one commit, so it goes on after any crash.
"""
