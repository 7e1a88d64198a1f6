// The load generator for datagrams: a closed loop of clients against an echo server on loopback.
//
//   datagram_load PORT --pid P --connections N --size S --depth D
//
// Opens N sockets; each keeps D datagrams of S bytes under way, and sends the next one for each that comes back. It reads a
// number a line from stdin until the end of input, plays that many datagrams and answers with a line of JSON.
//
// Every echo is compared with what was sent, byte for byte and in order. One that is lost, changed, swapped or late ends the run
// with exit 1: windows are small enough for the kernel's buffers. The server's CPU time is read from its process CPU clock when
// every answer is in and the server has gone quiet.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server_cpu.h"

enum { MAX_EVENTS = 1024, LARGEST = 65536, PATIENCE = 5000 };

struct client {
  int fd;
  uint64_t sent, received;
};

static struct {
  int port;
  pid_t pid;
  size_t connections, size, depth;
} options = {.connections = 1, .size = 64, .depth = 1};

static int epoll_fd;
static uint64_t to_start, in_flight;
static char text[LARGEST], expected[LARGEST], got[LARGEST];

static void fail(const char *what) {
  fprintf(stderr, "datagram_load: %s: %s\n", what, strerror(errno));
  exit(1);
}

// The number of a datagram comes first, then the pattern.
static void write_datagram(char *to, uint64_t number) { memcpy(to, &number, sizeof number); }

static void send_next(struct client *c) {
  to_start--;
  in_flight++;
  write_datagram(text, c->sent++);
  if (send(c->fd, text, options.size, 0) != (ssize_t)options.size) fail("send");
}

static void receive(struct client *c) {
  ssize_t length = recv(c->fd, got, sizeof got, MSG_DONTWAIT);
  if (length < 0) {
    if (errno == EAGAIN || errno == EINTR) return;
    fail("recv");
  }
  write_datagram(expected, c->received++);
  if ((size_t)length != options.size || memcmp(got, expected, options.size) != 0) fail("an echo differs");
  in_flight--;
  if (to_start > 0) send_next(c);
}

static void play(struct client *clients, uint64_t count) {
  to_start = count;
  for (size_t round = 0; round < options.depth; round++) {
    for (size_t i = 0; i < options.connections && to_start > 0; i++) send_next(&clients[i]);
  }
  struct epoll_event events[MAX_EVENTS];
  while (in_flight > 0) {
    int ready = epoll_wait(epoll_fd, events, MAX_EVENTS, PATIENCE);
    if (ready < 0 && errno != EINTR) fail("epoll_wait");
    if (ready == 0) fail("a datagram was lost");
    for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
  }
}

static void open_client(struct client *c) {
  c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0) fail("socket");
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl");
}

static void read_options(int count, char **words) {
  if (count < 2) exit(2);
  options.port = atoi(words[1]);
  for (int i = 2; i + 1 < count; i += 2) {
    long value = atol(words[i + 1]);
    if (!strcmp(words[i], "--pid")) options.pid = (pid_t)value;
    else if (!strcmp(words[i], "--connections")) options.connections = (size_t)value;
    else if (!strcmp(words[i], "--size")) options.size = (size_t)value;
    else if (!strcmp(words[i], "--depth")) options.depth = (size_t)value;
    else exit(2);
  }
  if (options.size < sizeof(uint64_t) || options.size > LARGEST) exit(2);
}

int main(int count, char **words) {
  read_options(count, words);
  for (size_t i = 0; i < sizeof text; i++) text[i] = expected[i] = (char)(i * 31);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  struct client *clients = calloc(options.connections, sizeof *clients);
  if (epoll_fd < 0 || !clients) fail("start");
  for (size_t i = 0; i < options.connections; i++) open_client(&clients[i]);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    uint64_t before = server_cpu_when_quiet(options.pid);
    play(clients, strtoull(line, NULL, 10));
    printf("{\"serverCpuNs\":%llu}\n", (unsigned long long)(server_cpu_when_quiet(options.pid) - before));
    fflush(stdout);
  }
}
