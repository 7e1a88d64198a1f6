// The yardstick of the TLS rows: the leanest honest echo loop that plain C, epoll and OpenSSL allow.
// OpenSSL reads ahead, so that a message costs one recv; it is echoed by one SSL_write a read. What a full socket
// refuses is queued, and the connection is not read again until that is gone.
//
//   epoll_tls_echo CERTIFICATE KEY
#include "epoll_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>

static SSL_CTX *context;

static void fail_tls(const char *what) {
  ERR_print_errors_fp(stderr);
  fail(what);
}

static void on_open(struct connection *c) {
  SSL *ssl = SSL_new(context);
  if (!ssl || !SSL_set_fd(ssl, c->fd)) fail_tls("SSL_new");
  SSL_set_accept_state(ssl);
  c->session = ssl;
}

static void drop_tls(struct connection *c, int in_order) {
  if (in_order) SSL_shutdown(c->session);
  ERR_clear_error();
  SSL_free(c->session);
  drop(c);
}

// Returns how much was written, negative where the connection is broken.
static ssize_t write_some(struct connection *c, const char *data, size_t length) {
  size_t done = 0;
  while (done < length) {
    size_t written;
    int result = SSL_write_ex(c->session, data + done, length - done, &written);
    if (result != 1) return SSL_get_error(c->session, result) == SSL_ERROR_WANT_WRITE ? (ssize_t)done : -1;
    done += written;
  }
  return (ssize_t)done;
}

static void on_readable(struct connection *c) {
  do {
    size_t got;
    int result = SSL_read_ex(c->session, buffer, sizeof buffer, &got);  // makes the handshake, too
    if (result != 1) {
      int error = SSL_get_error(c->session, result);
      if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) drop_tls(c, error == SSL_ERROR_ZERO_RETURN);
      return;
    }
    ssize_t sent = write_some(c, buffer, got);
    if (sent < 0) {
      drop_tls(c, 0);
      return;
    }
    if ((size_t)sent < got) {
      queue_rest(c, buffer + sent, got - (size_t)sent);
      return;
    }
  } while (SSL_has_pending(c->session));
}

static void on_writable(struct connection *c) {
  ssize_t sent = write_some(c, c->queued + c->queued_from, c->queued_to - c->queued_from);
  if (sent < 0) {
    drop_tls(c, 0);
  } else if (queue_sent(c, (size_t)sent) && SSL_has_pending(c->session)) {
    on_readable(c);
  }
}

static void make_context(const char *certificate, const char *key) {
  context = SSL_CTX_new(TLS_server_method());
  if (!context || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
    fail_tls("SSL_CTX_new");
  }
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // sessions are in their tickets
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS);
}

int main(int count, char **arguments) {
  if (count != 3) {
    fputs("usage: epoll_tls_echo CERTIFICATE KEY\n", stderr);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  make_context(arguments[1], arguments[2]);
  serve();
}
