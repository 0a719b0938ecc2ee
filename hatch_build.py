"""The wheel's code without comments and docstrings, which are a fifth of it packed, indented by single blanks: it has
to stay below 300 kB.

Lines stay where they are, so tracebacks name the lines of the source. Docstrings of the clients' APIs stay, since
`/openapi.json` is made from them. The sdist has everything. docs/decisions/0015-wheel.md says why.

And the text for package indexes: the README's first half, whose links to other files lead nowhere there.
"""

import ast
import base64
import hashlib
import io
import re
import tokenize
import zipfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

_LEVEL = 9
_APIS = ("/dialects/", "/server/models.py")
"""Where the structs of `/openapi.json` are."""
_CONFIGURATION = "## Configuration"
_REST = (
    "Configuration, containers, limits, troubleshooting and development: see the README of the source distribution.\n"
)
_LOCAL_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]*\)")
_BLOCKS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def without_words(source: str, *, keeps_classes: bool = False) -> str:
    """`source` without comments and docstrings, those of classes perhaps but for; each statement in its line, indented
    by one blank for four.
    """
    lines = source.split("\n")
    for block in ast.walk(ast.parse(source)):
        if isinstance(block, _BLOCKS):
            for statement in block.body[keeps_classes and isinstance(block, ast.ClassDef) :]:
                if _is_text(statement) and len(block.body) > 1:
                    for number in range(statement.lineno - 1, statement.end_lineno or 0):
                        lines[number] = ""
    kept = "\n".join(lines)
    in_texts: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(kept).readline):
        row, column = token.start
        in_texts.update(range(row, token.end[0]))
        if token.type == tokenize.COMMENT:
            lines[row - 1] = lines[row - 1][:column].rstrip()
    return "\n".join(line if row in in_texts else _indented_less(line) for row, line in enumerate(lines))


def _indented_less(line: str) -> str:
    code = line.lstrip(" ")
    return " " * ((len(line) - len(code)) // 4) + code


def _is_text(statement: ast.stmt) -> bool:
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def for_indexes(readme: str) -> str:
    """The README's first half, with the words of its local links alone."""
    return _LOCAL_LINK.sub(r"\1", readme.partition(_CONFIGURATION)[0]) + _REST


class CustomMetadataHook(MetadataHookInterface):
    """Gives the text for package indexes."""

    def update(self, metadata: dict[str, Any]) -> None:
        readme = Path(self.root, "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": for_indexes(readme)}


class CustomBuildHook(BuildHookInterface[Any]):
    """Writes the wheel anew once it is built. One that is installed in place, for development, has no code in it."""

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self.target_name != "wheel" or version != "standard":
            return
        with zipfile.ZipFile(artifact_path) as wheel:
            files = {entry: wheel.read(entry) for entry in wheel.infolist()}
        record: list[str] = []
        with zipfile.ZipFile(f"{artifact_path}.new", "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as smaller:
            for entry, data in files.items():
                name = entry.filename
                if name.endswith(".py"):
                    data = without_words(data.decode(), keeps_classes=any(part in name for part in _APIS)).encode()
                if name.endswith(".dist-info/RECORD"):  # the last
                    data = "".join([*record, f"{name},,\n"]).encode()
                else:
                    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                    record.append(f"{name},sha256={digest},{len(data)}\n")
                smaller.writestr(entry, data)
        Path(f"{artifact_path}.new").replace(artifact_path)
