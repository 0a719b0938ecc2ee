"""Tools of the Responses API that the backend knows only as functions, and how their calls look to the client.

A namespace nests functions: `weather.now` is offered as `weather__now`. `local_shell` is offered as a function with a
documented schema. Custom tools are `policies/custom_tools.py`'s.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from augment_open_proxy.core.conversation import CustomTool, Grammar, Tool, ToolCall
from augment_open_proxy.core.errors import invalid_request
from augment_open_proxy.core.jsontext import UNREADABLE
from augment_open_proxy.dialects.openai_responses import wire
from augment_open_proxy.dialects.reading import LOCAL_SHELL, flat_name

_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')
_SHELL_TOOL = Tool(
    LOCAL_SHELL,
    "Runs a command on the user's machine and returns its output.",
    msgspec.Raw(
        b'{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"},'
        b'"description":"The program and its arguments."},"working_directory":{"type":"string"},'
        b'"timeout_ms":{"type":"integer"},"env":{"type":"object","additionalProperties":{"type":"string"}}},'
        b'"required":["command"]}'
    ),
)


class CallForms(Struct, frozen=True):
    """How calls are shown: `namespaced` has namespace and name under the name that the model uses."""

    namespaced: dict[str, tuple[str, str]] = {}
    has_shell: bool = False

    def item(self, call: ToolCall, id_: str, status: str) -> wire.OutputItem:
        """The item of a call; the client's form of its name."""
        if self.is_shell(call):
            return wire.LocalShellCallItem(id=id_, status=status, call_id=call.id, action=_action(call.arguments))
        namespace, name = self.namespaced.get(call.name, (None, call.name))
        given = msgspec.UNSET if namespace is None else namespace
        if call.custom:
            return wire.CustomToolCallItem(
                id=id_, status=status, call_id=call.id, name=name, namespace=given, input=call.arguments
            )
        return wire.FunctionCallItem(
            id=id_, status=status, call_id=call.id, name=name, namespace=given, arguments=call.arguments
        )

    def is_shell(self, call: ToolCall) -> bool:
        return self.has_shell and call.name == LOCAL_SHELL


class ParsedTools(Struct, frozen=True):
    """The tools that the model is offered, the forms of their calls, and the types of those that are not offered."""

    tools: tuple[Tool | CustomTool, ...]
    forms: CallForms
    left_out: tuple[str, ...]


def parse_tools(tools: list[wire.Tool]) -> ParsedTools:
    """Raises `ProxyError` that names the field by its path."""
    offered: dict[str, Tool | CustomTool] = {}
    namespaced: dict[str, tuple[str, str]] = {}
    left_out: dict[str, None] = {}
    has_shell = False
    for i, tool in enumerate(tools):
        path = f"tools[{i}]"
        match tool.type:
            case "function" | "custom":
                _offer(_read(tool, None, path), path, offered)
            case "namespace":
                if not tool.name:
                    raise invalid_request(f"{path}.name is missing.", f"{path}.name")
                for j, inner in enumerate(tool.tools or []):
                    nested = _read(inner, tool, f"{path}.tools[{j}]")
                    namespaced[nested.name] = (tool.name, inner.name or "")
                    _offer(nested, f"{path}.tools[{j}]", offered)
            case "local_shell":
                has_shell = True
                _offer(_SHELL_TOOL, path, offered)
            case kind:
                left_out[kind] = None
    return ParsedTools(tuple(offered.values()), CallForms(namespaced, has_shell), tuple(left_out))


def check_choice(tools: ParsedTools, choice: object) -> None:
    """Raises `ProxyError` where only a tool that is left out could serve: a free answer would pass for its result."""
    if tools.left_out and choice != "none":
        _check_choice(choice, tools.left_out, has_others=bool(tools.tools))


def _offer(tool: Tool | CustomTool, path: str, offered: dict[str, Tool | CustomTool]) -> None:
    if tool.name in offered:
        raise invalid_request(f"{path}: there is another tool by the name {tool.name}.", path)
    offered[tool.name] = tool


def _check_choice(choice: object, left_out: Iterable[str], *, has_others: bool) -> None:
    allowed: list[object] = []
    if isinstance(choice, dict):
        inner = choice.get("allowed_tools")
        given = (inner if isinstance(inner, dict) else choice).get("tools")
        allowed = given if isinstance(given, list) else [choice]
    kinds = [str(tool.get("type")) for tool in allowed if isinstance(tool, dict)]
    found = [
        next((name for name in left_out if name.startswith(kind) or kind.startswith(name)), None) for kind in kinds
    ]
    wanted = [name for name in found if name is not None]
    if not has_others or (wanted and len(wanted) >= len(kinds)):
        raise invalid_request(
            f"The tool {(wanted or list(left_out))[0]} is OpenAI's, and the Augment backend has nothing like it. "
            "Offer a function or custom tool that the client runs itself.",
            "tools",
        )


def _read(tool: wire.Tool, namespace: wire.Tool | None, path: str) -> Tool | CustomTool:
    """A function or custom tool; the model sees the description of its namespace before its own."""
    read = _custom if tool.type == "custom" else _function
    made = read(tool, namespace.name if namespace else None, path)
    if namespace is None or not namespace.description:
        return made
    return msgspec.structs.replace(made, description=f"{namespace.description}\n\n{made.description}".rstrip())


def _function(tool: wire.Tool, namespace: str | None, path: str) -> Tool:
    if not tool.name:
        raise invalid_request(f"{path}.name is missing.", f"{path}.name")
    schema = bytes(tool.parameters)
    if schema not in (b"", b"null") and not schema.lstrip().startswith(b"{"):
        raise invalid_request(f"{path}.parameters must be an object.", f"{path}.parameters")
    parameters = _NO_PARAMETERS if schema in (b"", b"null") else tool.parameters
    return Tool(flat_name(namespace, tool.name), tool.description or "", parameters)


def _custom(tool: wire.Tool, namespace: str | None, path: str) -> CustomTool:
    if not tool.name:
        raise invalid_request(f"{path}.name is missing.", f"{path}.name")
    grammar = None
    if tool.format is not None and tool.format.type == "grammar":
        if tool.format.syntax is None or tool.format.definition is None:
            raise invalid_request(f"{path}.format needs syntax and definition.", f"{path}.format")
        grammar = Grammar(tool.format.syntax, tool.format.definition)
    return CustomTool(flat_name(namespace, tool.name), tool.description or "", grammar)


def _action(arguments: str) -> wire.ShellAction:
    """The action of a shell call. A command that is one string is run by a shell, and so is what is no command at all:
    it fails there, where the client sees it."""
    try:
        given = msgspec.json.decode(arguments)
    except UNREADABLE:
        given = arguments
    fields = given if isinstance(given, dict) and "command" in given else {"command": given}
    command, env = fields["command"], fields.get("env")
    timeout, folder = fields.get("timeout_ms"), fields.get("working_directory")
    if isinstance(command, list):
        words = [str(word) for word in command]
    else:
        words = ["bash", "-lc", command if isinstance(command, str) else arguments]
    return wire.ShellAction(
        command=words,
        env={str(name): str(value) for name, value in env.items()} if isinstance(env, dict) else {},
        timeout_ms=timeout if type(timeout) is int and timeout >= 0 else None,
        working_directory=folder if isinstance(folder, str) else None,
    )
