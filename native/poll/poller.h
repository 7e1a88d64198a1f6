// Which descriptors are ready: the one thing the core asks of the kernel's readiness interface.
#pragma once

#include <cstdint>

struct epoll_event;

namespace em {

// epoll's own numbers. With kOnce, what is reported once is not reported again before `change`, not even an error.
enum Interest : uint32_t { kIn = 1, kOut = 4, kError = 8, kHangUp = 16, kOnce = 1u << 30 };

struct Ready {
  int32_t handle;
  uint32_t interest;
};

class Poller {
 public:
  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // A descriptor that is readable while `wait` has something to say; negative where there is none.
  int fd() const { return fd_; }

  // Level-triggered. Errors and hang-ups are told whether asked for or not. Each returns 0 or a negative errno.
  int add(int fd, int32_t handle, uint32_t interest);
  int change(int fd, int32_t handle, uint32_t interest);
  void remove(int fd);
  // Whether it was added and not removed.
  bool knows(int fd);

  // Takes what is ready now without blocking; the answers are `ready(0)` to `ready(count - 1)` until the next call.
  int wait();
  Ready ready(int at) const;

 private:
  static constexpr int kMost = 1024;

  int fd_;
  epoll_event* events_;
};

}  // namespace em
