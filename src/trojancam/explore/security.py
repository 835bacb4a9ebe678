"""Security: only the explorer's own page is answered, nothing larger than it may be is read, and pages load nothing foreign."""

import hmac
import html
import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trojancam.explore.refusals import ForbiddenError, RefusedError, TooLargeError, told_to_page

TOKEN_HEADER = "x-trojancam-token"
COOKIE = "trojancam"
JSON_BYTES = 4 * 2**20
IN_THE_ADDRESS = re.compile(
    r"/api/(scans|repairs)/[^/]+/(page|events|network)"
)  # where a browser can send no header of ours

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
REPORT_POLICY = (  # a report is one file with its own styles and scripts: it may run, but knows nothing of the explorer
    "sandbox allow-scripts allow-popups; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; frame-ancestors 'none'"
)
REFUSAL = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,"><title>TrojanCAM</title></head>
<body><h1>TrojanCAM</h1><p>{sentence}</p></body>
</html>
"""
HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Access:
    """Who may ask: where the server listens, the token of its page, and the secret of its address.

    The secret is asked for on this machine, too: others may have accounts on it.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def only_this_machine(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host == "localhost" or (_is_address(self.host) and ipaddress.ip_address(self.host).is_loopback)

    @property
    def address(self) -> str:
        """Where people find the page, with the secret."""
        return f"{self.place}?token={self.secret}"

    @property
    def cookie(self) -> str:
        """The name that the secret has as a cookie; browsers tell explorers on one host apart by nothing else."""
        return f"{COOKIE}-{self.port}"

    @property
    def place(self) -> str:
        """Where the page is, without the secret: for those who may not know it."""
        anywhere = _is_address(self.host) and ipaddress.ip_address(self.host).is_unspecified
        host = socket.gethostname() if anywhere else self.host
        return f"http://{_bracketed(host)}:{self.port}/"

    def knows(self, host_header: str) -> bool:
        """Whether a request that names this host means this server, and not a name that was pointed at it.

        >>> access = Access(port=8000)
        >>> access.knows("localhost:8000"), access.knows("evil.example:8000")
        (True, False)
        """
        name, _, port = host_header.rpartition(":") if re.search(r":\d+$", host_header) else (host_header, "", "80")
        name = name.strip("[]").lower()
        if port != str(self.port):
            return False
        if self.only_this_machine:
            return name in ("127.0.0.1", "localhost", "::1", self.host.lower())
        if _is_address(self.host) and ipaddress.ip_address(self.host).is_unspecified:
            return _is_address(name) or name in ("localhost", socket.gethostname().lower(), socket.getfqdn().lower())
        return name == self.host.lower()


class Guard:
    """Checks every request before the application sees it, and adds the headers that keep a page to itself."""

    def __init__(self, app: ASGIApp, access: Access, limits: Iterable[tuple[str, int]] = ()) -> None:
        self.app, self.access = app, access
        self.limits = dict(limits)  # bytes of a request's body, by path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it in a sentence."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        guarded = _guarded(send)
        try:
            answer = self._check(scope)
            limit = self.limits.get(scope["path"], JSON_BYTES)
            _check_length(Headers(scope=scope), limit)
        except RefusedError as refusal:
            answer = refused(refusal, scope)
            if isinstance(refusal, ForbiddenError):  # strangers do not stay, or many could leave its owner no place
                answer.headers["connection"] = "close"
        if answer is not None:
            await answer(scope, receive, guarded)
            return
        body = _Body(receive, limit)
        await self.app(scope, body.receive, body.or_refusal(scope, guarded))

    def _check(self, scope: Scope) -> Response | None:
        """Refuse what does not come from the page; the answer itself where somebody comes with the secret."""
        headers, access = Headers(scope=scope), self.access
        if not access.knows(headers.get("host", "")):
            raise ForbiddenError(f"this explorer answers at {access.place} only; open it under that name")
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if scope["path"] == "/" and _same(query.get("token", [""])[0], access.secret):
            return _welcome(access)
        if not _same(_cookie(headers, access.cookie), access.secret):
            raise ForbiddenError(
                "this explorer is open to those who know its token; use the whole address that it printed when it began"
            )
        if scope["path"].startswith("/api/"):
            _check_origin(headers)
            sent = headers.get(TOKEN_HEADER, "")
            if not sent and scope["method"] == "GET" and IN_THE_ADDRESS.fullmatch(scope["path"]):
                sent = query.get("token", [""])[0]
            if not _same(sent, access.token):
                raise ForbiddenError("this page belongs to another run of the explorer; reload it")
        return None


def refused(refusal: Exception, scope: Scope, status: int | None = None) -> Response:
    """A refusal as our page takes it, or, where a person opened an address in the browser, in words to read."""
    status = status or int(getattr(refusal, "status", 400))
    told = told_to_page(refusal)
    if scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", ""):
        return HTMLResponse(REFUSAL.format(sentence=html.escape(told["error"])), status)
    return JSONResponse(told, status)


def _check_origin(headers: Headers) -> None:
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{headers.get('host', '')}":
        raise ForbiddenError("the explorer answers its own page only; open it by its own address")
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ForbiddenError("the explorer answers its own page only; open it by its own address")


def _check_length(headers: Headers, limit: int) -> None:
    length = headers.get("content-length", "0")
    if not length.isdigit():
        raise RefusedError("the request does not say how long it is; send it again")
    if int(length) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(
        f"this is larger than the {limit / 2**20:.0f} MB that are taken here; choose something smaller"
    )


class _Body:
    """A request's body as it comes, up to a limit, for not all say how long they are; beyond it the answer is a refusal."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._limit, self._received = receive, limit, 0

    async def receive(self) -> Message:
        """The next part."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            raise _too_large(self._limit)
        return message

    def or_refusal(self, scope: Scope, send: Send) -> Send:
        """What the application sends, unless the body was too large: whatever it says of that, the sentence is ours."""
        refused_already = False

        async def sent(message: Message) -> None:
            nonlocal refused_already
            if self._received <= self._limit:
                await send(message)
            elif not refused_already:
                refused_already = True
                await refused(_too_large(self._limit), scope)(scope, self._receive, send)

        return sent


def _guarded(send: Send) -> Send:
    """Every answer with the headers that keep pages to themselves, unless it brings its own."""

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return with_headers


def _welcome(access: Access) -> Response:
    """The way in: the secret becomes a cookie, and leaves the address."""
    answer = RedirectResponse("/", 303)
    answer.set_cookie(access.cookie, access.secret, httponly=True, samesite="strict")
    return answer


def _cookie(headers: Headers, name: str) -> str:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[name].value if name in cookies else ""


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
