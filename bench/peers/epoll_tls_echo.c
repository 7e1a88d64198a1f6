// The yardstick of the TLS rows: the leanest honest echo loop that plain C, epoll and OpenSSL allow.
// Level-triggered. OpenSSL reads ahead, so that a message costs one recv; it is echoed by one SSL_write a read. What a
// full socket refuses is queued, and the connection is not read again until that is gone.
//
//   epoll_tls_echo CERTIFICATE KEY
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_EVENTS = 1024, BUFFER_SIZE = 64 * 1024 };

struct connection {
  int fd;
  SSL *ssl;
  char *queued;
  size_t queued_from, queued_to;
};

static int epoll_fd;
static SSL_CTX *context;
static char buffer[BUFFER_SIZE];

static void fail(const char *what) {
  perror(what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static void watch(struct connection *c, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = c};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event) < 0) fail("epoll_ctl");
}

static void drop(struct connection *c, int in_order) {
  if (in_order) SSL_shutdown(c->ssl);
  ERR_clear_error();
  SSL_free(c->ssl);
  close(c->fd);
  free(c->queued);
  free(c);
}

static void queue_rest(struct connection *c, const char *rest, size_t length) {
  c->queued = malloc(length);
  if (!c->queued) fail("malloc");
  memcpy(c->queued, rest, length);
  c->queued_from = 0;
  c->queued_to = length;
  watch(c, EPOLLOUT);
}

// Returns how much was written, negative where the connection is broken.
static ssize_t write_some(struct connection *c, const char *data, size_t length) {
  size_t done = 0;
  while (done < length) {
    size_t written;
    int result = SSL_write_ex(c->ssl, data + done, length - done, &written);
    if (result != 1) return SSL_get_error(c->ssl, result) == SSL_ERROR_WANT_WRITE ? (ssize_t)done : -1;
    done += written;
  }
  return (ssize_t)done;
}

static void on_readable(struct connection *c) {
  do {
    size_t got;
    int result = SSL_read_ex(c->ssl, buffer, sizeof buffer, &got);  // makes the handshake, too
    if (result != 1) {
      int error = SSL_get_error(c->ssl, result);
      if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) drop(c, error == SSL_ERROR_ZERO_RETURN);
      return;
    }
    ssize_t sent = write_some(c, buffer, got);
    if (sent < 0) {
      drop(c, 0);
      return;
    }
    if ((size_t)sent < got) {
      queue_rest(c, buffer + sent, got - (size_t)sent);
      return;
    }
  } while (SSL_has_pending(c->ssl));
}

static void on_writable(struct connection *c) {
  ssize_t sent = write_some(c, c->queued + c->queued_from, c->queued_to - c->queued_from);
  if (sent < 0) {
    drop(c, 0);
    return;
  }
  c->queued_from += (size_t)sent;
  if (c->queued_from < c->queued_to) return;
  free(c->queued);
  c->queued = NULL;
  watch(c, EPOLLIN);
  if (SSL_has_pending(c->ssl)) on_readable(c);
}

// One accept per event: under level triggering the next epoll_wait tells of the rest, without a closing EAGAIN.
static void on_acceptable(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
    fail("accept4");
  }
  struct connection *c = calloc(1, sizeof *c);
  if (!c) fail("calloc");
  c->fd = fd;
  c->ssl = SSL_new(context);
  if (!c->ssl || !SSL_set_fd(c->ssl, fd)) fail("SSL_new");
  SSL_set_accept_state(c->ssl);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
}

static void make_context(const char *certificate, const char *key) {
  context = SSL_CTX_new(TLS_server_method());
  if (!context || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
    fail("SSL_CTX_new");
  }
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // sessions are in their tickets
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS);
}

static int listen_on_loopback(void) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0) fail("socket");
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // accepted sockets inherit it on Linux
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  if (listen(listener, 1024) < 0) fail("listen");
  socklen_t length = sizeof address;
  if (getsockname(listener, (struct sockaddr *)&address, &length) < 0) fail("getsockname");
  printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return listener;
}

int main(int count, char **arguments) {
  if (count != 3) {
    fputs("usage: epoll_tls_echo CERTIFICATE KEY\n", stderr);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  make_context(arguments[1], arguments[2]);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) fail("epoll_create1");
  int listener = listen_on_loopback();
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0) fail("epoll_ctl");

  struct epoll_event events[MAX_EVENTS];
  for (;;) {
    int ready = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
    if (ready < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (!c) {
        on_acceptable(listener);
      } else if (c->queued) {
        on_writable(c);
      } else {
        on_readable(c);
      }
    }
  }
}
