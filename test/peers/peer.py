"""A peer that does exactly what it is told, one JSON command a line, one JSON answer a line.

Node's own sockets decide for themselves when to read, what to coalesce and how to close; this one does not.
"""

import hashlib
import json
import socket
import struct
import sys

sockets = {}


def address(command):
    if "pathHex" in command:
        return socket.AF_UNIX, bytes.fromhex(command["pathHex"])
    if "path" in command:
        path = command["path"]
        return socket.AF_UNIX, "\0" + path[1:] if path.startswith("\0") else path
    host = command.get("host", "127.0.0.1")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return family, (host, command["port"])


def new_socket(family, command):
    sock = socket.socket(family, socket.SOCK_STREAM)
    if "receiveBuffer" in command:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, command["receiveBuffer"])
    if "segment" in command:
        # On loopback a segment is 64 KiB, and the kernel's buffers are sized for twenty of them.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, command["segment"])
    sock.settimeout(60)
    return sock


def connect(command):
    family, target = address(command)
    for name in command.get("names", [command["socket"]]):
        sock = new_socket(family, command)
        if "fromHex" in command:
            sock.bind(bytes.fromhex(command["fromHex"]))
        sock.connect(target)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[name] = sock
    return {}


def listen(command):
    family, target = address({"port": 0, **command})
    sock = new_socket(family, command)
    sock.bind(target)
    sock.listen(64)
    sockets[command["socket"]] = sock
    return {} if family == socket.AF_UNIX else {"port": sock.getsockname()[1]}


def accept(command):
    sock, _ = sockets[command["listener"]].accept()
    sock.settimeout(60)
    sockets[command["socket"]] = sock
    return {}


def payload(command):
    if "size" in command:
        return b"\0" * command["size"]
    return command["text"].encode("latin-1")


def send(command, sock):
    data = payload(command)
    for _ in range(command.get("times", 1)):
        sock.sendall(data)
    return {}


def send_bytes(command, sock):
    """Every byte in a segment of its own."""
    for byte in payload(command):
        sock.send(bytes([byte]))
    return {}


def send_with_fin(command, sock):
    """The FIN in the segment of the last bytes."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    sock.sendall(payload(command))
    sock.shutdown(socket.SHUT_WR)
    return {}


def urgent(command, sock):
    sock.send(payload(command), socket.MSG_OOB)
    return {}


def shutdown(command, sock):
    sock.shutdown(socket.SHUT_WR)
    return {}


def stop_reading(command, sock):
    """On a Unix socket whoever writes to it fails from here on."""
    sock.shutdown(socket.SHUT_RD)
    return {}


def receive(command, sock):
    """Exactly so many bytes, or all up to the end of the stream."""
    wanted = command.get("bytes")
    count = 0
    seen = hashlib.sha256()
    kept = b""
    end = None
    while wanted is None or count < wanted:
        try:
            piece = sock.recv(65536 if wanted is None else min(65536, wanted - count))
        except OSError as error:
            end = name_of(error)
            break
        if piece == b"":
            end = "fin"
            break
        count += len(piece)
        seen.update(piece)
        if len(kept) < 4096:
            kept += piece[: 4096 - len(kept)]
    return {"bytes": count, "sha256": seen.hexdigest(), "text": kept.decode("latin-1"), "end": end}


def flood(command, sock):
    """Sends so many bytes without a newline, until the other side has enough."""
    block = b"x" * 65536
    sent = 0
    error = None
    try:
        while sent < command["bytes"]:
            sent += sock.send(block)
    except OSError as caught:
        error = name_of(caught)
    return {"sent": sent, "error": error}


def reset(command, sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    return {}


def close(command, sock):
    sock.close()
    return {}


def name_of(error):
    import errno

    if isinstance(error, socket.timeout):
        return "timeout"
    return errno.errorcode.get(error.errno, str(error))


on_process = {"connect": connect, "listen": listen, "accept": accept}
on_socket = {
    "send": send,
    "sendBytes": send_bytes,
    "sendWithFin": send_with_fin,
    "urgent": urgent,
    "shutdown": shutdown,
    "stopReading": stop_reading,
    "receive": receive,
    "flood": flood,
    "reset": reset,
    "close": close,
}

for line in sys.stdin:
    command = json.loads(line)
    try:
        if command["do"] in on_process:
            answer = on_process[command["do"]](command)
        else:
            answer = {}
            for name in command.get("names", [command["socket"]]):
                answer = on_socket[command["do"]](command, sockets[name])
    except OSError as error:
        answer = {"error": name_of(error)}
    print(json.dumps(answer), flush=True)
