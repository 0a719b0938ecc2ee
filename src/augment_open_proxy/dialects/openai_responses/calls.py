"""Tools of the Responses API that the backend knows only as functions, and how their calls look to the client.

A namespace nests functions: `weather.now` is offered as `weather__now`. `local_shell` is offered as a function with a
documented schema. Custom tools are `policies/custom_tools.py`'s.
"""

import msgspec
from msgspec import Struct

from augment_open_proxy.core.conversation import CustomTool, Grammar, Tool, ToolCall
from augment_open_proxy.core.errors import invalid_request
from augment_open_proxy.core.jsontext import UNREADABLE
from augment_open_proxy.dialects.openai_responses import wire

LOCAL_SHELL = "local_shell"
_SEPARATOR = "__"
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


def flat_name(namespace: str | None, name: str) -> str:
    """The name of a function for the model."""
    return name if namespace is None else f"{namespace}{_SEPARATOR}{name}"


class ParsedTools(Struct, frozen=True):
    tools: tuple[Tool | CustomTool, ...]
    forms: CallForms
    left_out: tuple[str, ...]


def parse_tools(tools: list[wire.Tool], choice: object) -> ParsedTools:
    """Raises `ProxyError` where only a server tool could serve: a free answer would pass for its result."""
    offered: list[Tool | CustomTool] = []
    namespaced: dict[str, tuple[str, str]] = {}
    left_out: dict[str, None] = {}
    has_shell = False
    for i, tool in enumerate(tools):
        match tool.type:
            case "function":
                offered.append(_function(tool, None, f"tools[{i}]"))
            case "custom":
                offered.append(_custom(tool, None, f"tools[{i}]"))
            case "namespace":
                for j, inner in enumerate(tool.tools or []):
                    path = f"tools[{i}].tools[{j}]"
                    read = _custom if inner.type == "custom" else _function
                    nested = read(inner, tool.name, path)
                    namespaced[nested.name] = (tool.name or "", inner.name or "")
                    offered.append(nested)
            case "local_shell":
                has_shell = True
                offered.append(_SHELL_TOOL)
            case kind:
                left_out[kind] = None
    forced = choice.get("type") if isinstance(choice, dict) else None
    if left_out and (not offered or forced in left_out):
        name = forced if forced in left_out else next(iter(left_out))
        raise invalid_request(
            f"The tool {name} runs on OpenAI's servers, and the Augment backend has nothing like it. "
            "Offer a tool that the client runs itself.",
            "tools",
        )
    return ParsedTools(tuple(offered), CallForms(namespaced, has_shell), tuple(left_out))


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
    """The action of a shell call; a command that is one string is run by a shell."""
    try:
        given = msgspec.json.decode(arguments)
    except UNREADABLE:
        given = arguments
    fields = given if isinstance(given, dict) else {"command": given}
    command = fields.get("command")
    env = fields.get("env")
    timeout, folder = fields.get("timeout_ms"), fields.get("working_directory")
    return wire.ShellAction(
        command=[str(word) for word in command] if isinstance(command, list) else ["bash", "-lc", str(command or "")],
        env={str(name): str(value) for name, value in env.items()} if isinstance(env, dict) else {},
        timeout_ms=timeout if isinstance(timeout, int) else None,
        working_directory=folder if isinstance(folder, str) else None,
    )
