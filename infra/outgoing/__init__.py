"""Webhooks to the company's own systems: endpoints, deliveries, and where they may not lead."""
