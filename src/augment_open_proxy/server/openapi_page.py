"""Our OpenAPI document as one page of HTML, without scripts and without files from elsewhere.

`HEADERS` let a browser do nothing with the page but show it in its own style.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from html import escape
from typing import Any

from augment_open_proxy.server.openapi import document

Schema = dict[str, Any]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; } h3 { margin: 1.5rem 0 .25rem; font-size: 1rem; }
nav a { margin-right: 1rem; }
code { font: .9em/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .4rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; } summary span { opacity: .75; }
summary b { display: inline-block; width: 5rem; }
table { border-collapse: collapse; width: 100%; margin: .25rem 0 .75rem; }
td { border-top: 1px solid var(--line); padding: .2rem .5rem .2rem 0; vertical-align: top; }
td:first-child { width: 16rem; }
:target { background: var(--soft); }
"""

_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = [
    (
        b"content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'".encode(),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


@cache
def page() -> bytes:
    """The page, as UTF-8."""
    described = json.loads(document())
    return "".join(_page(described)).encode()


def _page(described: Schema) -> Iterator[str]:
    info = described["info"]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head>\n<body><h1>{title}</h1>"
    yield f"<p>{escape(info['description'])}</p>"
    yield '<p>For programs: <a href="/openapi.json">/openapi.json</a>.</p>\n<nav>'
    names = [tag["name"] for tag in described["tags"]]
    for name in (*names, "Objects"):
        yield f'<a href="#{_anchor(name)}">{escape(name)}</a>'
    yield "</nav>\n"
    for name in names:
        yield _heading(name)
        for path, methods in described["paths"].items():
            for method, operation in methods.items():
                if name in operation["tags"]:
                    yield from _operation(method, path, operation)
    yield _heading("Objects")
    for name, schema in sorted(described["components"]["schemas"].items()):
        yield f'<h3 id="{_anchor(name)}">{escape(name)}</h3>'
        if about := schema.get("description"):
            yield f"<p>{_text(about)}</p>"
        yield _fields(schema)
    yield "</body></html>\n"


def _heading(name: str) -> str:
    return f'<h2 id="{_anchor(name)}">{escape(name)}</h2>\n'


def _operation(method: str, path: str, operation: Schema) -> Iterator[str]:
    yield f'<details id="{escape(operation["operationId"])}"><summary><b>{escape(method.upper())}</b>'
    yield f"<code>{escape(path)}</code> <span>{escape(operation['summary'])}</span></summary>"
    if operation["parameters"]:
        yield "<h3>Parameters</h3>"
        yield _table(
            (
                f"<code>{escape(given['name'])}</code>",
                f"in the {given['in']}: {_type(given['schema'])}{_default(given)}",
            )
            for given in operation["parameters"]
        )
    if "requestBody" in operation:
        yield "<h3>Body</h3>" + _table(_content(operation["requestBody"]))
    for status, response in operation["responses"].items():
        yield f"<h3>{'Errors' if status == 'default' else escape(status)}</h3>" + _table(_content(response))
    yield "</details>\n"


def _content(described: Schema) -> Iterator[tuple[str, str]]:
    for media_type, content in described["content"].items():
        yield f"<code>{escape(media_type)}</code>", _type(content["schema"])


def _fields(schema: Schema) -> str:
    required = schema.get("required", ())
    return _table(
        (f"<code>{escape(name)}</code>", _type(kind) + (" <b>required</b>" if name in required else ""))
        for name, kind in schema["properties"].items()
    )


def _type(schema: Schema) -> str:
    """What a value may be, in words; components are links."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{_anchor(name)}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "allOf" in schema:
        return " with ".join(_type(part) for part in schema["allOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if "additionalProperties" in schema:
        return f"object of {_type(schema['additionalProperties'])}"
    return escape(schema.get("type", "any"))


def _default(parameter: Schema) -> str:
    default = parameter["schema"].get("default")
    return "" if default is None else f", by default <code>{escape(json.dumps(default))}</code>"


def _table(rows: Iterator[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><td>{first}</td><td>{second}</td></tr>" for first, second in rows) + "</table>\n"


def _text(about: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(about))


def _anchor(name: str) -> str:
    return re.sub(r"[^\w.]+", "-", name)
