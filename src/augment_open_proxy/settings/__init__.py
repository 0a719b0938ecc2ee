"""Everything that can be set, in one frozen `Settings`, and where the values come from."""

from augment_open_proxy.settings.fields import OPTIONS, LogFormat, Logging, Option, Settings
from augment_open_proxy.settings.loading import SettingsError, load
from augment_open_proxy.settings.places import APP_NAME, user_config_file, user_state_dir

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
