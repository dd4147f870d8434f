"""The web program: its connections, the requests that wait, and the threads that answer."""
