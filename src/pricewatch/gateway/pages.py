"""The files of the live page and of the API's pages, under a policy that lets nothing else in."""

from __future__ import annotations

import hashlib
from importlib import resources

from aiohttp import web

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES = {
    "/": ("dashboard/index.html", "text/html"),
    "/app.js": ("dashboard/app.js", "text/javascript"),
    "/style.css": ("dashboard/style.css", "text/css"),
    "/icon.svg": ("dashboard/icon.svg", "image/svg+xml"),
    "/api/docs": ("apidocs/index.html", "text/html"),
    "/api/docs/start.js": ("apidocs/start.js", "text/javascript"),
    "/api/docs/swagger-ui.css": ("apidocs/swagger-ui.css", "text/css"),
    "/api/docs/swagger-ui-bundle.js": ("apidocs/swagger-ui-bundle.js", "text/javascript"),
}
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Pages:
    """Read once at the start."""

    def __init__(self) -> None:
        folder = resources.files("pricewatch.gateway")
        self._pages = {path: (folder.joinpath(name).read_bytes(), kind) for path, (name, kind) in _FILES.items()}

    def paths(self) -> list[str]:
        """What is served."""
        return list(self._pages)

    async def serve(self, request: web.Request) -> web.Response:
        """The file, or 304 when the browser has it."""
        body, kind = self._pages[request.path]
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        headers = {**_HEADERS, "ETag": tag}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
