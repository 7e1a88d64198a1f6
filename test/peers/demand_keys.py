"""A TLS 1.3 client that demands new keys for ever and reads none of the answers: demand_keys.py PORT"""

import ctypes
import socket
import sys

ssl = ctypes.CDLL("libssl.so.3")
pointer = ctypes.c_void_p
for name, arguments in (("TLS_client_method", []), ("SSL_CTX_new", [pointer]), ("SSL_new", [pointer])):
    getattr(ssl, name).restype = pointer
    getattr(ssl, name).argtypes = arguments
ssl.SSL_set_fd.argtypes = ssl.SSL_key_update.argtypes = [pointer, ctypes.c_int]
ssl.SSL_connect.argtypes = ssl.SSL_do_handshake.argtypes = [pointer]

connection = socket.socket()
connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
connection.connect(("127.0.0.1", int(sys.argv[1])))
client = ssl.SSL_new(ssl.SSL_CTX_new(ssl.TLS_client_method()))
ssl.SSL_set_fd(client, connection.fileno())
if ssl.SSL_connect(client) != 1:
    sys.exit("no handshake")
print("secured", flush=True)
demanded = 0
while ssl.SSL_key_update(client, 1) == 1 and ssl.SSL_do_handshake(client) == 1:
    demanded += 1
print(demanded)
