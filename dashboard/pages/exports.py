"""The files of `dashboard.api.exports`, for whoever signed in: lists link to theirs, with the filters they show."""

from starlette.responses import StreamingResponse

from dashboard.api.exports import FILES
from dashboard.pages.routes import manager_pages

router = manager_pages()

for _kind, (_, _write) in FILES.items():
    router.get(f"/exports/{_kind}", response_class=StreamingResponse)(_write)
