// The load generator for datagrams that flow one way, on loopback.
//
//   datagram_flow PORT --pid P --size S --flow from|to
//
// It reads a number a line from stdin until the end of input, plays that many datagrams of S bytes and answers with a line of JSON.
//
// from: it asks the server for them by a datagram "N S" and takes what comes. The server says "." when all are with the kernel; what
// the receive buffer has no room for is lost, which costs the sender the same.
// to: it sends them in runs of 32, which the kernel may hand over as one, and has two runs under way: the server answers each
// 32nd datagram. One that is lost ends the run with exit 1.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "server_cpu.h"

enum { RUN = 32, UNDER_WAY = 2, LARGEST = 2000, PATIENCE = 20000 };

static int fd;
static pid_t pid;
static size_t size = 50;
static char text[RUN * LARGEST], got[65536];

static void fail(const char *what) {
  fprintf(stderr, "datagram_flow: %s: %s\n", what, strerror(errno));
  exit(1);
}

// The length of the next datagram; ends the run where none comes.
static size_t receive(void) {
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  if (poll(&waiting, 1, PATIENCE) <= 0) fail("a datagram was lost");
  ssize_t length = recv(fd, got, sizeof got, 0);
  if (length < 0) fail("recv");
  return (size_t)length;
}

static void play_from(uint64_t count) {
  int length = snprintf(text, sizeof text, "%llu %zu", (unsigned long long)count, size);
  if (send(fd, text, (size_t)length, 0) != length) fail("send");
  // The end may find no room in the buffer: the server repeats it when it is asked.
  for (;;) {
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    int ready = poll(&waiting, 1, 100);
    if (ready < 0) fail("poll");
    if (ready == 0) {
      if (send(fd, "?", 1, 0) != 1) fail("send");
      continue;
    }
    if (receive() == 1 && got[0] == '.') return;
  }
}

static void send_run(void) {
  uint16_t segment = (uint16_t)size;
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof segment)] = {0};
  struct iovec piece = {.iov_base = text, .iov_len = RUN * size};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_UDP;
  header->cmsg_type = UDP_SEGMENT;
  header->cmsg_len = CMSG_LEN(sizeof segment);
  memcpy(CMSG_DATA(header), &segment, sizeof segment);
  if (sendmsg(fd, &message, 0) != (ssize_t)(RUN * size)) fail("sendmsg");
}

static void play_to(uint64_t count) {
  uint64_t runs = count / RUN, sent = 0, answered = 0;
  while (answered < runs) {
    while (sent < runs && sent - answered < UNDER_WAY) {
      send_run();
      sent++;
    }
    receive();
    answered++;
  }
}

int main(int count, char **words) {
  int port = count > 1 ? atoi(words[1]) : 0;
  int is_to = 0;
  for (int i = 2; i + 1 < count; i += 2) {
    if (!strcmp(words[i], "--pid")) pid = (pid_t)atol(words[i + 1]);
    else if (!strcmp(words[i], "--size")) size = (size_t)atol(words[i + 1]);
    else if (!strcmp(words[i], "--flow")) is_to = !strcmp(words[i + 1], "to");
    else exit(2);
  }
  if (port == 0 || size < 2 || size > LARGEST) exit(2);
  memset(text, 'x', sizeof text);
  fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) fail("start");
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    uint64_t before = server_cpu_when_quiet(pid);
    if (is_to) play_to(strtoull(line, NULL, 10));
    else play_from(strtoull(line, NULL, 10));
    printf("{\"serverCpuNs\":%llu}\n", (unsigned long long)(server_cpu_when_quiet(pid) - before));
    fflush(stdout);
  }
}
