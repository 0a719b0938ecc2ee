"""Places by the platform's convention. The import takes 10 to 20 ms, so only who needs a place pays for it."""

from pathlib import Path

APP_NAME = "augment-open-proxy"


def user_config_file() -> Path:
    """Where the TOML file is looked for when none is named."""
    from platformdirs import user_config_path

    return user_config_path(APP_NAME, appauthor=False) / "config.toml"


def user_state_dir() -> Path:
    """The state folder when none is named."""
    from platformdirs import user_state_path

    return user_state_path(APP_NAME, appauthor=False)
