"""Routes of the OpenID provider: discovery, keys, tokens, claims. Signing in is in `signing_in`."""

from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from lakebed.access.actions import Action
from lakebed.api.callers import Caller, Public
from lakebed.api.openid.provider import Answer, Provider
from lakebed.api.requests import ServicesDep
from lakebed.http import bodies
from lakebed.http.tokens import token_in
from lakebed.vocabulary.errors import BadRequest, NotFound, Unauthenticated

router = APIRouter(prefix="/oidc", tags=["sign-in"])

_LARGEST = 64 * 1024  # bytes of a form
_MOST = 50  # fields
_PUBLIC = [Public(Action.OPENID_READ)]
_NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def provider_of(services: ServicesDep) -> Provider:
    """The provider of this instance.

    Raises:
        NotFound: it has none.
    """
    if services.openid is None:
        raise NotFound(
            "there is no OpenID provider here: an admin sets auth.url to an https:// address"
        )
    return services.openid


ProviderDep = Annotated[Provider, Depends(provider_of)]


async def form_of(request: Request) -> dict[str, list[str]]:
    """The fields of a form.

    Raises:
        BadRequest: it is no form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BadRequest("body", "send a form: application/x-www-form-urlencoded")
    body = await bodies.read(request.receive, dict(request.headers.raw), _LARGEST)
    return fields_of(body.decode("latin-1"))


def fields_of(encoded: str) -> dict[str, list[str]]:
    """The fields of a form or a query string.

    Raises:
        BadRequest: there are too many, or they are not UTF-8.
    """
    try:
        return parse_qs(
            encoded, keep_blank_values=True, max_num_fields=_MOST, encoding="utf-8", errors="strict"
        )
    except ValueError as error:
        raise BadRequest("body", f"it is no form: {error}") from None


Form = Annotated[dict[str, list[str]], Depends(form_of)]


@router.get("/.well-known/openid-configuration", dependencies=_PUBLIC)
def describe_provider(provider: ProviderDep) -> dict[str, Any]:
    """Describe the provider and its addresses (OpenID Connect Discovery 1.0)."""
    return provider.configuration()


@router.get("/jwks", dependencies=_PUBLIC)
def list_keys(provider: ProviderDep) -> JSONResponse:
    """List the public keys for checking signatures of the provider."""
    return JSONResponse(provider.keys(), headers={"Cache-Control": "public, max-age=300"})


@router.post("/token")
def exchange_code(
    provider: ProviderDep,
    caller: Annotated[Caller, Public(Action.OPENID_SIGN_IN)],
    form: Form,
    request: Request,
) -> Response:
    """Exchange a code for an ID token and an access token (RFC 6749, section 4.1.3)."""
    caller.note("oidc/token")
    headers = {name.title(): value for name, value in request.headers.items()}
    return response_to(provider.exchange(form, headers))


@router.get("/userinfo", dependencies=_PUBLIC)
def tell_user(provider: ProviderDep, request: Request) -> JSONResponse:
    """Show the claims about a user to the client of an access token."""
    return _discovery(provider, request)


@router.post("/userinfo", dependencies=_PUBLIC)
def tell_user_by_post(provider: ProviderDep, request: Request) -> JSONResponse:
    """The same as by GET; the standard requires both."""
    return _discovery(provider, request)


def _discovery(provider: Provider, request: Request) -> JSONResponse:
    token = token_in(request.headers.get("authorization", "").encode("latin-1"))
    claims = provider.userinfo(token)
    if claims is None:
        raise Unauthenticated("the access token is unknown, or works no more")
    return JSONResponse(claims, headers=_NOT_KEPT)


def response_to(answer: Answer) -> Response:
    """What the provider's rules answer, as a response."""
    headers = dict(answer.headers) | _NOT_KEPT | {"Referrer-Policy": "no-referrer"}
    if answer.body == "":
        return Response(status_code=answer.status, headers=headers)
    headers.pop("Content-Type", None)
    return JSONResponse(answer.body, answer.status, headers)
