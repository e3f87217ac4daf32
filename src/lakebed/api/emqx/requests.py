"""What EMQX sends: JSON or a form, whose fields are those of the template in its configuration."""

from urllib.parse import parse_qsl

import msgspec

from lakebed.vocabulary.errors import BadRequest

_ABSENT = frozenset(("", "undefined"))
"""How EMQX writes a placeholder that has no value."""


class Asked(msgspec.Struct, rename={"cert": "cert_common_name"}):
    """All fields are optional; others are ignored.

    Attributes:
        cert: the common name of the client's certificate, which EMQX has checked.
        principal: `client_attrs.principal` of our answer to authn.
        token: of the older form `{"token","topic"}`, which tells no action.
    """

    clientid: str | None = None
    username: str | None = None
    password: str | None = None
    cert: str | None = None
    principal: str | None = None
    topic: str | None = None
    action: str | None = None
    token: str | None = None


_decode = msgspec.json.Decoder(Asked).decode


def read(body: bytes, content_type: bytes) -> Asked:
    """Read the body of a request.

    Raises:
        BadRequest: it is neither JSON nor a form, or a field is no text.
    """
    try:
        if content_type.startswith(b"application/x-www-form-urlencoded"):
            fields = dict(parse_qsl(body.decode(), max_num_fields=100))
            asked = msgspec.convert(fields, Asked)
        else:
            asked = _decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadRequest("body", str(error)) from None
    for name in Asked.__struct_fields__:
        if getattr(asked, name) in _ABSENT:
            setattr(asked, name, None)
    return asked
