"""HTTP/1.1 as the backend needs it: connections that are kept, opened through proxies, and read within bounds."""
