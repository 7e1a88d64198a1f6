// What the epoll yardsticks have in common: a listener on loopback, the loop, and the bytes that a connection's peer does not
// take yet. Level-triggered, no allocation while the peers keep up. Each says for itself how a connection opens, reads and writes.
#pragma once

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loopback.h"

enum { MAX_EVENTS = 1024, BUFFER_SIZE = 64 * 1024 };

struct connection {
  int fd;
  void *session;  // the yardstick's own
  char *queued;
  size_t queued_from, queued_to;
};

// The yardstick's: a connection was accepted; it can be read; what is queued can go on.
static void on_open(struct connection *c);
static void on_readable(struct connection *c);
static void on_writable(struct connection *c);

static int epoll_fd;
static char buffer[BUFFER_SIZE];

static void watch(struct connection *c, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = c};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event) < 0) fail("epoll_ctl");
}

static void drop(struct connection *c) {
  close(c->fd);
  free(c->queued);
  free(c);
}

// The connection is not read again until this is gone.
static void queue_rest(struct connection *c, const char *rest, size_t length) {
  c->queued = malloc(length);
  if (!c->queued) fail("malloc");
  memcpy(c->queued, rest, length);
  c->queued_from = 0;
  c->queued_to = length;
  watch(c, EPOLLOUT);
}

// So much of the queue was sent. Returns whether that was all, and the connection is read on.
static int queue_sent(struct connection *c, size_t sent) {
  c->queued_from += sent;
  if (c->queued_from < c->queued_to) return 0;
  free(c->queued);
  c->queued = NULL;
  watch(c, EPOLLIN);
  return 1;
}

// Sends on what is queued, as far as the kernel takes it.
static inline void send_queued(struct connection *c) {
  ssize_t sent = send(c->fd, c->queued + c->queued_from, c->queued_to - c->queued_from, MSG_NOSIGNAL);
  if (sent >= 0) {
    queue_sent(c, (size_t)sent);
  } else if (errno != EAGAIN && errno != EINTR) {
    drop(c);
  }
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
  on_open(c);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
}

// Listens and serves, for ever.
static void serve(void) {
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) fail("epoll_create1");
  int listener = listen_on_loopback();
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0) fail("epoll_ctl");

  struct epoll_event events[MAX_EVENTS];
  for (;;) {
    int count = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < count; i++) {
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
