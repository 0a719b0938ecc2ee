"""Paths → handlers by method, with the names in the path."""

from typing import Any

import pytest

from augment_open_proxy.server.routes import Handler, Routes, path_name


def handler(name: str) -> Handler:
    async def handle(*_: Any) -> None:
        raise AssertionError(f"{name} is only found here, and not called")

    return handle


LIST, CREATE, SHOW, DELETE, CANCEL, COMPACT, MODEL = map(
    handler, ("list", "create", "show", "delete", "cancel", "compact", "model")
)


def routes() -> Routes:
    made = Routes()
    made.add("/", {"GET": LIST})
    made.add("/responses/{id}", {"GET": SHOW})
    made.add("/responses/{id}/cancel", {"POST": CANCEL})
    made.add("/responses/compact", {"POST": COMPACT})
    made.add("/responses", {"POST": CREATE})
    made.add("/conversations/{id}/items/{item}", {"GET": SHOW})
    made.add("/models/{name...}", {"GET": MODEL})
    return made


@pytest.mark.parametrize(
    ("path", "methods", "names"),
    [
        ("/", {"GET": LIST}, {}),
        ("/responses", {"POST": CREATE}, {}),
        ("/responses/resp_1", {"GET": SHOW}, {"id": "resp_1"}),
        ("/responses/a b\u00e9{}", {"GET": SHOW}, {"id": "a b\u00e9{}"}),
        ("/responses/resp_1/cancel", {"POST": CANCEL}, {"id": "resp_1"}),
        ("/responses/compact/cancel", {"POST": CANCEL}, {"id": "compact"}),
        ("/conversations/conv_1/items/msg_1", {"GET": SHOW}, {"id": "conv_1", "item": "msg_1"}),
        ("/models/gpt-5", {"GET": MODEL}, {"name": "gpt-5"}),
        ("/models/openai/gpt-5", {"GET": MODEL}, {"name": "openai/gpt-5"}),
        ("/models/openai//gpt-5", {"GET": MODEL}, {"name": "openai//gpt-5"}),
    ],
)
def test_a_path_has_its_handlers_and_names(path: str, methods: dict[str, Handler], names: dict[str, str]) -> None:
    assert routes().find(path) == (methods, names)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/respons",
        "/responses/",
        "/responses//cancel",
        "/responses/resp_1/",
        "/responses/resp_1/cancel/now",
        "/responses/resp_1/Cancel",
        "/v1/responses/resp_1",
        "/conversations/conv_1/items",
        "/conversations//items/msg_1",
        "/models",
        "/models/",
        "responses/resp_1",
        "/responses/{id}/{id}",
    ],
)
def test_other_paths_have_none(path: str) -> None:
    assert routes().find(path) is None


def test_a_plain_path_wins_over_a_template_whichever_was_added_first() -> None:
    """`POST /responses/compact` is not about a response by that name."""
    for paths in (("/responses/{id}", "/responses/compact"), ("/responses/compact", "/responses/{id}")):
        made = Routes()
        for path in paths:
            made.add(path, {"GET": COMPACT if path.endswith("compact") else SHOW})
        assert made.find("/responses/compact") == ({"GET": COMPACT}, {})


@pytest.mark.parametrize("path", ["/responses", "/responses/{id}", "/models/{name...}"])
def test_methods_may_be_added_one_after_the_other(path: str) -> None:
    made = Routes()
    made.add(path, {"GET": SHOW})
    made.add(path, {"DELETE": DELETE})
    found = made.find(path)
    assert found is not None
    assert found[0] == {"GET": SHOW, "DELETE": DELETE}


def test_what_was_given_is_not_changed() -> None:
    given: dict[str, Handler] = {"GET": SHOW}
    made = Routes()
    for path in ("/responses", "/responses/{id}"):
        made.add(path, given)
        made.add(path, {"DELETE": DELETE})
    assert given == {"GET": SHOW}


def test_a_handler_finds_the_names_in_its_scope() -> None:
    assert path_name({"path_params": {"id": "resp_1"}}, "id") == "resp_1"
