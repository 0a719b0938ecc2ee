"""What the APIs promise and the backend cannot do itself, as pure steps on a request and on the events of its reply."""
