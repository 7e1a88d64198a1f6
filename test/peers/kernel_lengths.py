"""Hands a program two sockets of which the kernel says more than fits: kernel_lengths.py FOLDER COMMAND...

The command gets two descriptors as its last arguments: one end of a pair, with a filter of 64 instructions, and a listener
bound to a path of 108 bytes, which has no room for a closing NUL.
"""

import ctypes
import os
import socket
import struct
import subprocess
import sys

SO_ATTACH_FILTER = 26
INSTRUCTIONS = 64

near, far = socket.socketpair()
code = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0xFFFFFFFF) * INSTRUCTIONS)
far.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", INSTRUCTIONS, ctypes.addressof(code)))

os.chdir(sys.argv[1])
path = b"p" * 108
address = struct.pack("H", socket.AF_UNIX) + path
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
if ctypes.CDLL(None, use_errno=True).bind(listener.fileno(), address, len(address)) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
listener.listen()

shared = (far.fileno(), listener.fileno())
sys.exit(subprocess.run(sys.argv[2:] + [str(fd) for fd in shared], pass_fds=shared).returncode)
