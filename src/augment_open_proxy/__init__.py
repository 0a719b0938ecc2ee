"""augment-open-proxy: OpenAI- and Anthropic-compatible clients on an Augment account."""

__version__ = "2.0.0"
