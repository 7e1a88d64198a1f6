// The yardstick for datagrams: the leanest honest echo that plain C allows. One recvmmsg takes all that is there, one sendmmsg
// answers it; what the kernel has no room for is dropped, as UDP may.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 64, LARGEST = 65536 };

static struct mmsghdr messages[BATCH];
static struct iovec pieces[BATCH];
static struct sockaddr_in peers[BATCH];
static char buffers[BATCH][LARGEST + 192];  // no power of two, for the cache's sake

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_socket(void) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  socklen_t length = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) fail("getsockname");
  printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

static void answer(int fd, int count) {
  for (int i = 0; i < count; i++) pieces[i].iov_len = messages[i].msg_len;
  for (int from = 0; from < count;) {
    int sent = sendmmsg(fd, messages + from, (unsigned)(count - from), 0);
    from += sent > 0 ? sent : 1;
  }
}

int main(void) {
  int fd = open_socket();
  int poller = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll");
  for (int i = 0; i < BATCH; i++) {
    messages[i].msg_hdr = (struct msghdr){.msg_name = &peers[i], .msg_iov = &pieces[i], .msg_iovlen = 1};
    pieces[i].iov_base = buffers[i];
  }
  for (;;) {
    if (epoll_wait(poller, &event, 1, -1) < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < BATCH; i++) {
      messages[i].msg_hdr.msg_namelen = sizeof peers[i];
      pieces[i].iov_len = LARGEST;
    }
    int got = recvmmsg(fd, messages, BATCH, 0, NULL);
    if (got > 0) answer(fd, got);
    else if (got < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED) fail("recvmmsg");
  }
}
