"""Routes of policies: written only when right in full, read back as documents."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from lakebed.api.requests import Asker, Body, Given, document_in
from lakebed.http import problems
from lakebed.policies.document import parse, read_file, to_document
from lakebed.ports import StoredPolicy
from lakebed.vocabulary.errors import BadRequest, Invalid, NotFound
from lakebed.vocabulary.policy import Policy

router = APIRouter(prefix="/api/v1/policies", tags=["policies"])

_YAML = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
_DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One policy.",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "name": "raw-day",
                    "topics": ["plant/+/temperature"],
                    "type": "number",
                    "keep": "window",
                    "for": "24h",
                },
            }
        },
    }
}


def policy(given: Given, who: Asker, body: Body) -> Policy:
    """The policy in the body.

    Raises:
        BadRequest: it is not JSON.
        Invalid: it is no policy; names everything that is wrong.
    """
    zone = given.settings.keeper.timezone
    return parse(document_in(body), who.owner, default_timezone=zone)


Posted = Annotated[Policy, Depends(policy)]


@router.get("")
def list_policies(given: Given, who: Asker) -> dict[str, Any]:
    """The policies in force, in the shape of the file that `lakebed apply` takes."""
    return {"policies": [stored.document for stored in given.catalog.policies(who.owner)]}


@router.post("", status_code=201, openapi_extra=_DOCUMENT)
def create_policy(given: Given, who: Asker, posted: Posted, response: Response) -> dict[str, Any]:
    """Write a new policy; 409 if its name is taken. It takes effect within two seconds."""
    ((stored, _),) = given.catalog.put_policies(who.owner, [to_document(posted)], create=True)
    given.policies_changed()
    response.headers["Location"] = f"/api/v1/policies/{stored.name}"
    return _show(stored, response)


@router.post("/check", openapi_extra=_DOCUMENT)
def check_policies(given: Given, who: Asker, body: Body, request: Request) -> Response:
    """Check a policy, or a whole file of them (JSON or YAML), and change nothing."""
    try:
        _check(given, who, body, request.headers.get("content-type", ""))
    except BadRequest:
        raise
    except Invalid as error:
        document = problems.document(422, str(error), error.problems, ok=False)
        return JSONResponse(document, 422, media_type=problems.MEDIA_TYPE)
    return JSONResponse({"ok": True})


def _check(given: Given, who: Asker, body: bytes, media: str) -> None:
    zone = given.settings.keeper.timezone
    if media.partition(";")[0].strip().lower() not in _YAML:
        document = document_in(body)
        is_file = isinstance(document, list) or (
            isinstance(document, dict) and "policies" in document
        )
        if not is_file:
            parse(document, who.owner, default_timezone=zone)
            return
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BadRequest("body", "it is not UTF-8") from None
    read_file(text, who.owner, zone)


@router.post("/preview", openapi_extra=_DOCUMENT)
def preview_policy(given: Given, posted: Posted) -> dict[str, Any]:
    """What this policy would have kept of the journal's recent past, in rows and bytes."""
    return given.preview(posted)


@router.get("/{name}")
def read_policy(given: Given, who: Asker, name: str, response: Response) -> dict[str, Any]:
    """One policy as its document; its version is the ETag."""
    for stored in given.catalog.policies(who.owner):
        if stored.name == name:
            return _show(stored, response)
    raise NotFound(f"there is no policy {name!r}")


@router.put("/{name}", openapi_extra=_DOCUMENT, responses={201: {"description": "Created"}})
def put_policy(
    given: Given, who: Asker, name: str, body: Body, response: Response
) -> dict[str, Any]:
    """Create or replace a policy. What an earlier version kept stays readable."""
    document = document_in(body)
    if isinstance(document, dict):
        document = {"name": name} | document
        if document["name"] != name:
            raise BadRequest("name", f"the address says {name!r}, the document another name")
    posted = parse(document, who.owner, default_timezone=given.settings.keeper.timezone)
    ((stored, created),) = given.catalog.put_policies(who.owner, [to_document(posted)])
    given.policies_changed()
    if created:
        response.status_code = 201
    return _show(stored, response)


@router.delete("/{name}", status_code=204)
def delete_policy(given: Given, who: Asker, name: str) -> None:
    """Stop keeping by it. What it kept stays readable under its name."""
    given.catalog.delete_policy(who.owner, name)
    given.policies_changed()


def _show(stored: StoredPolicy, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = f'"{stored.version}"'
    return stored.document
