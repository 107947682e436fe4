"""The web page at /, under a policy that lets it run its own files and talk to its own service, nothing else."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

from serve.api.errors import not_found

router = APIRouter(include_in_schema=False)

FOLDER = Path(str(files("serve.web")))
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
SERVED = {path.name: path for path in FOLDER.iterdir() if path.suffix in TYPES}
"""Every file of the page, by name; a request's text never becomes a path."""


def _file(name: str) -> FileResponse:
    path = SERVED.get(name)
    if path is None:
        raise not_found("file", name[:60])
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return FileResponse(path, media_type=TYPES[path.suffix], headers=headers)


@router.get("/")
async def index() -> FileResponse:
    """The page. It holds nothing of anybody's; what it shows it asks the API for, with a key."""
    return _file("index.html")


@router.get("/web/{name}")
async def file(name: str) -> FileResponse:
    """One of the page's files."""
    return _file(name)
