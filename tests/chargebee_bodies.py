"""Small Chargebee events for tests that look at the envelope alone."""

import json


def event_body(key: str, **fields: object) -> bytes:
    """A small event with the id `key`; further keywords replace or add fields, and None takes one out."""
    event = {
        "id": key,
        "occurred_at": 1_776_000_000,
        "source": "scheduled_job",
        "object": "event",
        "api_version": "v2",
        "content": {"customer": {"id": "cust_1", "object": "customer", "resource_version": 1_776_000_000_123}},
        "event_type": "customer_changed",
        "webhook_status": "scheduled",
        **fields,
    }
    return json.dumps({name: value for name, value in event.items() if value is not None}, indent=4).encode()
