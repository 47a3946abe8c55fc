"""The resources of the API. Every module here is a `router`; the application finds it by itself.

A router: `router = manager_routes("/things", "things")` (API key) or `member_routes("/partner/things", ...)` (token of
a partner's member). Endpoints are plain functions `def change(visit: ThisVisit, key: Key, body: Change)
-> Answer[Thing]` ending in `return answered(thing, "changed")`. They work on `visit.connection` at `visit.now` for
`visit.who`; the route commits what they did, or rolls it back when they raise `Missing` (404), `Conflict` (409),
`Rejected` (400, with its field), `TryLater` (503).

A body: a `dashboard.fields.Body` of the kinds in that module; `body.sent()` has only the fields that were sent. A
list: filters extend `dashboard.lists.Page`, taken as `filters: Annotated[Filters, Query()]`, and
`listed(visit.connection, SELECT, filters, as_item, conditions=[...], **parameters)` answers it.

A POST needs nothing for Idempotency-Key; one whose answer holds a secret sets `visit.answer_is_secret = True`. What
changes something says so: `visit.audit("thing.changed", key, fields=[...])`, names of fields, never their values.
Every model of a body and of an item carries `json_schema_extra={"examples": [...]}`: operations take theirs from it.
`dashboard/api/product_book.py` shows all of this.
"""
