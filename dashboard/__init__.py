"""The management API and the pages: who asks, what they may see, and answers in one form; no rule in it."""
