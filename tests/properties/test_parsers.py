"""Whatever a client sends, a parser makes something of it or says what is wrong; it never fails."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.core.events import Event, Failure, Finish, Opening, Usage
from augment_open_proxy.core.reply import Reply, fold
from augment_open_proxy.dialects.anthropic_messages.batches import parse_batch, read_batch_page
from augment_open_proxy.dialects.anthropic_messages.request import parse_count
from augment_open_proxy.dialects.dialect import NO_REFERENCES, NOTHING, Dialect, Parsed, PastTurn, Recalled, renderer
from augment_open_proxy.dialects.openai_chat import stored as chats
from augment_open_proxy.dialects.openai_lists import read_page
from augment_open_proxy.dialects.openai_responses import conversations
from augment_open_proxy.dialects.openai_responses.compaction import OPENAI_COMPACTION
from augment_open_proxy.dialects.openai_responses.stored import items
from augment_open_proxy.dialects.openai_responses.websocket import Create, Refusal, parse_message
from augment_open_proxy.dialects.registry import DIALECTS, reader
from augment_open_proxy.policies.chain import Chain
from augment_open_proxy.server.files import Files
from augment_open_proxy.server.resolve import Resolver
from augment_open_proxy.tokens.counter import TokenCounter
from augment_open_proxy.tokens.request import count_request, estimate_request
from augment_open_proxy.upstream.decode import Decoder
from tests.pipeline import CREATED, POLICIES, TURN_ID, upstream_request
from tests.properties import bodies as seeds
from tests.properties import grammar
from tests.properties.mutation import as_json, bodies, nested, texts
from tests.properties.strategies import answers

SEEDS = seeds.OF_DIALECTS
per_dialect = pytest.mark.parametrize("dialect", (*DIALECTS, OPENAI_COMPACTION), ids=lambda dialect: dialect.name)
DIGITS = "0" * 32
COUNTER = TokenCounter()
MOST_TURNS = 5


def parsed(dialect: Dialect, body: bytes, recalled: Recalled = NOTHING) -> Parsed | None:
    """What the parser makes of a body; `None` where it refuses it. Nothing else may happen."""
    try:
        return dialect.parse(body, recalled)
    except ProxyError as error:
        assert error.problem.message
        status = dialect.errors[error.problem.kind].status
        assert 400 <= status < 500, error.problem
        assert dialect.render_error(error.problem, "id")
        return None


def asked(found: Parsed) -> Parsed | None:
    """With content in the place of attachments; `None` where the backend can't be asked, which is to be told well."""
    try:
        request = asyncio.run(Resolver(Files(enabled=False, ca_file=None), b"secret").resolve(found.request))
        resolved = msgspec.structs.replace(found, request=request)
        assert upstream_request(resolved)
    except ProxyError as error:
        assert error.problem.message
        return None
    return resolved


def replied(dialect: Dialect, found: Parsed, answer: bytes) -> list[Event]:
    """The events of the reply when each turn that the backend is asked for has this answer."""
    chain = Chain(found.request, POLICIES)
    events = chain.feed([Opening(dialect.id_prefix + TURN_ID, CREATED, found.request.model, 1)])
    for _ in range(MOST_TURNS):
        decoder = Decoder()
        for batch in (decoder.feed(answer), decoder.close()):
            events += chain.feed(batch) if batch else []
            if isinstance(events[-1], Finish | Failure):
                grammar.check(events)
                return events
        assert chain.again() is not None
    raise AssertionError("the turns have no end")


@per_dialect
def test_the_seeds_are_read(dialect: Dialect) -> None:
    """Else all that follows would look only at refusals."""
    read = [parsed(dialect, as_json(seed)) for seed in SEEDS[dialect.name]]
    assert read[0] is not None
    assert asked(read[0]) is not None
    assert sum(each is not None for each in read) > len(read) / 2


@per_dialect
@given(data=st.data())
@settings(max_examples=600)
def test_any_body_is_read_or_refused_and_what_is_read_can_be_asked(dialect: Dialect, data: st.DataObject) -> None:
    body = data.draw(bodies(SEEDS[dialect.name]))
    try:
        given_references = dialect.references(body)
    except ProxyError:
        given_references = NO_REFERENCES
    assert all(isinstance(id_, str) for id_ in given_references.items)
    found = parsed(dialect, body)
    if found is None:
        return
    assert found.delivery.choices >= 1
    assert parsed(reader(dialect, body), body) is not None
    found = asked(found)
    if found is not None:
        assert estimate_request(found.request) >= 0
        assert count_request(found.request, COUNTER.count, "claude-sonnet-4-5", 1.2) >= 0


@per_dialect
@pytest.mark.parametrize(
    "body", [nested(5), nested(600), nested(20_000), b"", b"null", b"[]", b"{}", b"\xef\xbb\xbf{}"]
)
def test_what_is_no_request_is_refused(dialect: Dialect, body: bytes) -> None:
    assert parsed(dialect, body) is None


@per_dialect
@pytest.mark.parametrize("depth", [50, 600, 20_000])
def test_a_field_that_is_nested_deeply_is_read_or_refused(dialect: Dialect, depth: int) -> None:
    for name in SEEDS[dialect.name][0]:
        fields = {key: value for key, value in SEEDS[dialect.name][0].items() if key != name}
        body = as_json(fields)[:-1] + b"," + as_json(name) + b":" + nested(depth) + b"}"
        found = parsed(dialect, body)
        if found is not None:
            asked(found)


# ------------------------------------------------------------------ with a past


@pytest.mark.parametrize("dialect", [each for each in DIALECTS if each.keeps], ids=lambda each: each.name)
@given(data=st.data())
@settings(max_examples=250)
def test_what_was_stored_can_be_gone_on_from(dialect: Dialect, data: st.DataObject) -> None:
    """A body that was read once is read again with what follows it, and its items are the same each time."""
    body = data.draw(bodies(SEEDS[dialect.name]))
    found = parsed(dialect, body)
    found = asked(found) if found else None
    if found is None:
        return
    answer = data.draw(answers)
    reply = fold(replied(dialect, found, answer))
    kept = dialect.items(body, reply)
    assert kept == dialect.items(body, reply)
    recalled = Recalled((PastTurn(body, reply),), by_id={item.id: item.json for item in (*kept.given, *kept.made)})
    again = parsed(dialect, data.draw(bodies(SEEDS[dialect.name])), recalled)
    again = asked(again) if again else None
    if again is not None:
        events = replied(dialect, again, answer)
        rendering = renderer(dialect, msgspec.structs.replace(again.delivery, choices=1))
        assert rendering.feed(events) or isinstance(events[-1], Failure)


@given(data=st.data())
@settings(max_examples=200)
def test_any_item_that_is_kept_can_be_read_again(data: st.DataObject) -> None:
    responses = next(dialect for dialect in DIALECTS if dialect.items is items)
    try:
        posted, _ = conversations.read_new(data.draw(bodies([seeds.CONVERSATION])), DIGITS)
    except ProxyError:
        return
    kept = Recalled(items=tuple(item.json for item in posted))
    assert parsed(responses, b'{"model":"gpt-5.4","input":"Go on."}', kept) is not None


@given(body=bodies(SEEDS["openai_chat"]))
@settings(max_examples=200)
def test_any_chat_that_was_read_can_be_shown(body: bytes) -> None:
    found = parsed(DIALECTS[0], body)
    if found is not None and reader(DIALECTS[0], body) is DIALECTS[0]:
        reply = Reply(Opening(TURN_ID, 1, "m", 1), (), Finish("stop", 1, Usage()))
        assert chats.render_completion(body, [reply] * found.delivery.choices, {})
        assert len(chats.messages(body, TURN_ID)) >= len(found.request.messages) - 1


# ------------------------------------------------------------------ other bodies

OTHERS: list[tuple[str, Callable[[bytes], object], list[Any]]] = [
    ("count", parse_count, seeds.OF_DIALECTS["anthropic_messages"]),
    ("batch", parse_batch, [seeds.BATCH]),
    ("new", lambda body: conversations.read_new(body, DIGITS), [seeds.CONVERSATION, {}]),
    ("added", lambda body: conversations.read_added(body, DIGITS), [seeds.CONVERSATION]),
    ("changed", conversations.read_change, [{"metadata": {"a": "b"}}]),
    ("completion", chats.read_change, [{"metadata": {"a": "b"}}]),
]


@pytest.mark.parametrize(("parse", "like"), [case[1:] for case in OTHERS], ids=[case[0] for case in OTHERS])
@given(data=st.data())
@settings(max_examples=300)
def test_any_other_body_is_read_or_refused(parse: Callable[[bytes], object], like: list[Any], data: Any) -> None:
    try:
        parse(data.draw(bodies(like)))
    except ProxyError as error:
        assert error.problem.message


@given(text=bodies([seeds.EVENT]))
@example(text=nested(20_000))
@settings(max_examples=300)
def test_any_message_of_a_socket_is_read_or_refused(text: bytes) -> None:
    try:
        asked = parse_message(text)
    except (ProxyError, Refusal):
        return
    if isinstance(asked, Create):
        parsed(next(dialect for dialect in DIALECTS if dialect.name == "openai_responses"), asked.body)


PARAMETERS = ("limit", "order", "after", "after_id", "before_id", "model", "metadata[a]")
queries = st.lists(
    st.tuples(
        st.sampled_from(PARAMETERS) | texts,
        texts | st.integers().map(str),
    ),
    max_size=4,
)


@pytest.mark.parametrize("read", [read_page, read_batch_page, chats.read_wanted])
@given(query=queries)
def test_any_query_is_read_or_refused(read: Callable[[Any], object], query: list[tuple[str, str]]) -> None:
    try:
        read(query)
    except ProxyError as error:
        assert error.problem.param
