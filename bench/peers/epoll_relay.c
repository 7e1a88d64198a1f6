// The yardstick of the relay rows: relay BACKEND_PORT. Each accepted connection is joined to one of its own to the backend on loopback. One
// recv and one send for each readable event; what a full socket buffer refuses is kept, and the side it came from is not read again until that is gone. A FIN
// is passed on after the bytes before it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loopback.h"

enum { MAX_EVENTS = 1024, BUFFER_SIZE = 64 * 1024 };

struct side {
  int fd;
  uint32_t events;  // asked of epoll
  bool finished;    // its peer's FIN has come
  bool shut;        // ours has been sent
  struct side *other;
  char *queued;     // for this side's peer
  size_t from, to;
};

// Sides that were dropped in this round: events of theirs may still be in it.
static struct side *dropped[2 * MAX_EVENTS];
static size_t drops;
static int epoll_fd;
static char buffer[BUFFER_SIZE];
static struct sockaddr_in backend = {.sin_family = AF_INET};

static void ask(struct side *s, uint32_t events) {
  if (s->events == events) return;
  s->events = events;
  struct epoll_event event = {.events = events, .data.ptr = s};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &event) < 0) fail("epoll_ctl");
}

static void add(struct side *s, uint32_t events) {
  s->events = events;
  struct epoll_event event = {.events = events, .data.ptr = s};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &event) < 0) fail("epoll_ctl");
}

static void drop_both(struct side *s) {
  struct side *sides[] = {s, s->other};
  for (int i = 0; i < 2; i++) {
    close(sides[i]->fd);
    sides[i]->fd = -1;
    dropped[drops++] = sides[i];
  }
}

static bool transient(void) { return errno == EAGAIN || errno == EINTR; }

// Everything for this side's peer has been sent: a FIN that waited goes too. Returns false when that was the end of both.
static bool pass_end(struct side *s) {
  if (s->other->finished && !s->shut) {
    s->shut = true;
    shutdown(s->fd, SHUT_WR);
  }
  if (!s->shut || !s->other->shut) return true;
  drop_both(s);
  return false;
}

static void interest(struct side *s) {
  ask(s, (s->finished || s->other->queued ? 0 : EPOLLIN) | (s->queued ? EPOLLOUT : 0));
}

static void on_readable(struct side *s) {
  struct side *to = s->other;
  ssize_t got = recv(s->fd, buffer, sizeof buffer, 0);
  if (got < 0) {
    if (!transient()) drop_both(s);
    return;
  }
  if (got == 0) {
    s->finished = true;
    if (to->queued || pass_end(to)) interest(s);
    return;
  }
  ssize_t sent = send(to->fd, buffer, (size_t)got, MSG_NOSIGNAL);
  if (sent == got) return;
  if (sent < 0) {
    if (!transient()) return drop_both(s);
    sent = 0;
  }
  to->from = 0;
  to->to = (size_t)(got - sent);
  to->queued = malloc(to->to);
  if (!to->queued) fail("malloc");
  memcpy(to->queued, buffer + sent, to->to);
  interest(s);
  interest(to);
}

static void on_writable(struct side *s) {
  if (s->events & EPOLLOUT && !s->queued) {  // connected
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error) return drop_both(s);
    ask(s, EPOLLIN);
    add(s->other, EPOLLIN);
    return;
  }
  ssize_t sent = send(s->fd, s->queued + s->from, s->to - s->from, MSG_NOSIGNAL);
  if (sent < 0) {
    if (!transient()) drop_both(s);
    return;
  }
  s->from += (size_t)sent;
  if (s->from < s->to) return;
  free(s->queued);
  s->queued = NULL;
  if (!pass_end(s)) return;
  interest(s);
  interest(s->other);
}

static struct side *new_side(int fd) {
  struct side *s = calloc(1, sizeof *s);
  if (!s) fail("calloc");
  s->fd = fd;
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return s;
}

// One accept per event: under level triggering the next epoll_wait tells of the rest.
static void on_acceptable(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (transient() || errno == ECONNABORTED) return;
    fail("accept4");
  }
  int back = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (back < 0) fail("socket");
  struct side *client = new_side(fd), *server = new_side(back);
  client->other = server;
  server->other = client;
  if (connect(back, (struct sockaddr *)&backend, sizeof backend) < 0 && errno != EINPROGRESS) fail("connect");
  add(server, EPOLLOUT);
}

int main(int count, char **arguments) {
  if (count != 2 || atoi(arguments[1]) <= 0) {
    fputs("usage: epoll_relay BACKEND_PORT\n", stderr);
    return 2;
  }
  backend.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  backend.sin_port = htons((uint16_t)atoi(arguments[1]));
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
      struct side *s = events[i].data.ptr;
      uint32_t what = events[i].events;
      if (!s) {
        on_acceptable(listener);
        continue;
      }
      if (s->fd >= 0 && what & EPOLLOUT) on_writable(s);
      if (s->fd >= 0 && what & ~(uint32_t)EPOLLOUT) {
        if (what & (EPOLLERR | EPOLLHUP) && !(s->events & EPOLLIN)) drop_both(s);
        else on_readable(s);
      }
    }
    while (drops > 0) {
      free(dropped[--drops]->queued);
      free(dropped[drops]);
    }
  }
}
