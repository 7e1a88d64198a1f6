"""Starts a program as systemd's socket activation does: listening descriptors from 3 on, LISTEN_* in the environment.

activate.py NAMES COMMAND...   one TCP listener for each of the comma-separated names; a name with a slash is a path.
The ports are told on stderr, one line of JSON. LISTEN_PID=SHIFTED in the environment says another process was meant.
"""

import json
import os
import socket
import sys

names = sys.argv[1].split(",")
listeners = []
for name in names:
    listener = socket.socket(socket.AF_UNIX if "/" in name else socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(name if "/" in name else ("127.0.0.1", 0))
    listener.listen(64)
    listeners.append(listener)

print(json.dumps([listener.getsockname() for listener in listeners]), file=sys.stderr, flush=True)

# First out of the way of the descriptors they are to have, then onto those.
spares = [os.dup2(listener.fileno(), 100 + at) for at, listener in enumerate(listeners)]
for at, spare in enumerate(spares):
    os.dup2(spare, 3 + at, inheritable=True)
    os.close(spare)

shifted = os.environ.pop("LISTEN_PID", None) == "SHIFTED"
os.environ["LISTEN_FDS"] = str(len(listeners))
os.environ["LISTEN_PID"] = str(os.getpid() + (1 if shifted else 0))
os.environ["LISTEN_FDNAMES"] = ":".join(name.replace("/", "_") for name in names)
os.execvp(sys.argv[2], sys.argv[2:])
