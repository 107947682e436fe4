"""Starts the installed `apertium-apy` for its parent process alone; run as a script by the system's Python.

As installed, apertium-apy listens on every interface and can fetch web pages for its callers. Here it listens on
127.0.0.1 at a free port, answers translations only, tells the port on standard output and ends when its standard
input closes, so that it never outlives the process that started it.

Usage: python apy_launcher.py /usr/bin/apertium-apy MODES_FOLDER SECONDS
"""

import os
import runpy
import signal
import sys
import threading

import tornado.httpserver  # pyright: ignore[reportMissingImports]  # the system's Python has it
import tornado.web  # pyright: ignore[reportMissingImports]


def listen_on_loopback(server, _port, *_args, **_options):
    bind(server, 0, address="127.0.0.1")
    port = server._pending_sockets[0].getsockname()[1]
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


def translations_only(application, handlers=None, *args, **options):
    init(application, [handler for handler in handlers or () if handler[0] == "/translate"], *args, **options)


def end_with_parent():
    while sys.stdin.buffer.read(1024):
        pass
    if os.getpgrp() == os.getpid():  # started in a session of its own: the pipelines' programs are in this group
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    bind, init = tornado.httpserver.HTTPServer.bind, tornado.web.Application.__init__
    tornado.httpserver.HTTPServer.bind = listen_on_loopback
    tornado.web.Application.__init__ = translations_only
    command, modes, timeout = sys.argv[1:4]
    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.argv = [command, "--timeout", timeout, "--restart-pipe-after", "500", modes]
    runpy.run_path(command, run_name="__main__")
