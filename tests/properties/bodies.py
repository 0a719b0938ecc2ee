"""Requests as clients send them, with everything in them that an API knows; what mutations begin with."""

import base64
import json
from typing import Any

from augment_open_proxy.dialects.registry import DIALECTS
from tests.cases import CASES, FOLDER
from tests.unit.test_resolve import pdf_of

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
DATA_URL = f"data:image/png;base64,{PNG}"
PDF_URL = f"data:application/pdf;base64,{base64.b64encode(pdf_of('A tree.')).decode()}"
SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": 'start: "a"'}

CHAT: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": DATA_URL}]},
        {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"q": "x"}'}},
            {"id": "call_2", "type": "custom", "custom": {"name": "patch", "input": "a"}},
        ]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "A tree."}]},
        {"role": "tool", "tool_call_id": "call_2", "content": "ok"},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "again"}]},
    ],
    "tools": [
        {"type": "function", "function": {"name": "look", "parameters": SCHEMA}},
        {"type": "custom", "custom": {"name": "patch", "format": {"type": "grammar", "grammar": GRAMMAR}}},
        {"name": "read", "input_schema": SCHEMA},
    ],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "stream": True,
    "stream_options": {"include_usage": True},
    "n": 2,
    "stop": ["END"],
    "max_tokens": 50,
    "reasoning_effort": "high",
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}},
    "store": True,
    "metadata": {"a": "b"},
}  # fmt: skip
MESSAGES: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 50,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "What?"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}, "title": "t"},
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "y"}]}},
            {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "z"}]},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "tool_use", "id": "call_1", "name": "look", "input": {"q": "x"}},
            {"type": "server_tool_use", "id": "call_3", "name": "web_search", "input": {"query": "x"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "is_error": True, "content": [
                {"type": "text", "text": "A tree."},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ]},
        ]},
        {"role": "system", "content": "Go on.", "output_config": {"effort": "low"}},
    ],
    "tools": [
        {"name": "look", "description": "Looks.", "input_schema": SCHEMA},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "computer_20250124", "name": "computer", "display_width_px": 800, "display_height_px": 600},
        {"type": "web_search_20250305", "name": "web_search"},
    ],
    "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 5000, "display": "omitted"},
    "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
    "metadata": {"user_id": json.dumps({"session_id": "s"})},
    "stop_sequences": ["END"],
    "stream": True,
}  # fmt: skip
THREAD = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Hi."}],
    "thread": {"type": "continue", "previous_message_id": "msg_1"},
}
RESPONSES: dict[str, Any] = {
    "model": "gpt-5.4",
    "instructions": "Be brief.",
    "input": [
        {"role": "developer", "content": [{"type": "input_text", "text": "Rules."}]},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "What?"},
            {"type": "input_image", "image_url": DATA_URL},
            {"type": "input_file", "filename": "a.pdf", "file_data": PDF_URL},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}],
         "encrypted_content": "e"},
        {"type": "message", "role": "assistant", "id": "msg_1", "content": [{"type": "output_text", "text": "Hm."}]},
        {"type": "function_call", "call_id": "call_1", "name": "look", "namespace": "n", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "A tree."}]},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "patch", "input": "a"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "ok"},
        {"type": "local_shell_call", "call_id": "call_3", "action": {"type": "exec", "command": ["ls"], "env": {}}},
        {"type": "local_shell_call_output", "call_id": "call_3", "output": "a"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}},
        {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "more"}]},
        {"role": "user", "content": "Go."},
    ],
    "tools": [
        {"type": "function", "name": "look", "parameters": SCHEMA, "strict": True},
        {"type": "custom", "name": "patch", "format": GRAMMAR},
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "look", "parameters": SCHEMA}]},
        {"type": "local_shell"},
        {"type": "web_search"},
    ],
    "tool_choice": {"type": "function", "name": "look"},
    "parallel_tool_calls": False,
    "reasoning": {"effort": "high", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}, "verbosity": "low"},
    "metadata": {"a": "b"},
    "max_output_tokens": 50,
    "max_tool_calls": 2,
    "store": True,
    "background": True,
    "stream": True,
}  # fmt: skip
FOLLOWING = [
    {"model": "gpt-5.4", "input": "Go on.", "previous_response_id": "resp_1"},
    {"model": "gpt-5.4", "input": [{"type": "item_reference", "id": "msg_1"}], "conversation": {"id": "conv_1"}},
    {"model": "gpt-5.4", "input": [{"role": "user", "content": "a"}, {"type": "compaction_trigger"}]},
    {"model": "gpt-5.4", "input": [{"type": "compaction", "encrypted_content": "e"}, {"role": "user", "content": "a"}]},
]
COMPLETION: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "prompt": "def f(",
    "stream": True,
    "stream_options": {"include_usage": True},
    "echo": True,
    "n": 2,
    "best_of": 2,
    "max_tokens": 9,
    "stop": ["\n"],
    "suffix": "",
    "logprobs": None,
}
BATCH: dict[str, Any] = {
    "requests": [{"custom_id": "a", "params": {**MESSAGES, "stream": False}}, {"custom_id": "b", "params": THREAD}]
}
CONVERSATION: dict[str, Any] = {"items": RESPONSES["input"], "metadata": {"a": "b"}}
EVENT: dict[str, Any] = {"type": "response.create", "stream_id": "s", "generate": False, **RESPONSES}
OF_CASES = {
    dialect.name: [
        json.loads((FOLDER / scenario / f"{dialect.name}.request.json").read_bytes())
        for scenario, of in CASES
        if of is dialect
    ]
    for dialect in DIALECTS
}
OF_DIALECTS: dict[str, list[Any]] = {
    "openai_chat": [CHAT, *OF_CASES["openai_chat"]],
    "anthropic_messages": [MESSAGES, MESSAGES, THREAD, *OF_CASES["anthropic_messages"]],
    "openai_responses": [RESPONSES, RESPONSES, *FOLLOWING, *OF_CASES["openai_responses"]],
    "openai_completions": [COMPLETION, *OF_CASES["openai_completions"]],
    "openai_compaction": [{name: RESPONSES[name] for name in ("model", "input", "instructions")}, FOLLOWING[0]],
}
"""Several for each; those with everything come more often."""
