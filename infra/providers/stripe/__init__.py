"""Stripe: verify, translate, client."""
