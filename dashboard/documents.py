"""The API's description: OpenAPI as JSON, and as a page that needs nothing from anywhere else.

Examples are written once, on the models; each operation's are made of them.
"""

import html
import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

TITLE = "Product Attribution API"
VERSION = "2"
DESCRIPTION = (
    "Answers are `{data, message, status}`, errors `{message, status, errors: [{field, message}]}`; bad input is 400 "
    "and lists every mistake. Lists are newest first; `starting_after` and `ending_before` take an item's `key`. "
    "Times are epoch milliseconds, money is an integer in minor units. A POST with an `Idempotency-Key` may be "
    "repeated for 24 hours and is answered as it was the first time; with another body it is refused with 409."
)
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Any text of yours; the same key and request get the same answer for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}

Schema = dict[str, Any]


def describe(app: FastAPI) -> Schema:
    """The OpenAPI document, with an example on every operation whose models have one."""
    document = get_openapi(title=TITLE, version=VERSION, description=DESCRIPTION, routes=app.routes)
    for path in document["paths"].values():
        for verb, operation in path.items():
            _complete(verb, operation, document)
    return document


def _complete(verb: str, operation: Schema, document: Schema) -> None:
    # FastAPI declares 422 by itself; here bad input is 400.
    operation["responses"].pop("422", None)
    if verb == "post":
        operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
    for content in _contents(operation):
        example = _example_of(content.get("schema", {}), document)
        if example is not None and not {"example", "examples"} & set(content):
            content["example"] = example


def _contents(operation: Schema) -> list[Schema]:
    parts = [operation.get("requestBody", {}), *operation["responses"].values()]
    return [content for part in parts for content in part.get("content", {}).values()]


def _example_of(schema: Schema, document: Schema) -> Any:
    """An example of a schema: its own, or one put together from those of its parts; None if a part has none."""
    if "$ref" in schema:
        return _example_of(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("type") == "array":
        one = _example_of(schema.get("items", {}), document)
        return None if one is None else [one]
    if {"items", "has_more"} == set(schema.get("properties", {})):
        items = _example_of(schema["properties"]["items"], document)
        return None if items is None else {"items": items, "has_more": False}
    if {"data", "message", "status"} == set(schema.get("properties", {})):
        found = _example_of(schema["properties"]["data"], document)
        return None if found is None else {"data": found, "message": "done", "status": 200}
    return None


def page(document: Schema) -> str:
    """The document as a page: every operation with what it takes and answers."""
    sections = [
        _operation(verb, path, operation, document)
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    ]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{TITLE}</title><style>{STYLE}</style></head><body><main><h1>{TITLE}</h1>"
        f"<p>{html.escape(DESCRIPTION)}</p><p>As JSON: <a href='openapi.json'>openapi.json</a></p>"
        f"{''.join(sections)}</main></body></html>"
    )


STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem}main{max-width:60rem;margin:auto}"
    "pre,code{font:13px/1.4 ui-monospace,monospace}pre{background:#f4f4f2;padding:.7rem;overflow:auto}"
    "h2{border-top:1px solid #ddd;padding-top:1rem;font-size:1.05rem}td{padding:.1rem 1rem .1rem 0;vertical-align:top}"
)


def _operation(verb: str, path: str, operation: Schema, document: Schema) -> str:
    parameters = "".join(
        f"<tr><td><code>{html.escape(each['name'])}</code></td><td>{each['in']}</td>"
        f"<td>{html.escape(each.get('description') or each.get('schema', {}).get('description', ''))}</td></tr>"
        for each in operation.get("parameters", [])
    )
    examples = "".join(
        f"<h3>{label}</h3><pre>{html.escape(json.dumps(example, indent=2, ensure_ascii=False))}</pre>"
        for label, example in _examples(operation)
    )
    statuses = ", ".join(sorted(operation["responses"]))
    return (
        f"<section><h2><code>{verb.upper()} {html.escape(path)}</code></h2>"
        f"<p>{html.escape(operation.get('description') or operation.get('summary', ''))}</p>"
        f"<table>{parameters}</table>{examples}<p>Answers: {statuses}</p></section>"
    )


def _examples(operation: Schema) -> list[tuple[str, Any]]:
    parts = {"Body": operation.get("requestBody", {}), "Answer": operation["responses"].get("200", {})}
    return [
        (label, content["example"])
        for label, part in parts.items()
        for content in part.get("content", {}).values()
        if "example" in content
    ]
