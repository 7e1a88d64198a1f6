#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "poll/poller.h"

namespace em {

static_assert(kIn == uint32_t{EPOLLIN} && kOut == uint32_t{EPOLLOUT} && kError == uint32_t{EPOLLERR} &&
              kHangUp == uint32_t{EPOLLHUP} && kOnce == uint32_t{EPOLLONESHOT});

Poller::Poller() : fd_(epoll_create1(EPOLL_CLOEXEC)), events_(new epoll_event[kMost]) {
  if (fd_ < 0) fd_ = -errno;
}

Poller::~Poller() {
  if (fd_ >= 0) close(fd_);
  delete[] events_;
}

namespace {
int control(int poller, int operation, int fd, int32_t handle, uint32_t interest) {
  epoll_event event = {};
  event.events = interest;
  event.data.u64 = static_cast<uint32_t>(handle);
  return epoll_ctl(poller, operation, fd, &event) == 0 ? 0 : -errno;
}
}  // namespace

int Poller::add(int fd, int32_t handle, uint32_t interest) { return control(fd_, EPOLL_CTL_ADD, fd, handle, interest); }

int Poller::change(int fd, int32_t handle, uint32_t interest) {
  return control(fd_, EPOLL_CTL_MOD, fd, handle, interest);
}

void Poller::remove(int fd) { epoll_ctl(fd_, EPOLL_CTL_DEL, fd, nullptr); }

bool Poller::knows(int fd) {
  const int error = add(fd, -1, 0);
  if (error == 0) remove(fd);
  return error == -EEXIST;
}

int Poller::wait() {
  int count = epoll_wait(fd_, events_, kMost, 0);
  return count < 0 ? 0 : count;
}

Ready Poller::ready(int at) const { return {static_cast<int32_t>(events_[at].data.u64), events_[at].events}; }

}  // namespace em
