// The system calls of the data path, as thin as they come: each returns its result or a negative errno, and is counted.
//
// Compiled with EM_TORTURE, they misbehave as a kernel may: short reads and writes, EAGAIN, EINTR, ENOBUFS, EMFILE and,
// when asked for, ECONNRESET, at random from a seed. Everything but the resets must go unnoticed by the program above.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace em {

#ifdef EM_TORTURE
constexpr bool kTorture = true;
#else
constexpr bool kTorture = false;
#endif

class Sys {
 public:
  // An even seed injects only what the program above must not notice; an odd one resets connections as well.
  explicit Sys(uint32_t seed) : random_(seed | 1u), resets_((seed & 1u) != 0) {}

  uint64_t calls = 0;
  uint64_t moved = 0;  // of them those that moved bytes, or brought a newcomer

  ssize_t recv(int fd, void* to, size_t length) {
    if (int fault = io_fault(fd); fault != 0) return fault;
    return moving(::recv(fd, to, shortened(length), 0));
  }

  // Takes what lies in the socket's error queue, from where nobody reads it: timestamps that the program asked for,
  // reports of ICMP. While anything is there the poller reports an error. Returns how many there were, of a bounded
  // number.
  int drop_errors(int fd) {
    msghdr message = {};
    int count = 0;
    while (count < kMostErrors && result(::recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT)) >= 0) count++;
    moved += static_cast<uint64_t>(count);
    return count;
  }

  // What there is to read, without reading it: 0 at the peer's FIN.
  ssize_t peek(int fd, void* to, size_t length) {
    if (int fault = io_fault(fd); fault != 0) return fault;
    return result(::recv(fd, to, length, MSG_PEEK));
  }

  ssize_t send(int fd, const void* from, size_t length) {
    if (int fault = io_fault(fd); fault != 0) return fault;
    return moving(::send(fd, from, shortened(length), MSG_NOSIGNAL));
  }

  ssize_t sendmsg(int fd, iovec* pieces, size_t count) {
    if (int fault = io_fault(fd); fault != 0) return fault;
    if (kTorture && one_in(4))
      return moving(::send(fd, pieces[0].iov_base, shortened(pieces[0].iov_len), MSG_NOSIGNAL));
    msghdr message = {};
    message.msg_iov = pieces;
    message.msg_iovlen = count;
    return moving(::sendmsg(fd, &message, MSG_NOSIGNAL));
  }

  // Of what is no socket. Nobody keeps these from raising SIGPIPE, which Node ignores in all its threads.
  ssize_t read(int fd, void* to, size_t length) {
    if (int fault = io_fault(fd); fault != 0) return fault;
    return moving(::read(fd, to, shortened(length)));
  }

  ssize_t write(int fd, const void* from, size_t length) {
    if (int fault = io_fault(fd); fault != 0) return fault;
    return moving(::write(fd, from, shortened(length)));
  }

  ssize_t writev(int fd, iovec* pieces, size_t count) {
    if (int fault = io_fault(fd); fault != 0) return fault;
    if (kTorture && one_in(4)) return moving(::write(fd, pieces[0].iov_base, shortened(pieces[0].iov_len)));
    return moving(::writev(fd, pieces, static_cast<int>(count)));
  }

  // Datagrams, as many as there are up to `count`; how many.
  int recvmmsg(int fd, mmsghdr* messages, uint32_t count) {
    if (int fault = datagram_fault(fd); fault != 0) return fault;
    const auto asked = static_cast<unsigned>(shortened(count));
    return static_cast<int>(moving(::recvmmsg(fd, messages, asked, MSG_DONTWAIT, nullptr)));
  }

  int sendmmsg(int fd, mmsghdr* messages, size_t count) {
    if (int fault = datagram_fault(fd); fault != 0) return fault;
    const auto asked = static_cast<unsigned>(shortened(count));
    return static_cast<int>(moving(::sendmmsg(fd, messages, asked, MSG_NOSIGNAL | MSG_DONTWAIT)));
  }

  // One entry of the socket's error queue.
  ssize_t take_error(int fd, msghdr* message) {
    const ssize_t taken = result(::recvmsg(fd, message, MSG_ERRQUEUE | MSG_DONTWAIT));
    if (taken >= 0) moved++;
    return taken;
  }

  ssize_t sendfile(int to, int from, off_t* offset, size_t length) {
    if (int fault = io_fault(to); fault != 0) return fault;
    return moving(::sendfile(to, from, offset, shortened(length)));
  }

  // From a socket into a pipe, and out of one.
  ssize_t splice_in(int socket, int pipe, size_t length) {
    if (int fault = io_fault(socket); fault != 0) return fault;
    return moving(::splice(socket, nullptr, pipe, nullptr, shortened(length), SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
  }

  ssize_t splice_out(int pipe, int socket, size_t length) {
    if (int fault = io_fault(socket); fault != 0) return fault;
    return moving(::splice(pipe, nullptr, socket, nullptr, shortened(length), SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
  }

  // How much to ask of a file that is read elsewhere.
  size_t shortened_read(int64_t length) { return shortened(static_cast<size_t>(length)); }

  // Under torture: how many bytes of the program a TLS record may have.
  long record_size() { return one_in(2) ? 16384 : 512 + static_cast<long>(random_ % 3584); }

  int accept(int fd, sockaddr* address, socklen_t* length) {
    if (kTorture) {
      if (one_in(16)) return -EAGAIN;
      if (one_in(16)) return -EINTR;
      if (one_in(16)) return -ECONNABORTED;
      if (one_in(64)) return -EMFILE;
    }
    const int newcomer = static_cast<int>(result(::accept4(fd, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC)));
    if (newcomer >= 0) moved++;
    return newcomer;
  }

 private:
  static constexpr int kMostErrors = 64;

  ssize_t moving(ssize_t value) {
    if (value > 0) moved++;
    return result(value);
  }

  ssize_t result(ssize_t value) {
    calls++;
    return value < 0 ? -errno : value;
  }

  bool one_in(uint32_t n) {
    // xorshift32: enough chance for faults, and the same everywhere for one seed.
    random_ ^= random_ << 13;
    random_ ^= random_ >> 17;
    random_ ^= random_ << 5;
    return random_ % n == 0;
  }

  int io_fault(int fd) {
    if (!kTorture) return 0;
    if (one_in(8)) return -EAGAIN;
    if (one_in(16)) return -EINTR;
    if (one_in(64)) return -ENOBUFS;
    if (resets_ && one_in(512)) {
      // As behind a reset of the peer's, reading comes to an end.
      shutdown(fd, SHUT_RDWR);
      return -ECONNRESET;
    }
    return 0;
  }

  // The last is what somebody on the network answered to an earlier datagram.
  int datagram_fault(int fd) {
    if (!kTorture) return 0;
    if (one_in(8)) return -EAGAIN;
    if (one_in(16)) return -EINTR;
    if (one_in(32)) return -ENOBUFS;
    if (one_in(32) && !is_unix(fd)) return -ECONNREFUSED;
    return 0;
  }

  static bool is_unix(int fd) {
    int domain = AF_UNIX;
    socklen_t size = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain == AF_UNIX;
  }

  size_t shortened(size_t length) {
    if (!kTorture || length < 2 || !one_in(2)) return length;
    return 1 + random_ % (one_in(2) ? length : (length < 16 ? length : 16));
  }

  uint32_t random_;
  bool resets_;
};

// The call can be made again without anything having happened.
inline bool is_transient(ssize_t error) {
  return error == -EAGAIN || error == -EINTR || error == -ENOBUFS || error == -ENOMEM;
}

// Milliseconds of CLOCK_MONOTONIC, the clock under performance.now().
inline double monotonic_now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

}  // namespace em
