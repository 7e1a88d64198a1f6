"""Runs a program whose kernel keeps its error queues to itself: reading one finds nothing, and epoll reports it for ever.

kept_errors.py COMMAND...
"""

import ctypes
import os
import platform
import struct
import sys

RECVMSG = {"x86_64": 47, "aarch64": 212}[platform.machine()]
MSG_ERRQUEUE = 0x2000
EAGAIN = 11
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x00050000, 0x7FFF0000
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER, THIRD_ARGUMENT = 0, 32

filters = [
    (LOAD, 0, 0, NUMBER),
    (EQUAL, 0, 3, RECVMSG),
    (LOAD, 0, 0, THIRD_ARGUMENT),
    (ANY_BIT, 0, 1, MSG_ERRQUEUE),
    (RETURN, 0, 0, SECCOMP_RET_ERRNO | EAGAIN),
    (RETURN, 0, 0, SECCOMP_RET_ALLOW),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in filters))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(filters), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
for call in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0)):
    if libc.prctl(*(ctypes.c_ulong(word) for word in call)) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
os.execvp(sys.argv[1], sys.argv[1:])
