"""Puts the application together: the parts that live as long as the server, each opened and closed in its turn."""

import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.journal.log import Log
from augment_open_proxy.journal.store.opening import MEMORY, SQLITE, Stores, default_url
from augment_open_proxy.journal.store.opening import describe as describe_store
from augment_open_proxy.server.app import App
from augment_open_proxy.server.files import Files
from augment_open_proxy.server.provision import Ready, client_keys, needs_key, seal_secret
from augment_open_proxy.server.renewal import Renewal
from augment_open_proxy.server.runs import Runs
from augment_open_proxy.settings import Settings
from augment_open_proxy.state import StateFolder, is_writable
from augment_open_proxy.upstream.attempts import Upstream
from augment_open_proxy.upstream.budget import RetryBudget
from augment_open_proxy.upstream.catalog import canonical_id
from augment_open_proxy.upstream.client import Client, Timeouts
from augment_open_proxy.upstream.credentials import CredentialSource
from augment_open_proxy.upstream.listing import Listing, find_cli

if TYPE_CHECKING:
    from augment_open_proxy.server.shared import Shared


@contextlib.asynccontextmanager
async def open_app(
    settings: Settings, log: Log, *, use_cli: bool = True, shared: "Shared | None" = None
) -> AsyncIterator[tuple[App, Ready]]:
    """The application with all that it needs, closed at the end; without `use_cli`, models are the built-in ones.

    `shared` is given to one of several workers.
    """
    timeouts = Timeouts(settings.connect_timeout, settings.headers_timeout, settings.body_timeout)
    async with contextlib.AsyncExitStack() as stack:
        client = Client(timeouts, settings.ca_file)
        stack.push_async_callback(client.close)
        files = Files(settings.fetch_urls, settings.ca_file)
        stack.push_async_callback(files.close)
        listing = Listing(find_cli() if use_cli else None, settings.disable_effort_models)
        stack.push_async_callback(listing.close)
        credentials = CredentialSource(
            settings.augment_api_token, settings.augment_api_url, settings.augment_session_auth, Path.home()
        )
        state = StateFolder(settings.state_dir)
        secret = seal_secret(settings, state)
        place = state.describe()
        store = settings.store or ("memory" if state.warning else default_url(settings.state_dir))
        stores = Stores(store, ttl=settings.store_ttl, size_limit=settings.store_limit, instance=str(uuid.uuid4()))
        stack.push_async_callback(stores.close)
        renewal = Renewal(stores)
        stack.push_async_callback(renewal.close)
        runs = Runs(stores, renewal)
        stack.push_async_callback(runs.close)
        upstream = Upstream(
            client,
            credentials,
            listing,
            RetryBudget(time.monotonic, None if shared is None else shared.may_retry),
            _fallbacks(settings.fallback_models),
            settings.first_byte_timeout,
            settings.stall_timeout,
        )
        keys, made = client_keys(settings, state, shared.shares if shared is not None else None)
        stack.callback(keys.close)
        log.hide(lambda: _secrets(credentials, [*settings.api_keys, *([made] if made else [])]))
        is_asked = needs_key(settings, keys) if shared is None else shared.asks_for_key
        app = App(
            settings, upstream, files, secret, log, stores, runs, renewal, keys, needs_key=is_asked, shared=shared
        )
        stack.push_async_callback(app.batches.close)
        app.batches.resume(store, is_shared=shared is not None)
        notices = tuple(filter(None, (state.warning, _store_warning(store))))
        troubles = credentials.troubles
        yield app, Ready(credentials.describe(), place, describe_store(store), troubles, notices, is_asked, made)


def _store_warning(url: str) -> str | None:
    """What to tell the user where the file of the store cannot be made."""
    place = describe_store(url)
    if url in MEMORY or not url.startswith(SQLITE) or is_writable(Path(place).parent):
        return None
    return f"the store {place} cannot be written; replies go out and are not kept (name another with AOP_STORE)"


def _secrets(credentials: CredentialSource, keys: list[str]) -> list[str]:
    """What no log may show."""
    try:
        return [credentials.current().token, *keys]
    except ProxyError:
        return keys


def _fallbacks(pairs: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    """Which models are asked where one says nothing, by its id."""
    fallbacks: dict[str, list[str]] = {}
    for model, fallback in pairs:
        fallbacks.setdefault(canonical_id(model), []).append(fallback)
    return fallbacks
