"""Everything that can be set, in one frozen `Settings`, and where the values come from."""

from augment_open_proxy.settings.fields import (
    APP_NAME,
    OPTIONS,
    LogFormat,
    Logging,
    Option,
    Settings,
    user_config_file,
    user_state_dir,
)
from augment_open_proxy.settings.loading import SettingsError, load

__all__ = [
    "APP_NAME",
    "OPTIONS",
    "LogFormat",
    "Logging",
    "Option",
    "Settings",
    "SettingsError",
    "load",
    "user_config_file",
    "user_state_dir",
]
