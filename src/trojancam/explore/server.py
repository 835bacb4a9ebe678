"""Server: routes of the web to the functions that answer them; every refusal is one sentence."""

import asyncio
import json
import mimetypes
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jinja2
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from trojancam.errors import TrojanCamError
from trojancam.explore import answers, exports
from trojancam.explore.child import Running
from trojancam.explore.children import Children
from trojancam.explore.gallery import GalleryRequest, gallery
from trojancam.explore.refusals import RefusedError
from trojancam.explore.repairs import Repairs
from trojancam.explore.scans import Scans
from trojancam.explore.scripts import script
from trojancam.explore.security import REPORT_POLICY, Access, Guard, refused
from trojancam.explore.sent_models import choices, open_sent, suffix_of
from trojancam.explore.session import IMAGE_BYTES, MODEL_BYTES, Session, described
from trojancam.explore.sifting import defences, sift
from trojancam.explore.subjects import (
    AboutDefence,
    AboutLayer,
    AboutMap,
    AboutStimulation,
    AboutSubject,
    MapChoice,
    RepairRequest,
    ScanRequest,
    ViewRequest,
)
from trojancam.explore.workers import Workers
from trojancam.removal.repairing import REPAIRS

STATIC = Path(__file__).with_name("static")
LIMITS = (("/api/uploads", IMAGE_BYTES), ("/api/models", MODEL_BYTES))
MEDIA = {"png": "image/png", "json": "application/json"}
LOOK, HEARTBEAT = 0.25, 15.0  # seconds between looks at a scan, and between signs of life


@dataclass(frozen=True)
class Explorer:
    """What the routes share."""

    session: Session
    scans: Scans
    repairs: Repairs
    workers: Workers
    access: Access

    def end(self) -> None:
        """Let all that is open come to its end: nothing new is begun, and scans are over."""
        self.workers.end()
        self.scans.close()
        self.repairs.close()


def application(
    session: Session, access: Access, scans: Scans | None = None, repairs: Repairs | None = None
) -> FastAPI:
    """The explorer as a web application; shut down, it ends scans and removes what was uploaded."""
    scans = scans or Scans(session)
    explorer = Explorer(session, scans, repairs or Repairs(session, scans), Workers(), access)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            explorer.end()
            explorer.workers.close()
            session.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.explorer = explorer
    app.add_middleware(Guard, access=access, limits=LIMITS)
    mimetypes.add_type(
        "text/javascript", ".js"
    )  # some systems say otherwise, and browsers run nothing else as a module
    for errors, answer in ERRORS.items():
        app.add_exception_handler(errors, answer)
    _add_page(app, explorer)
    _add_looking(app, explorer)
    _add_uploading(app, explorer)
    _add_scanning(app, explorer)
    _add_repairing(app, explorer)
    _add_children(app, "scans", explorer.scans)
    _add_children(app, "repairs", explorer.repairs)
    _add_taking(app, explorer)
    return app


def _add_page(app: FastAPI, explorer: Explorer) -> None:
    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False), name="static")

    @app.get("/")
    def page() -> HTMLResponse:
        environment = jinja2.Environment(loader=jinja2.FileSystemLoader(STATIC), autoescape=True)
        return HTMLResponse(environment.get_template("index.html").render(token=explorer.access.token))

    @app.get("/api/session")
    async def session() -> Response:
        return await _answer(
            explorer,
            lambda: {
                **explorer.session.description(),
                **choices(),
                "repairs": [{"name": name, "title": each.title} for name, each in REPAIRS.items()],
                "defences": defences(),
                "scan": explorer.scans.running,
                "repair": explorer.repairs.running,
            },
        )


def _add_looking(app: FastAPI, explorer: Explorer) -> None:
    @app.get("/api/images")
    async def images(
        model: str,
        split: str = "test",
        start: int = 0,
        count: int = 60,
        label: Annotated[str, Query(alias="class")] = "",
    ) -> Response:
        given = {"model": model, "split": split, "start": start, "count": count, "label": label or None}
        asked = GalleryRequest.model_validate(given)
        return await _answer(explorer, lambda: gallery(explorer.session, asked))

    @app.post("/api/explain")
    async def explain(asked: AboutSubject, request: Request) -> Response:
        return await _answer(explorer, lambda: answers.explain(explorer.session, asked), request)

    @app.post("/api/layer")
    async def layer(asked: AboutLayer, request: Request) -> Response:
        return await _answer(explorer, lambda: answers.layer(explorer.session, asked), request)

    @app.post("/api/map")
    async def feature_map(asked: AboutMap, request: Request) -> Response:
        return await _answer(explorer, lambda: answers.feature_map(explorer.session, asked), request)

    @app.post("/api/strongest")
    async def strongest(asked: MapChoice, request: Request) -> Response:
        return await _answer(explorer, lambda: answers.strongest(explorer.session, asked), request)

    @app.post("/api/preferred")
    async def preferred(asked: MapChoice, request: Request) -> Response:
        return await _answer(explorer, lambda: answers.preferred(explorer.session, asked), request)

    @app.post("/api/sift")
    async def sifted(asked: AboutDefence, request: Request) -> Response:
        return await _answer(explorer, lambda: sift(explorer.session, asked), request)

    @app.post("/api/stimulate")
    async def stimulate(asked: AboutStimulation, request: Request) -> Response:
        return await _answer(explorer, lambda: answers.stimulate(explorer.session, asked), request)


def _add_uploading(app: FastAPI, explorer: Explorer) -> None:
    session = explorer.session

    @app.post("/api/uploads")
    async def upload(request: Request, name: str = "image.png") -> Response:
        content = await request.body()
        return await _answer(explorer, lambda: {"id": session.upload_image(content, name)})

    @app.post("/api/models")
    async def model(
        request: Request, name: str = "", architecture: str = "", output: str = "", preprocessing: str = ""
    ) -> Response:
        path = session.model_path(suffix_of(name))
        try:
            with path.open("wb") as file:
                async for part in request.stream():
                    file.write(part)
            return await _answer(
                explorer, lambda: described(open_sent(session, path, name, architecture, output, preprocessing))
            )
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _add_scanning(app: FastAPI, explorer: Explorer) -> None:
    @app.post("/api/scans")
    async def start(asked: ScanRequest) -> Response:
        return await _answer(explorer, lambda: {"id": explorer.scans.start(asked)})


def _add_repairing(app: FastAPI, explorer: Explorer) -> None:
    repairs = explorer.repairs

    @app.post("/api/repairs")
    async def start(asked: RepairRequest) -> Response:
        return await _answer(explorer, lambda: {"id": repairs.start(asked)})

    @app.get("/api/repairs/{identifier}/network")
    def network(identifier: str) -> Response:
        file = repairs.network(identifier)
        return FileResponse(file, media_type="application/octet-stream", filename=f"repaired{file.suffix}")


def _add_children(app: FastAPI, kind: str, children: Children[Any]) -> None:
    """What scans and repairs have in common."""

    @app.get(f"/api/{kind}/{{identifier}}")
    def state(identifier: str) -> Response:
        return JSONResponse(children.told(identifier))

    @app.delete(f"/api/{kind}/{{identifier}}")
    def cancel(identifier: str) -> Response:
        children.cancel(identifier)
        return JSONResponse(children.told(identifier))

    @app.get(f"/api/{kind}/{{identifier}}/page")
    def page(identifier: str) -> Response:
        return HTMLResponse(children.page(identifier), headers={"Content-Security-Policy": REPORT_POLICY})

    @app.get(f"/api/{kind}/{{identifier}}/events")
    async def events(identifier: str) -> Response:
        child = children.child(identifier)
        return StreamingResponse(_events(child, lambda: children.told(identifier)), media_type="text/event-stream")


async def _events(child: Running, told: Callable[[], dict[str, Any]]) -> AsyncIterator[str]:
    """What there is to tell of a scan or a repair, whenever that changes, until it is over."""
    last, silent = "", 0.0
    while True:
        now = json.dumps(told())
        if now != last or silent >= HEARTBEAT:
            yield f"data: {now}\n\n"
            last, silent = now, 0.0
        if child.state != "running":
            return
        await asyncio.sleep(LOOK)
        silent += LOOK


def _add_taking(app: FastAPI, explorer: Explorer) -> None:
    """Views to take away: as code, as a figure, as JSON."""

    @app.post("/api/code")
    async def code(asked: ViewRequest) -> Response:
        return await _answer(explorer, lambda: {"python": _script(explorer, asked)})

    @app.post("/api/export")
    async def export(asked: ViewRequest, format_: Annotated[Literal["png", "json"], Query(alias="format")]) -> Response:
        content = await explorer.workers.do(lambda: _exported(explorer, asked, format_))
        disposition = f'attachment; filename="trojancam-{asked.view}.{format_}"'
        return Response(content, media_type=MEDIA[format_], headers={"Content-Disposition": disposition})


def _script(explorer: Explorer, asked: ViewRequest) -> str:
    if asked.view == "repair":
        if asked.repair is not None:
            return script(explorer.session, explorer.repairs.child(asked.repair).asked)
        wanted = {} if asked.repairing is None else asked.repairing.model_dump()
        return script(explorer.session, RepairRequest(model=asked.model or "", **wanted))
    if asked.view != "scan":
        return script(explorer.session, asked.about())
    if asked.scan is not None:
        return script(explorer.session, explorer.scans.child(asked.scan).asked)
    settings = {} if asked.scanning is None else asked.scanning.model_dump()
    return script(explorer.session, ScanRequest(model=asked.model or "", **settings))


def _exported(explorer: Explorer, asked: ViewRequest, format_: str) -> bytes:
    if asked.view == "scan":
        return _exported_scan(explorer, asked.scan or "", format_)
    if asked.view == "repair":
        if format_ == "png":
            raise RefusedError("a repair is a table, not a picture; take its JSON, or its report")
        return explorer.repairs.results(asked.repair or "")
    made = exports.as_png if format_ == "png" else exports.as_json
    return made(explorer.session, asked)


def _exported_scan(explorer: Explorer, identifier: str, format_: str) -> bytes:
    if format_ == "png":
        return explorer.scans.picture(identifier)
    return explorer.scans.results(identifier)


async def _answer(explorer: Explorer, answer: Callable[[], dict[str, Any]], request: Request | None = None) -> Response:
    """An answer as JSON, both made in a thread of the workers; not for a `request` that was given up meanwhile."""

    def made() -> bytes:
        return json.dumps(answer(), allow_nan=False, separators=(",", ":")).encode()

    content = await explorer.workers.do(made, request.is_disconnected if request else None)
    return Response(content, media_type="application/json")


def _invalid(request: Request, error: Exception) -> Response:
    """The first thing that is wrong with a request, and where."""
    assert isinstance(error, RequestValidationError | ValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query")) or "the request"
    return refused(
        RefusedError(f"{place}: {first['msg'].removeprefix('Value error, ')}; reload the page if it sent this"),
        request.scope,
    )


def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "there is nothing at this address", 405: "this address is not asked in this way"}
    return refused(
        RefusedError(f"{words.get(error.status_code, str(error.detail))}; go back to the explorer's page"),
        request.scope,
        error.status_code,
    )


def _in_words(request: Request, error: Exception) -> Response:
    return refused(error, request.scope)


def _unforeseen(request: Request, error: Exception) -> Response:
    """What nobody foresaw: the server writes it to the terminal, too."""
    words = f"the explorer failed at this ({type(error).__name__}: {error}); the terminal that it runs in says more"
    return refused(RefusedError(words), request.scope, 500)


ERRORS: dict[type[Exception], Callable[[Request, Exception], Response]] = {
    TrojanCamError: _in_words,
    RequestValidationError: _invalid,
    ValidationError: _invalid,
    HTTPException: _not_found,
    Exception: _unforeseen,
}
