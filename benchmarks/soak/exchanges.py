"""What is done to the proxy, one function for each kind. Each raises `Wrong` where an answer is not what it must be."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from benchmarks.soak.apis import APIS, CHAT, RESPONSES, Seen
from benchmarks.soak.client import Client, Texts, Wrong, texts

HARMLESS = ("garbage", "crlf", "no-final-newline", "unknown-nodes", "raw-response-repeats", "usage-after-stop")
"""Scenarios after which the reply is whole all the same."""
FAULTS = (
    *("error-400", "error-429", "error-500", "error-503", "error-529", "error-html-502", "error-in-stream", "flaky"),
    *("empty-completion", "truncated", "cut", "reset", "reset-before"),
)
SILENCES = ("no-answer", "hang", "stall", "stop-then-silence")
"""Scenarios that only a client ends, by leaving."""
PATIENCE = 0.3
"""Seconds after which the client leaves."""
POLLED_EVERY, POLLS = 0.05, 400


class Asking:
    """What an exchange needs: the client, chance, and a number that no other request has."""

    def __init__(self, client: Client, chance: random.Random) -> None:
        self.client = client
        self.chance = chance
        self._number = 0

    def texts(self) -> Texts:
        self._number += 1
        return texts(self._number, self.chance.randint(1, 40))

    def delay(self) -> float:
        """Seconds between lines."""
        return self.chance.choice([0, 0, 0.002, 0.02])


Exchange = Callable[[Asking], Awaitable[None]]


def check_whole(status: int, seen: Seen, wanted: Texts, choices: int = 1) -> None:
    if status != 200 or not seen.ended or seen.failed:
        said = f"{len(seen.texts.get(0, ''))} of {len(wanted.whole)} characters, last event {seen.number}"
        told = "a failure" if seen.failed else "an end" if seen.ended else "no end"
        raise Wrong(f"number {wanted.number} ({seen.id}): status {status}, {said}, and told {told}")
    for choice in range(choices):
        check_text(seen.texts.get(choice, ""), wanted)
    if len(seen.texts) > choices:
        raise Wrong(f"{len(seen.texts)} choices instead of {choices}")


def check_text(text: str, wanted: Texts) -> None:
    if text != wanted.whole:
        raise Wrong(f"number {wanted.number} got {text[:80]!r}… ({len(text)} characters of {len(wanted.whole)})")


def check_begun(seen: Seen, wanted: Texts) -> None:
    """What came of a reply that did not end well is its own."""
    for text in seen.texts.values():
        if not wanted.whole.startswith(text):
            raise Wrong(f"number {wanted.number} got {text[:80]!r}…")


async def plain(asking: Asking) -> None:
    """A reply in any API, streamed or whole, after what the backend may do without harm."""
    api, wanted, stream = asking.chance.choice(APIS), asking.texts(), asking.chance.random() < 0.7
    directive: dict[str, Any] = {"delay": asking.delay()}
    if asking.chance.random() < 0.3:
        directive["scenario"] = asking.chance.choice(HARMLESS)
    status, seen = await asking.client.ask(api, {**api.body(wanted.prompt(**directive)), "stream": stream})
    check_whole(status, seen, wanted)


async def with_choices(asking: Asking) -> None:
    """Several choices side by side."""
    wanted, choices = asking.texts(), asking.chance.randint(2, 4)
    body = CHAT.body(wanted.prompt(delay=asking.delay()))
    status, seen = await asking.client.ask(CHAT, {**body, "n": choices, "stream": asking.chance.random() < 0.7})
    check_whole(status, seen, wanted, choices)


async def stored_response(asking: Asking) -> None:
    """Stored, shown, gone on from, and deleted."""
    first, second = asking.texts(), asking.texts()
    body = {**RESPONSES.body(first.prompt()), "store": True, "stream": asking.chance.random() < 0.5}
    status, seen = await asking.client.ask(RESPONSES, body)
    check_whole(status, seen, first)
    path = f"{RESPONSES.path}/{seen.id}"
    check_whole(*await asking.client.follow(RESPONSES, "GET", path), first)
    check_whole(*await asking.client.follow(RESPONSES, "GET", f"{path}?stream=true"), first)
    body = {**RESPONSES.body(second.prompt()), "previous_response_id": seen.id}
    check_whole(*await asking.client.ask(RESPONSES, body), second)
    status, listed = await asking.client.call("GET", f"{path}/input_items")
    if status != 200 or [item["content"][0]["text"] for item in listed["data"]] != [first.prompt()]:
        raise Wrong(f"number {first.number} has other input: {str(listed)[:200]}")
    await _delete(asking, path)


async def stored_chat(asking: Asking) -> None:
    wanted = asking.texts()
    body = {**CHAT.body(wanted.prompt()), "store": True, "stream": asking.chance.random() < 0.5}
    status, seen = await asking.client.ask(CHAT, body)
    check_whole(status, seen, wanted)
    path = f"{CHAT.path}/{seen.id}"
    check_whole(*await asking.client.follow(CHAT, "GET", path), wanted)
    await _delete(asking, path)


async def _delete(asking: Asking, path: str) -> None:
    """Half of what is stored; the other half stays."""
    if asking.chance.random() < 0.5:
        status, _ = await asking.client.call("DELETE", path)
        after, _ = await asking.client.call("GET", path)
        if (status, after) not in ((200, 404), (404, 404)):  # a deletion that was repeated finds nothing
            raise Wrong(f"DELETE {status}, then GET {after}")


async def background(asking: Asking) -> None:
    """A response that runs by itself, and is asked for until it is there."""
    wanted = asking.texts()
    body = {**RESPONSES.body(wanted.prompt(delay=asking.delay())), "store": True, "background": True}
    status, seen = await asking.client.ask(RESPONSES, body)
    for _ in range(POLLS):
        if status != 200 or seen.ended or seen.failed:
            break
        await asyncio.sleep(POLLED_EVERY)
        status, seen = await asking.client.follow(RESPONSES, "GET", f"{RESPONSES.path}/{seen.id}")
    check_whole(status, seen, wanted)


async def taken_up_again(asking: Asking) -> None:
    """A stream of a background response that is left, and gone on with from there."""
    wanted = asking.texts()
    prompt = wanted.prompt(delay=asking.delay())
    body = {**RESPONSES.body(prompt), "store": True, "background": True, "stream": True}
    status, seen = await asking.client.ask(RESPONSES, body, leave_after=asking.chance.randint(3, 15))
    if not seen.ended:
        path = f"{RESPONSES.path}/{seen.id}?stream=true&starting_after={seen.number}"
        status, rest = await asking.client.follow(RESPONSES, "GET", path)
        rest.texts = {0: seen.texts.get(0, "") + rest.texts.get(0, "")}
        seen = rest
    check_whole(status, seen, wanted)


async def cancelled(asking: Asking) -> None:
    """A background response that is ended from outside."""
    wanted = asking.texts()
    body = {**RESPONSES.body(wanted.prompt(delay=0.1)), "store": True, "background": True}
    _, seen = await asking.client.ask(RESPONSES, body)
    status, reply = await asking.client.call("POST", f"{RESPONSES.path}/{seen.id}/cancel")
    if status != 200 or reply["status"] not in ("cancelled", "completed"):
        raise Wrong(f"cancel: {status} {str(reply)[:200]}")


async def left(asking: Asking) -> None:
    """The client leaves a stream after some events."""
    api, wanted = asking.chance.choice(APIS), asking.texts()
    body = {**api.body(wanted.prompt(delay=0.02)), "stream": True}
    _, seen = await asking.client.ask(api, body, leave_after=asking.chance.randint(1, 10))
    check_begun(seen, wanted)


async def left_in_silence(asking: Asking) -> None:
    """The backend says nothing more, and the client has had enough."""
    api, wanted = asking.chance.choice(APIS), asking.texts()
    prompt = wanted.prompt(scenario=asking.chance.choice(SILENCES))
    try:
        async with asyncio.timeout(PATIENCE):
            await asking.client.ask(api, {**api.body(prompt), "stream": asking.chance.random() < 0.5})
    except TimeoutError:
        pass


async def failing(asking: Asking) -> None:
    """The backend fails: the client is told so, or gets the whole reply after another attempt."""
    api, wanted = asking.chance.choice(APIS), asking.texts()
    prompt = wanted.prompt(scenario=asking.chance.choice(FAULTS))
    status, seen = await asking.client.ask(api, {**api.body(prompt), "stream": asking.chance.random() < 0.7})
    check_begun(seen, wanted)
    if seen.failed and not seen.ended:
        return
    check_whole(status, seen, wanted)


async def counted(asking: Asking) -> None:
    status, reply = await asking.client.call("POST", "/v1/messages/count_tokens", _counted_body())
    if status != 200 or reply["input_tokens"] < 1:
        raise Wrong(f"count_tokens: {status} {reply}")


def _counted_body() -> dict[str, Any]:
    return {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "How many tokens is this?"}]}


EXCHANGES: Mapping[Exchange, int] = {
    plain: 12,
    with_choices: 2,
    stored_response: 3,
    stored_chat: 2,
    background: 2,
    taken_up_again: 2,
    cancelled: 1,
    left: 3,
    left_in_silence: 1,
    failing: 3,
    counted: 1,
}
"""What makes the load, with its share."""
