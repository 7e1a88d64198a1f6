"""Shares its sockets with a program: a listener and one end of a pair, which stay open here too.

share.py COMMAND...   The command gets the two descriptors as its last arguments. When the program says a line, something comes in for both sockets, and the program is told "go".
What it says from then on is passed on.
"""

import socket
import subprocess
import sys

listener = socket.create_server(("127.0.0.1", 0))
near, far = socket.socketpair()

shared = (listener.fileno(), far.fileno())
command = sys.argv[1:] + [str(descriptor) for descriptor in shared]
program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=shared)
program.stdout.readline()
client = socket.create_connection(listener.getsockname())
near.send(b"hello")
program.stdin.write(b"go\n")
program.stdin.flush()
for line in program.stdout:
    sys.stdout.buffer.write(line)
    sys.stdout.flush()
sys.exit(program.wait())
