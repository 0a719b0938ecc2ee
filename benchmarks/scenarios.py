"""The scenarios whose CPU time is measured. To add one, write a function that makes it, and list it in `SCENARIOS`.

The same conversation is written for each surface: as a client of the proxy sends it, and as the backend gets it.
"""

from typing import Any

from benchmarks.answers import Answer, text_pieces
from benchmarks.augment import backend_body
from benchmarks.conversation import MAX_TOKENS, Call, Conversation, Message, agent_history, body, tools
from benchmarks.model import DIALECTS, Dialect, Exchange, Form, Scenario, Surface, marker

PATHS: dict[Dialect, str] = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
}
SHORT = Answer(("Paris is the capital of France, ", "and its largest city.", " Anything else?"))
_STREAM: dict[Dialect, dict[str, Any]] = {
    "chat": {"stream": True, "stream_options": {"include_usage": True}},
    "messages": {"stream": True},
    "responses": {"stream": True},
}
_THINKING: dict[Dialect, dict[str, Any]] = {
    "chat": {},
    "messages": {"thinking": {"type": "adaptive"}},
    "responses": {"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]},
}
"""What asks for the thinking, and for what must be given back of it in the next turn."""
_FORMS: dict[Dialect, tuple[Form, Form]] = {
    "chat": ("chat_reply", "chat_stream"),
    "messages": ("messages_reply", "messages_stream"),
    "responses": ("responses_reply", "responses_stream"),
}


def exchanges(conversation: Conversation, answer: Answer, *, stream: bool, **more: Any) -> dict[Surface, Exchange]:
    """The same exchange on each surface; `more` are further fields of the request, in each dialect."""
    made: dict[Surface, Exchange] = {
        "backend": Exchange("/chat-stream", backend_body(conversation), "ndjson", answer.seen("ndjson"))
    }
    for dialect in DIALECTS:
        fields = {**(_STREAM[dialect] if stream else {}), **(_THINKING[dialect] if answer.thinking else {}), **more}
        form = _FORMS[dialect][stream]
        made[dialect] = Exchange(PATHS[dialect], body(dialect, conversation, **fields), form, answer.seen(form))
    return made


def question(name: str) -> Message:
    """A short question that tells the backend the scenario."""
    return Message("user", f"{marker(name)} What is the capital of France?")


def streams(
    name: str,
    about: str,
    answer: Answer,
    *,
    concurrency: int,
    count: int,
    pause: float = 0.0,
    goal: float | None = None,
    max_tokens: int = MAX_TOKENS,
) -> Scenario:
    """A short question and a streamed answer, measured by the line."""
    asked = Conversation((question(name),), max_tokens=max_tokens)
    made = exchanges(asked, answer, stream=True)
    return Scenario(name, about, "line", concurrency, count, answer.script(pause), made, goal)


def requests(
    name: str,
    about: str,
    conversation: Conversation,
    answer: Answer = SHORT,
    *,
    concurrency: int,
    count: int,
    stream: bool = False,
    goal: float | None = None,
) -> Scenario:
    """A conversation, and its answer, measured by the request."""
    made = exchanges(conversation, answer, stream=stream)
    return Scenario(name, about, "request", concurrency, count, answer.script(), made, goal)


def _unary() -> Scenario:
    about = "short whole chats, 32 at a time"
    return requests("unary", about, Conversation((question("unary"),)), concurrency=32, count=3000, goal=8)


def _burst() -> Scenario:
    about = "streams of 500 lines without pause, 16 at a time"
    return streams("burst", about, Answer(text_pieces(499)), concurrency=16, count=400, goal=9)


def _paced() -> Scenario:
    about = "streams of 100 lines at 5 ms, 100 at a time"
    return streams("paced", about, Answer(text_pieces(99)), concurrency=100, count=300, pause=0.005, goal=2.3)


def _bigreq() -> Scenario:
    about = "requests of 1 MB (400 messages, 40 tools) and a short answer, 4 at a time"
    history = (*agent_history(400, 2280), question("bigreq"))
    conversation = Conversation(history, tuple(tools(40, 800)))
    return requests("bigreq", about, conversation, concurrency=4, count=100, goal=8)


def _agent() -> Scenario:
    about = "requests of 150 KB (40 messages, 50 tools) and a stream of 50 lines with thinking and a call, 8 at a time"
    history = (*agent_history(40, 1400), question("agent"))
    conversation = Conversation(history, tuple(tools(50, 750)))
    call = Call("toolu_next", "tool_1", '{"path":"src/main.py","pattern":"Zürich"}')
    answer = Answer(text_pieces(32), text_pieces(16), call)
    return requests("agent", about, conversation, answer, concurrency=8, count=400, stream=True, goal=10)


SCENARIOS: dict[str, Scenario] = {one.name: one for one in (_unary(), _burst(), _paced(), _bigreq(), _agent())}
