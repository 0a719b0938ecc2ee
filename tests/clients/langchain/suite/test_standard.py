"""LangChain's own standard tests of a chat model, on each API, and on each way to structured output."""

from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from conftest import OTHER_MODEL, THINKING, THINKING_MODEL, make, params

LONG = "A text that is long enough to be cached. " * 500


class OnProxy(ChatModelIntegrationTests):
    """What the proxy gives on every API. Image URLs are fetched by the proxy, which may reach nobody here."""

    api: str
    method: str | None = None
    more: dict[str, Any] = {}  # noqa: RUF012 (never changed)

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatAnthropic if self.api == "messages" else ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return params(self.api, **self.more)

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {} if self.method is None else {"method": self.method}

    @property
    def model_override_value(self) -> str:
        return OTHER_MODEL

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return self.api != "messages"

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:  # type: ignore[override]
        kinds = ["cache_read_input", *(["cache_creation_input"] if self.api == "messages" else ["reasoning_output"])]
        return {"invoke": kinds, "stream": kinds}

    def invoke_with_cache_creation_input(self, *, stream: bool = False) -> AIMessage:
        return _ask(make(self.api), [HumanMessage(LONG)], stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        model = make(self.api)
        said = [HumanMessage(LONG)]
        answer = _ask(model, said, stream)
        again = _ask(model, [*said, answer, HumanMessage("Go on.")], stream)
        assert again.usage_metadata is not None
        assert again.usage_metadata["input_token_details"]["cache_read"] > 0
        return again

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        answer = _ask(make(self.api, model=THINKING_MODEL), [HumanMessage("Think first.")], stream)
        assert answer.usage_metadata is not None
        assert answer.usage_metadata["output_token_details"]["reasoning"] > 0
        return answer


def _ask(model: BaseChatModel, messages: list[Any], stream: bool) -> AIMessage:
    if not stream:
        return model.invoke(messages)
    whole = None
    for chunk in model.stream(messages):
        whole = chunk if whole is None else whole + chunk
    assert isinstance(whole, AIMessage)
    return whole


class TestChat(OnProxy):
    api = "chat"


class TestChatFunctionCalling(OnProxy):
    api = "chat"
    method = "function_calling"


class TestResponses(OnProxy):
    api = "responses"


class TestResponsesFunctionCalling(OnProxy):
    api = "responses"
    method = "function_calling"


class TestMessages(OnProxy):
    api = "messages"


class TestMessagesThinking(OnProxy):
    """Thinking blocks come and go back. Anthropic allows no forced tool together with thinking."""

    api = "messages"
    more = {**THINKING, "temperature": 1}  # noqa: RUF012

    @property
    def has_tool_choice(self) -> bool:
        return False
