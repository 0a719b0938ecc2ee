"""`Reply` → the response object, and what stream and whole reply have in common."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from augment_open_proxy.core import events
from augment_open_proxy.core.conversation import Text, Thinking, ToolCall
from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import Cancelled, Failure, Finish, Opening, Terminal
from augment_open_proxy.core.reply import Reply
from augment_open_proxy.dialects.dialect import Delivery
from augment_open_proxy.dialects.framing import Pieces, without_line_ends
from augment_open_proxy.dialects.openai_errors import RESPONSES_ERRORS
from augment_open_proxy.dialects.openai_responses import wire
from augment_open_proxy.dialects.openai_responses.calls import CallForms

_encode = msgspec.json.Encoder().encode
_PREFIXES = {Text: "msg", Thinking: "rs", ToolCall: "fc"}
INCOMPLETE: dict[events.FinishReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why a response is incomplete."""


def fields_of(echo: wire.Echo) -> memoryview:
    """JSON of what is repeated, from what follows the opening brace; without a copy, since it holds all tools."""
    return memoryview(without_line_ends(_encode(echo)))[1:]


class Shape(Struct, frozen=True):
    """What the request says of its response: what is repeated, how calls look, what is shown.

    `gives_seals`: whether the client is shown the seals of reasoning; stored responses have them in any case.
    `compacts`: what the model thought up is a summary in place of the conversation.
    """

    echo: wire.Echo = wire.Echo()
    forms: CallForms = CallForms()
    gives_seals: bool = False
    compacts: bool = False
    fields: memoryview = fields_of(wire.Echo())
    """`fields_of` the echo."""


def render(replies: Sequence[Reply], delivery: Delivery) -> bytes:
    """The whole response object. There is one reply."""
    (reply,) = replies
    made = Responses(reply.opening, shape_of(delivery))
    return b"".join(made.ended(reply.end, made.items(reply)))


def status_before(event: events.Event) -> str:
    """Of a message, by what follows it."""
    return "incomplete" if isinstance(event, Finish) and event.reason in INCOMPLETE else "completed"


def shape_of(delivery: Delivery) -> Shape:
    """What the request said of its response; the defaults for a request of another API."""
    return delivery.shape if isinstance(delivery.shape, Shape) else Shape()


class Responses:
    """The objects of one reply."""

    def __init__(self, opening: Opening, shape: Shape) -> None:
        self._opening = opening
        self._forms = shape.forms
        self._shape = shape
        self._hex = opening.id.rpartition("_")[2].replace("-", "")

    def item_id(self, block: events.Block, index: int) -> str:
        prefix = _PREFIXES[type(block)]
        if self._shape.compacts:
            prefix = "cmp"
        if isinstance(block, ToolCall):
            prefix = "lsh" if self._forms.is_shell(block) else "ctc" if block.custom else prefix
        return f"{prefix}_{self._hex}{index:04x}"

    def items(self, reply: Reply) -> list[wire.OutputItem]:
        """The items of a reply."""
        output = [self.item(block, self.item_id(block, index)) for index, block in enumerate(reply.blocks)]
        if output and isinstance(output[-1], wire.MessageItem) and status_before(reply.end) == "incomplete":
            output[-1] = msgspec.structs.replace(output[-1], status="incomplete")
        return output

    def item(self, block: events.Block, id_: str, status: str = "completed") -> wire.OutputItem:
        """The item of a block, whose id is `item_id`'s."""
        match block:
            case Text(text):
                content = [] if status == "in_progress" else [wire.OutputText(text=text)]
                return wire.MessageItem(id=id_, status=status, content=content)
            case Thinking(opaque=opaque) if self._shape.compacts:
                return wire.CompactionItem(id=id_, encrypted_content=opaque or "")
            case Thinking(text, opaque):
                summary = [wire.SummaryText(text=text)] if text else []
                sealed = opaque if opaque is not None and self._shape.gives_seals else msgspec.UNSET
                return wire.ReasoningItem(id=id_, summary=summary, encrypted_content=sealed)
            case ToolCall():
                return self._forms.item(block, id_, status)

    def comes_whole(self, block: events.Block) -> bool:
        """Whether an item has no deltas in this API."""
        return self._shape.compacts or (isinstance(block, ToolCall) and self._forms.is_shell(block))

    def begun(self, status: str) -> Pieces:
        """The response object at the beginning, `queued` or `in_progress`."""
        return self._encoded(status=status, output=[])

    def ended(self, end: Terminal, output: list[wire.OutputItem]) -> Pieces:
        """The response object at the end."""
        match end:
            case Finish(reason=reason, usage=used):
                why = INCOMPLETE.get(reason)
                return self._encoded(
                    status="incomplete" if why else "completed",
                    completed_at=None if why else end.at,
                    incomplete_details=wire.IncompleteDetails(why) if why else None,
                    output=output,
                    usage=usage(used),
                    is_stored=not end.is_unstored,
                )
            case Failure(problem=problem):
                return self._encoded(status="failed", error=error_of(problem), output=output)
            case Cancelled():
                return self._encoded(status="cancelled", output=output)

    def _encoded(
        self,
        *,
        status: str,
        output: list[wire.OutputItem],
        completed_at: int | None = None,
        incomplete_details: wire.IncompleteDetails | None = None,
        error: wire.Error | None = None,
        usage: wire.Usage | None = None,
        is_stored: bool = True,
    ) -> Pieces:
        response = wire.Response(
            id=self._opening.id,
            created_at=self._opening.created,
            completed_at=completed_at,
            status=status,
            error=error,
            incomplete_details=incomplete_details,
            model=self._opening.model,
            output=output,
            usage=usage,
        )
        repeated = self._shape.fields
        if not is_stored:
            repeated = fields_of(msgspec.structs.replace(self._shape.echo, store=False))
        return _encode(response)[:-1], b",", repeated


def usage(used: events.Usage) -> wire.Usage:
    """Core's counts, where cached tokens stand apart, as this API counts: within the input."""
    prompt, output = used.prompt or 0, used.output or 0
    return wire.Usage(
        prompt,
        wire.InputTokensDetails(used.cache_read or 0, used.cache_creation or 0),
        output,
        wire.OutputTokensDetails(used.reasoning or 0),
        prompt + output,
    )


def error_of(problem: Problem) -> wire.Error:
    """Codex reads the code, and for a rate limit the seconds in the message."""
    message = problem.message
    if problem.kind is ErrorKind.RATE_LIMITED and problem.retry_after is not None:
        seconds = f"{problem.retry_after:.3f}".rstrip("0").rstrip(".")
        message = f"{message} Please try again in {seconds}s."
    return wire.Error(RESPONSES_ERRORS[problem.kind].code or "invalid_request_error", message)
