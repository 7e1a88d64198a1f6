"""A TLS 1.3 peer that changes its keys: change_keys.py client PORT ASKS COUNT, or server CERT KEY ASKS COUNT (says its port).

ASKS is 1 where each change asks the other side for one too. Says "secured", changes keys COUNT times, sends "done" and reads to the end.
"""

import ctypes
import socket
import sys

ssl = ctypes.CDLL("libssl.so.3")
pointer = ctypes.c_void_p
for name in ("TLS_client_method", "TLS_server_method", "SSL_CTX_new", "SSL_new"):
    getattr(ssl, name).restype = pointer
    getattr(ssl, name).argtypes = [] if name.endswith("method") else [pointer]
ssl.SSL_set_fd.argtypes = ssl.SSL_key_update.argtypes = [pointer, ctypes.c_int]
ssl.SSL_connect.argtypes = ssl.SSL_accept.argtypes = ssl.SSL_do_handshake.argtypes = [pointer]
ssl.SSL_write.argtypes = ssl.SSL_read.argtypes = [pointer, ctypes.c_char_p, ctypes.c_int]
ssl.SSL_CTX_use_certificate_file.argtypes = [pointer, ctypes.c_char_p, ctypes.c_int]
ssl.SSL_CTX_use_PrivateKey_file.argtypes = [pointer, ctypes.c_char_p, ctypes.c_int]
PEM = 1

asks, count = int(sys.argv[-2]), int(sys.argv[-1])
if sys.argv[1] == "client":
    context = ssl.SSL_CTX_new(ssl.TLS_client_method())
    connection = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
else:
    context = ssl.SSL_CTX_new(ssl.TLS_server_method())
    ssl.SSL_CTX_use_certificate_file(context, sys.argv[2].encode(), PEM)
    ssl.SSL_CTX_use_PrivateKey_file(context, sys.argv[3].encode(), PEM)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    connection = listener.accept()[0]
peer = ssl.SSL_new(context)
ssl.SSL_set_fd(peer, connection.fileno())
if (ssl.SSL_connect if sys.argv[1] == "client" else ssl.SSL_accept)(peer) != 1:
    sys.exit("no handshake")
print("secured", flush=True)
for _ in range(count):
    if ssl.SSL_key_update(peer, asks) != 1 or ssl.SSL_do_handshake(peer) != 1:
        break
ssl.SSL_write(peer, b"done", 4)
buffer = ctypes.create_string_buffer(65536)
while ssl.SSL_read(peer, buffer, 65536) > 0:
    pass
print("over", flush=True)
