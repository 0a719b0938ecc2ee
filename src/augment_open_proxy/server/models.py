"""The model listings, in the forms that clients read."""

import msgspec
from msgspec import Struct

from augment_open_proxy.upstream.catalog import Catalog

_encoder = msgspec.json.Encoder()
CREATED = 0
"""When the models were made is not known; the APIs take the epoch for that."""


class ModelObject(Struct, frozen=True):
    """OpenAI's model object."""

    id: str
    object: str = "model"
    created: int = CREATED
    owned_by: str = "augment"


class ModelList(Struct, frozen=True):
    object: str
    data: list[ModelObject]


def render_list(catalog: Catalog) -> bytes:
    """The answer of `GET /v1/models`."""
    return _encoder.encode(ModelList("list", [ModelObject(id_) for id_ in catalog.ids]))


def render_model(catalog: Catalog, name: str) -> bytes:
    """The answer of `GET /v1/models/{id}`, under the name that was asked for. Raises `ProxyError` where it is none."""
    catalog.find(name)
    return _encoder.encode(ModelObject(name))
