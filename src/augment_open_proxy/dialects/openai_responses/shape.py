"""What the renderer needs to know of a request: what its response repeats, how calls look, what it is shown."""

from msgspec import Struct

from augment_open_proxy.dialects.openai_responses import wire
from augment_open_proxy.dialects.openai_responses.calls import CallForms


class Shape(Struct, frozen=True):
    """`gives_seals`: whether the client is shown the seals of reasoning; stored responses have them in any case.

    `compacts`: what the model thought up is a summary in place of the conversation.
    """

    echo: wire.Echo = wire.Echo()
    forms: CallForms = CallForms()
    gives_seals: bool = False
    compacts: bool = False
