"""Conversations → bodies of `POST /chat-stream`, as the proxy sends them on: what nginx has to pass on instead.

Written out here, so that the floor does not move with the proxy's own code.
"""

from typing import Any

import msgspec

from benchmarks.conversation import MODEL, Conversation, Message

_CONVERSATION_ID = "00000000-0000-4000-8000-000000000002"


def backend_body(conversation: Conversation) -> bytes:
    """Each assistant message closes an entry of the history; what is left at the end is the current turn."""
    history: list[dict[str, Any]] = []
    system = f"System: {conversation.system}"
    nodes, message = [_text_node(system, 0)], f"{system}\n\n"
    for said in conversation.messages:
        if said.role == "assistant":
            history.append(
                {
                    "request_message": message,
                    "request_nodes": nodes,
                    "response_text": said.text,
                    "response_nodes": _response_nodes(said),
                }
            )
            nodes, message = [], ""
        elif said.result_of is not None:
            result = {"tool_use_id": said.result_of, "content": said.text, "is_error": False}
            nodes.append({"id": len(nodes), "tool_result_node": result, "type": 1})
        else:
            nodes.append(_text_node(said.text, len(nodes)))
            message += f"\n{said.text}" if message else said.text
    body: dict[str, Any] = {
        "mode": "CLI_AGENT",
        "model": MODEL,
        "message": message,
        "nodes": nodes,
        "chat_history": history,
        "conversation_id": _CONVERSATION_ID,
    }
    if conversation.tools:
        body["tool_definitions"] = [
            {
                "name": tool.name,
                "description": tool.description,
                "input_schema_json": msgspec.json.encode(tool.schema).decode(),
            }
            for tool in conversation.tools
        ]
    return msgspec.json.encode(body)


def _text_node(text: str, number: int) -> dict[str, Any]:
    return {"id": number, "text_node": {"content": text}, "type": 0}


def _response_nodes(said: Message) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = [{"id": 0, "content": said.text, "type": 0}]
    if (call := said.call) is not None:
        use = {"tool_use_id": call.id, "tool_name": call.name, "input_json": call.arguments}
        nodes.append({"id": 1, "tool_use": use, "type": 5})
    return nodes
