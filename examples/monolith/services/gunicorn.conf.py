"""How gunicorn serves a service: `gunicorn --bind 127.0.0.1:8101`."""

wsgi_app = "wsgi"
threads = 8
keepalive = 60  # longer than the shop keeps a connection: it must not meet one that is being closed
