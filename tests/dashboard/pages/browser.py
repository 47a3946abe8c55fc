"""What a browser does with the pages: keeps cookies, follows redirections, reads HTML and sends its forms."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx

_VOID = {"meta", "link", "input", "br", "img", "hr"}
#: As the program names the cookies without https.
SESSION = {"manager": "attribution-manager-manager", "partner": "attribution-partner-partner"}


@dataclass
class Form:
    """A form with what it holds."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    #: Where its buttons of their own lead, by what they say.
    buttons: dict[str, str] = field(default_factory=dict)
    #: What pressing one of them sends beside the fields.
    sent_by: dict[str, dict[str, str]] = field(default_factory=dict)


class Sheet(HTMLParser):
    """A page, read. Raises AssertionError for tags that do not close."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.answer = answer
        self.html = answer.text
        self.links: list[str] = []
        self.forms: list[Form] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self._texts: list[str] = []
        self._button: str | None = None
        self._sent: dict[str, str] = {}
        self._select: str | None = None
        self._area: str | None = None
        self.feed(self.html)
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a test may ask for."""
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag not in _VOID:
            self._open.append(tag)
        if "id" in found:
            self.ids.append(str(found["id"]))
        if tag == "a":
            self.links.append(str(found["href"]))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        self._form_part(tag, found)

    def _form_part(self, tag: str, found: Mapping[str, str | None]) -> None:
        match tag:
            case "form":
                self.forms.append(Form(str(found.get("method")), str(found.get("action"))))
            case "input":
                self._input(found)
            case "select":
                self._select = str(found["name"])
            case "option" if self._select and ("selected" in found or self._select not in self.forms[-1].fields):
                self.forms[-1].fields[self._select] = str(found.get("value", ""))
            case "textarea":
                self._area = str(found["name"])
                self.forms[-1].fields[self._area] = ""
            case "button":
                self._button = str(found.get("formaction") or self.forms[-1].action)
                self._sent = {str(found["name"]): str(found.get("value", ""))} if "name" in found else {}

    def _input(self, found: Mapping[str, str | None]) -> None:
        name = str(found["name"])
        if found.get("type") != "checkbox":
            self.forms[-1].fields[name] = str(found.get("value", ""))
        elif "checked" in found:
            self.forms[-1].fields[name] = "on"

    def handle_endtag(self, tag: str) -> None:
        """Every tag closes the one opened last."""
        if tag in _VOID:
            return
        assert self._open.pop() == tag, tag
        self._select = None if tag == "select" else self._select
        self._area = None if tag == "textarea" else self._area
        self._button = None if tag == "button" else self._button

    def handle_data(self, data: str) -> None:
        """Text, to the row or field that it is in."""
        self._texts.append(data)
        if self._area is not None:
            self.forms[-1].fields[self._area] += data.removeprefix("\n")
        if self._button is not None:
            self.forms[-1].buttons[data.strip()] = self._button
            self.forms[-1].sent_by[data.strip()] = self._sent
        if self.rows and self.rows[-1] and {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        """All that is read, spaces made one."""
        return re.sub(r"\s+", " ", " ".join(self._texts))

    @property
    def cells(self) -> list[list[str]]:
        """The tables' rows, as read."""
        return [[re.sub(r"\s+", " ", cell).strip() for cell in row] for row in self.rows]

    def form(self, button: str) -> Form:
        """The form with this button."""
        (found,) = [form for form in self.forms if button in form.buttons]
        return found


class Browser:
    """Somebody's browser."""

    def __init__(self, url: str, *, side: str = "manager", session: str | None = None) -> None:
        self.client = httpx.Client(base_url=url, timeout=30)
        if session is not None:
            self.client.cookies.set(SESSION[side], session, domain="127.0.0.1", path="/")

    def get(self, path: str, status: int = 200) -> Sheet:
        """One page."""
        answer = self.client.get(path)
        assert answer.status_code == status, f"{path}: {answer.status_code}: {answer.text}"
        return Sheet(answer)

    def press(self, sheet: Sheet, button: str, status: int = 200, **fields: str) -> Sheet:
        """Fill a form in, press a button of it, and read where that leads to."""
        form = sheet.form(button)
        answer = self.send(form.buttons[button], {**form.fields, **form.sent_by[button], **fields}, form.method)
        assert answer.status_code == status, f"{button}: {answer.status_code}: {answer.text}"
        return Sheet(answer)

    def send(self, action: str, fields: Mapping[str, str], method: str = "post") -> httpx.Response:
        """A form, and the page that follows it."""
        options: dict[str, Any] = {"params": fields} if method == "get" else {"data": fields}
        answer = self.client.request(method.upper(), action, **options)
        return self.client.get(answer.headers["location"]) if answer.status_code == httpx.codes.SEE_OTHER else answer

    def close(self) -> None:
        """Give back the connections."""
        self.client.close()
