"""The state folder: small files that must outlive a restart, readable by their owner alone.

Where the folder cannot be written, everything works in memory for as long as the process lives, and says so.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


class StateFolder:
    """Files by name. The folder is made when something is first written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warning: str | None = None
        """What to tell the user when the folder cannot be used; None as long as it can."""
        self._memory: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        """What was last written under `name`, or None."""
        if name in self._memory:
            return self._memory[name]
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._warn(error)
            return None

    def write(self, name: str, data: bytes) -> None:
        """Keep `data` under `name`. A reader, or a crash, finds either the old or the new content whole."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(self.path / name, data)
        except OSError as error:
            self._memory[name] = data
            self._warn(error)
        else:
            self._memory.pop(name, None)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process or thread is in here meanwhile, so that what is read can be changed and written.

        That does not hold on Windows, and where the folder cannot be written or knows no locks.
        """
        with ExitStack() as stack:
            with suppress(ImportError, OSError):
                import fcntl  # Windows has none

                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
                stack.callback(os.close, lock)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def describe(self) -> str:
        """Where the state is kept, in words. Looks whether the folder could be written, and changes nothing."""
        if self.warning is None and not is_writable(self.path):
            self._warn(None)
        return "in memory only" if self.warning else str(self.path)

    def _warn(self, error: OSError | None) -> None:
        reason = f": {error.strerror}" if error and error.strerror else ""
        self.warning = self.warning or (
            f"the state folder {self.path} cannot be used{reason}; what is kept there lasts until the proxy stops"
            " (name another folder with AOP_STATE_DIR)"
        )


def _replace(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        # Without O_BINARY, Windows would change the line ends.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise


def is_writable(folder: Path) -> bool:
    """Whether `folder` can be written or, when it is not there yet, be made."""
    while not os.access(folder, os.F_OK) and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
