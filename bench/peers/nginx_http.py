# nginx answering every GET with 11 bytes, kept alive: nginx_http.py. It becomes the server, so that the process that was started is the one whose
# CPU time counts.
import os
import shutil
import socket
import tempfile

NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid %(folder)s/pid;
error_log stderr crit;
events {
  worker_connections 8192;
}
http {
  access_log off;
  keepalive_requests 1000000000;
  default_type text/plain;
  client_body_temp_path %(folder)s;
  proxy_temp_path %(folder)s;
  fastcgi_temp_path %(folder)s;
  uwsgi_temp_path %(folder)s;
  scgi_temp_path %(folder)s;
  server {
    listen 127.0.0.1:%(port)d;
    location / {
      return 200 "hello world";
    }
  }
}
"""

with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
folder = tempfile.mkdtemp(prefix="eventmachine-bench-nginx-")
path = os.path.join(folder, "nginx.conf")
with open(path, "w", encoding="ascii") as file:
    file.write(NGINX % {"port": port, "folder": folder})

program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")

# Told by a child that waits until it listens.
if os.fork() == 0:
    import time

    for _ in range(500):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                print(f"listening on 127.0.0.1:{port}", flush=True)
                os._exit(0)
        time.sleep(0.01)
    os._exit(1)
os.execv(program, [program, "-c", path, "-p", folder])
