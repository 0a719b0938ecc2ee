"""Paths → handlers. A path may have names in braces, `/v1/responses/{id}`: a handler finds them in its scope."""

from collections.abc import Awaitable, Callable, Mapping

from augment_open_proxy.journal.record import Record
from augment_open_proxy.server.asgi import Receive, Scope, Send

Handler = Callable[[Scope, Receive, Send, Record], Awaitable[None]]
Methods = Mapping[str, Handler]


class Routes:
    """Plain paths are looked up at once; others are compared piece by piece."""

    def __init__(self) -> None:
        self._plain: dict[str, dict[str, Handler]] = {}
        self._templates: list[tuple[list[str], dict[str, Handler]]] = []

    def add(self, path: str, methods: Methods) -> None:
        """Add handlers of `path` by their method, to those that are there."""
        if "{" not in path:
            self._plain.setdefault(path, {}).update(methods)
            return
        pieces = path.split("/")
        for known, handlers in self._templates:
            if known == pieces:
                handlers.update(methods)
                return
        self._templates.append((pieces, dict(methods)))

    def find(self, path: str) -> tuple[Methods, dict[str, str]] | None:
        """The handlers of a path by method, and the names in it."""
        plain = self._plain.get(path)
        if plain is not None:
            return plain, {}
        pieces = path.split("/")
        for template, handlers in self._templates:
            names = _matched(template, pieces)
            if names is not None:
                return handlers, names
        return None


def _matched(template: list[str], pieces: list[str]) -> dict[str, str] | None:
    """The names, where a path is one of the template. `{name...}` takes the rest of the path."""
    names: dict[str, str] = {}
    for i, piece in enumerate(template):
        if piece.endswith("...}"):
            names[piece[1:-4]] = "/".join(pieces[i:])
            return names if i < len(pieces) and names[piece[1:-4]] else None
        if i >= len(pieces):
            return None
        if piece.startswith("{"):
            if not pieces[i]:
                return None
            names[piece[1:-1]] = pieces[i]
        elif piece != pieces[i]:
            return None
    return names if len(template) == len(pieces) else None


def path_name(scope: Scope, name: str) -> str:
    """What stands in the path for `{name}`."""
    value: str = scope["path_params"][name]
    return value
