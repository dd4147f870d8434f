"""localstripe on one address of this machine, keeping nothing on disk. Arguments: the port."""

import sys

from aiohttp import web
from localstripe.resources import Store
from localstripe.server import app

if __name__ == "__main__":
    Store.dump_to_disk = lambda self: None  # it would write to one file in /tmp, whoever else runs it
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
