// The backend of the bulk rows: for every 64 bytes that a connection sends it gets 1 MiB of the pattern that the load generator knows.
#include "epoll_server.h"

enum { ASK = 64, ANSWER = 1024 * 1024 };

static char answer[ANSWER];

static void on_open(struct connection *c) {
  if (answer[1]) return;
  for (size_t i = 0; i < ANSWER; i++) answer[i] = (char)(i % 65536 * 31 + (i % 65536 >> 8));
  (void)c;
}

static void on_readable(struct connection *c) {
  ssize_t got = recv(c->fd, buffer, ASK, MSG_PEEK);
  if (got <= 0) {
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) drop(c);
    return;
  }
  if (got < ASK) return;
  recv(c->fd, buffer, ASK, 0);
  queue_rest(c, answer, ANSWER);
}

static void on_writable(struct connection *c) { send_queued(c); }

int main(void) { serve(); }
