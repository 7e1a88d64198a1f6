// The same echo on libuv: one shared read buffer, uv_try_write first, a queued write only for what it refused.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct pending_write {
  uv_write_t request;
  char bytes[];
};

static char buffer[64 * 1024];

static void check(int status, const char *what) {
  if (status >= 0) return;
  fprintf(stderr, "%s: %s\n", what, uv_strerror(status));
  exit(1);
}

static void on_closed(uv_handle_t *handle) { free(handle); }

static void drop(uv_stream_t *stream) {
  if (!uv_is_closing((uv_handle_t *)stream)) uv_close((uv_handle_t *)stream, on_closed);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *into) {
  (void)handle;
  (void)suggested;
  *into = uv_buf_init(buffer, sizeof buffer);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *bytes);

static void on_written(uv_write_t *request, int status) {
  uv_stream_t *stream = request->handle;
  free(request);
  if (status < 0) {
    drop(stream);
  } else if (!uv_is_closing((uv_handle_t *)stream)) {
    uv_read_start(stream, on_allocate, on_read);
  }
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *bytes) {
  if (got < 0) {
    drop(stream);
    return;
  }
  if (got == 0) return;
  uv_buf_t out = uv_buf_init(bytes->base, (unsigned)got);
  int sent = uv_try_write(stream, &out, 1);
  if (sent == got) return;
  if (sent < 0) {
    if (sent != UV_EAGAIN) {
      drop(stream);
      return;
    }
    sent = 0;
  }
  size_t rest = (size_t)(got - sent);
  struct pending_write *write = malloc(sizeof *write + rest);
  if (!write) abort();
  memcpy(write->bytes, bytes->base + sent, rest);
  out = uv_buf_init(write->bytes, (unsigned)rest);
  uv_read_stop(stream);
  check(uv_write(&write->request, stream, &out, 1, on_written), "uv_write");
}

static void on_connection(uv_stream_t *listener, int status) {
  check(status, "listen");
  uv_tcp_t *client = malloc(sizeof *client);
  if (!client) abort();
  check(uv_tcp_init(listener->loop, client), "uv_tcp_init");
  check(uv_accept(listener, (uv_stream_t *)client), "uv_accept");
  uv_tcp_nodelay(client, 1);
  check(uv_read_start((uv_stream_t *)client, on_allocate, on_read), "uv_read_start");
}

int main(void) {
  uv_loop_t *loop = uv_default_loop();
  uv_tcp_t listener;
  struct sockaddr_in address;
  check(uv_tcp_init(loop, &listener), "uv_tcp_init");
  check(uv_ip4_addr("127.0.0.1", 0, &address), "uv_ip4_addr");
  check(uv_tcp_bind(&listener, (const struct sockaddr *)&address, 0), "uv_tcp_bind");
  check(uv_listen((uv_stream_t *)&listener, 1024, on_connection), "uv_listen");
  int length = sizeof address;
  check(uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &length), "uv_tcp_getsockname");
  printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}
