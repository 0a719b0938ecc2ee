"""Whose tokens a model counts in."""

_CLAUDE = ("claude", "haiku", "sonnet", "opus")


def is_claude(model: str) -> bool:
    """Whether an id, or a short name such as `opus4.7`, is one of Claude's."""
    return model.startswith(_CLAUDE)
