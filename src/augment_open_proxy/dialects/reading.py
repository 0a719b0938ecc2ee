"""JSON body → struct, with errors that name the field as the client spells it."""

from typing import TypeVar, get_args

import msgspec

from augment_open_proxy.core.conversation import Effort
from augment_open_proxy.core.errors import ProxyError, invalid_request
from augment_open_proxy.core.jsontext import UNREADABLE, mended

T = TypeVar("T")
_EFFORTS: dict[str, Effort] = {effort: effort for effort in get_args(Effort)}


def read(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode a body. Raises `ProxyError` that names the field by its path, such as `messages[0].content`."""
    try:
        if not body.isascii():
            body.decode()  # msgspec checks only what it makes a string of
        return _decode(decoder, body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except UNREADABLE as error:
        raise invalid_request(f"The body is not valid JSON: {error}.") from None


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return decoder.decode(mended(body))


def _invalid(message: str) -> ProxyError:
    """msgspec says `Expected `str`, got `int` - at `$.messages[0].content``."""
    what, _, place = message.partition(" - at `")
    path = place.rstrip("`").removeprefix("$").removeprefix(".")
    if missing := what.partition("missing required field `")[2].rstrip("`"):
        path = f"{path}.{missing}" if path else missing
        return invalid_request(f"{path} is missing.", path)
    if not path:
        return invalid_request(f"The body must be a JSON object: {what}.")
    return invalid_request(f"{path}: {what[:1].lower()}{what[1:]}.", path)


def read_effort(effort: str | None, param: str) -> Effort | None:
    """The level of reasoning effort that a client names in `param`."""
    if not effort:
        return None
    known = _EFFORTS.get(effort.lower())
    if known is None:
        raise invalid_request(f"{param} must be one of {', '.join(_EFFORTS)}; it is {effort!r}.", param)
    return known
