# An inotify descriptor for another program, as a library in C would have one: inotify.py FOLDER COMMAND... FD. It watches the folder for what is
# written there, and becomes the command, which is given the number of the descriptor as its last argument.
import ctypes
import os
import sys

IN_CLOSE_WRITE = 8
IN_NONBLOCK = 0o4000
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.inotify_init1(IN_NONBLOCK)
if fd < 0 or libc.inotify_add_watch(fd, sys.argv[1].encode(), IN_CLOSE_WRITE) < 0:
    raise OSError(ctypes.get_errno(), "inotify")
os.set_inheritable(fd, True)
os.execvp(sys.argv[2], sys.argv[2:] + [str(fd)])
