"""The pages: what the API answers, as HTML, for people who signed in. Every module with a `router` is mounted.

An endpoint is a plain function `def show(page: ThisPage, key: Key) -> Response` on `manager_pages()` or
`partner_pages()`. It calls the functions of `dashboard.api` with its `page`, which is a visit like any other, and ends
in `page.show("template.html", ...)`, or after a POST in `page.done("/path", "what was done")`. It reads and writes
nothing by itself: what a page shows or does, the API shows and does, redacted and audited alike.

A POST is let in with the session's form token only. What it was sent is `page.form`; `page.attempt(...)` gives what was
done, or the `Mistakes` for the form to show, with nothing of the attempt left behind. See decision 0034.
"""
