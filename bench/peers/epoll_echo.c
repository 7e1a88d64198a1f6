// The yardstick: the leanest honest echo loop that plain C and epoll allow.
// One recv and one send per readable event. What a full socket buffer refuses is queued, and the connection is not read
// again until that is gone.
#include "epoll_server.h"

static void on_open(struct connection *c) { (void)c; }

static void on_readable(struct connection *c) {
  ssize_t got = recv(c->fd, buffer, sizeof buffer, 0);
  if (got <= 0) {
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    drop(c);
    return;
  }
  ssize_t sent = send(c->fd, buffer, (size_t)got, MSG_NOSIGNAL);
  if (sent == got) return;
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) {
      drop(c);
      return;
    }
    sent = 0;
  }
  queue_rest(c, buffer + sent, (size_t)(got - sent));
}

static void on_writable(struct connection *c) { send_queued(c); }

int main(void) { serve(); }
