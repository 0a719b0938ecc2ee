"""What the standalone binary runs: the command line, with worker processes that are the binary again."""

import multiprocessing
import os
import ssl
import sys
from collections.abc import Iterable

SYSTEM_AUTHORITIES = (
    "/etc/ssl/cert.pem",  # macOS, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch
    "/etc/ssl/ca-bundle.pem",  # openSUSE
)


def find_authorities(places: Iterable[str] = SYSTEM_AUTHORITIES) -> None:
    """Else OpenSSL looks for the certificate authorities only where the machine had them that built the binary."""
    known = ssl.get_default_verify_paths()
    if known.cafile is None and known.capath is None and "SSL_CERT_FILE" not in os.environ:
        for place in filter(os.path.isfile, places):
            os.environ["SSL_CERT_FILE"] = place
            return


if __name__ == "__main__":
    multiprocessing.freeze_support()
    find_authorities()
    from augment_open_proxy.cli import main

    sys.exit(main())
