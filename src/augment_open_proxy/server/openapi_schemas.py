"""Structs → JSON schemas, as an OpenAPI document has them: each struct is a component, and is referred to.

Our own, since msgspec's `schema_components` refuses unions of structs without tags, of which the wire formats are full.
"""

import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from msgspec import NODEFAULT, Raw, Struct, UnsetType
from msgspec.structs import FieldInfo, fields

Schema = dict[str, Any]
PACKAGE = "augment_open_proxy."

_PLAIN: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
    Raw: {},
}


class Schemas:
    """Gathers the `components` of all structs that it is asked about.

    Where the structs are `written` by us, all their fields are there, but for those that may be `UNSET`; what we read
    may lack each field that has a default.
    """

    def __init__(self, *, written: bool) -> None:
        self.components: dict[str, Schema] = {}
        self._written = written

    def of(self, kind: Any) -> Schema:
        """The schema of a type; a tuple of structs is an object with the fields of all of them."""
        if isinstance(kind, tuple):
            return {"allOf": [self.of(part) for part in kind]}
        if isinstance(kind, type) and issubclass(kind, Struct):
            return self._reference(kind)
        if kind in _PLAIN:
            return _PLAIN[kind]
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin in (Union, types.UnionType):
            return self._union(arguments)
        if origin is tuple and not arguments:
            return {"type": "array", "maxItems": 0}
        if origin in (list, tuple):
            return {"type": "array", "items": self.of(arguments[0])}
        if origin in (dict, Mapping):
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        raise TypeError(f"{kind} has no schema")

    def _union(self, members: tuple[Any, ...]) -> Schema:
        schemas = [self.of(member) for member in members if member is not UnsetType]
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}

    def _reference(self, struct: type[Struct]) -> Schema:
        name = _name(struct)
        if name not in self.components:
            self.components[name] = {}  # a struct may contain itself
            self.components[name] = self._described(struct)
        return {"$ref": f"#/components/schemas/{name}"}

    def _described(self, struct: type[Struct]) -> Schema:
        given = fields(struct)
        schema: Schema = {"type": "object", "properties": {field.encode_name: self.of(field.type) for field in given}}
        if required := [field.encode_name for field in given if self._is_required(field)]:
            schema["required"] = required
        if about := vars(struct).get("__doc__"):
            schema["description"] = " ".join(about.split())
        return schema

    def _is_required(self, field: FieldInfo) -> bool:
        return UnsetType not in get_args(field.type) if self._written else field.required


def parameters(query: type[Struct]) -> list[Schema]:
    """The fields of a struct as the parameters of a query."""
    schemas = Schemas(written=False)
    return [
        {
            "name": field.encode_name,
            "in": "query",
            "schema": schemas.of(field.type)
            | ({} if field.default in (None, NODEFAULT) else {"default": field.default}),
        }
        for field in fields(query)
    ]


def _name(struct: type[Struct]) -> str:
    """The place and the name of a struct: `openai_chat.Request`, `openai_errors.ErrorBody`."""
    module = struct.__module__.removeprefix(PACKAGE).removeprefix("dialects.").removesuffix(".wire")
    return f"{module}.{struct.__name__.lstrip('_')}"
