# HAProxy or nginx as a TCP proxy to a backend on loopback: proxy.py haproxy|haproxy-splice|nginx BACKEND_PORT. It becomes the proxy, so that the
# process's CPU clock is the proxy's; a child of its own waits until that accepts, and says where.
import os
import shutil
import socket
import sys
import tempfile
import time

kind, backend = sys.argv[1], int(sys.argv[2])
with socket.socket() as taken:
    taken.bind(("127.0.0.1", 0))
    port = taken.getsockname()[1]

SPLICE = "  option splice-request\n  option splice-response\n"
HAPROXY = f"""
global
  nbthread 1
  maxconn 9000
  maxpipes 400
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
{SPLICE if kind == "haproxy-splice" else ""}listen relay
  bind 127.0.0.1:{port} backlog 1024
  server backend 127.0.0.1:{backend}
"""
folder = tempfile.mkdtemp(prefix="bench-proxy-")
# Nginx removes the file of its pid when it ends, whatever that is.
NGINX = f"""
daemon off;
master_process off;
error_log stderr error;
pid {folder}/pid;
worker_rlimit_nofile 20000;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events {{ worker_connections 19000; }}
stream {{
  access_log off;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    tcp_nodelay on;
    proxy_timeout 1h;
    proxy_pass 127.0.0.1:{backend};
  }}
}}
"""

program = shutil.which(kind.split("-")[0]) or f"/usr/sbin/{kind.split('-')[0]}"
config = os.path.join(folder, "config")
with open(config, "w") as file:
    file.write(NGINX if kind == "nginx" else HAPROXY)
if os.fork() == 0:
    for _ in range(200):
        time.sleep(0.05)
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            continue
        print(f"listening on 127.0.0.1:{port}", flush=True)
        break
    os._exit(0)
if kind == "nginx":
    os.execv(program, [program, "-c", config])
os.execv(program, [program, "-db", "-f", config])
