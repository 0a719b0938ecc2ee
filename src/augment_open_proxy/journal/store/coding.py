"""How what the structs hold is written into columns, and read back.

Clients' texts may hold what databases refuse: NUL characters and lone surrogates. `to_column` writes these as
U+E000 and four hex digits, and U+E000 itself too, so that every text is stored, found and read back as it was.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from augment_open_proxy.core.events import Event

Replies = tuple[tuple[Event, ...], ...]

_REFUSED = re.compile("[\0\ud800-\udfff\ue000]")
_WRITTEN = re.compile("\ue000([0-9a-f]{4})")
_SURROGATES = re.compile("[\ud800-\udfff]")
_pack = msgspec.msgpack.Encoder().encode
_unpack_replies = msgspec.msgpack.Decoder(Replies).decode
_unpack_events = msgspec.msgpack.Decoder(list[Event]).decode
_read_metadata = msgspec.json.Decoder(dict[str, str]).decode


def to_column(text: str) -> str:
    if text.isascii() and "\0" not in text:
        return text
    return _REFUSED.sub(lambda found: f"\ue000{ord(found[0]):04x}", text)


def from_column(text: str) -> str:
    return _WRITTEN.sub(lambda found: chr(int(found[1], 16)), text) if "\ue000" in text else text


def metadata_to_column(metadata: Mapping[str, str]) -> str:
    """JSON, so that the database can look into it."""
    if not metadata:
        return "{}"
    return msgspec.json.encode({to_column(key): to_column(value) for key, value in metadata.items()}).decode()


def metadata_from_column(column: str) -> dict[str, str]:
    return {from_column(key): from_column(value) for key, value in _read_metadata(column).items()}


def pack(events: Any) -> bytes:
    """Events, or the events of each choice. Lone surrogates become U+FFFD."""
    try:
        return _pack(events)
    except UnicodeEncodeError:
        return _pack(_without_surrogates(msgspec.to_builtins(events)))


def unpack_replies(data: bytes) -> Replies:
    return _unpack_replies(data)


def unpack_events(data: bytes) -> list[Event]:
    return _unpack_events(data)


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return _SURROGATES.sub("\ufffd", value)
        case dict():
            return {key: _without_surrogates(part) for key, part in value.items()}
        case list() | tuple():
            return [_without_surrogates(part) for part in value]
        case _:
            return value
