"""Chargebee: verify, translate, client."""
