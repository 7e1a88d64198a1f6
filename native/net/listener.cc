#include "net/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <algorithm>

#include "net/stream.h"

namespace em {

namespace {

Slot* new_listener(Core& core, const ListenSettings& settings) {
  Slot* slot = core.slots.allocate(Kind::listener);
  if (slot == nullptr) return nullptr;
  slot->state = State::open;
  core.shared.flags[slot->index()] = kNoWrite;
  slot->accepting = new Listener{settings, nullptr};
  slot->accepting->settings.options = {};
  slot->accepting->settings.file = "";
  slot->last_read = slot->last_write = monotonic_now();
  return slot;
}

Failure bind_and_listen(int fd, const Address& address, const ListenSettings& settings, Listener& listener) {
  int family = address.any.sa_family;
  if (family != AF_UNIX) {
    // A restarted server must not wait for the old connections' TIME_WAIT.
    if (int error = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1); error != 0) return {error, Syscall::setsockopt};
    if (settings.reuse_port) {
      if (int error = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1); error != 0) return {error, Syscall::setsockopt};
    }
  }
  if (family == AF_INET6) {
    int error = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, settings.ipv6_only ? 1 : 0);
    if (error != 0) return {error, Syscall::setsockopt};
  }
  // Before `listen`, so that the receive buffer's size takes part in the window the kernel offers.
  if (int error = apply_options(fd, family != AF_UNIX, settings.options); error != 0)
    return {error, Syscall::setsockopt};
  if (*settings.file != '\0') {
    // Between bind and listen nobody can connect.
    const Failure failure = SocketFile::bind(fd, address, settings.file, settings.mode, &listener.file);
    if (failure.error != 0) return failure;
  } else if (bind(fd, &address.any, address.length) < 0) {
    return {-errno, Syscall::bind};
  }
  if (listen(fd, settings.backlog) < 0) return {-errno, Syscall::listen};
  return {};
}

// What `accept` says of a newcomer that is gone, or of a network that failed it: the next one may do better.
bool concerns_newcomer(int error) {
  switch (-error) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

bool lacks_resources(int error) {
  return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM || error == -ENOSPC;
}

void stop_accepting(Core& core, Slot& slot) {
  if (!slot.has(kRegistered)) return;
  leave_poller(core, slot);
}

void out_of_resources(Core& core, Slot& slot) {
  if (slot.accepting->backing_off) return;
  slot.accepting->backing_off = true;
  stop_accepting(core, slot);
  core.back_off(slot.handle);
}

}  // namespace

int32_t open_listener(Core& core, const Address& address, const ListenSettings& settings) {
  Slot* slot = new_listener(core, settings);
  if (slot == nullptr) return kNoHandle;
  if (address.length == 0) {
    close_listener(core, *slot, Ended::error, -EINVAL, Syscall::bind);
    return slot->handle;
  }
  int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    close_listener(core, *slot, Ended::error, -errno, Syscall::socket);
    return slot->handle;
  }
  if (!take_descriptor(core, *slot, fd)) {
    close_listener(core, *slot, Ended::error, -ENOMEM, Syscall::socket);
    return slot->handle;
  }
  keep_descriptor(core, *slot);
  if (address.any.sa_family != AF_UNIX) slot->set(kInternet);
  Failure failure = bind_and_listen(fd, address, settings, *slot->accepting);
  if (failure.error != 0) {
    close_listener(core, *slot, Ended::error, failure.error, failure.syscall);
  } else {
    slot->set(kAddressed);
    core.defer(*slot, kDueListening);
  }
  return slot->handle;
}

int32_t adopt_listener(Core& core, int fd, const ListenSettings& settings) {
  Slot* slot = new_listener(core, settings);
  if (slot == nullptr) return kNoHandle;
  Adopted adopted = adopt_descriptor(core, *slot, fd, Accepts::sockets);
  if (adopted.error != 0) {
    close_listener(core, *slot, Ended::error, adopted.error, adopted.syscall);
    return slot->handle;
  }
  int listening = 0;
  socklen_t size = sizeof listening;
  getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size);
  if (listening == 0) {
    close_listener(core, *slot, Ended::error, -EINVAL, Syscall::listen);
  } else if (int error = apply_options(fd, adopted.internet, settings.options); error != 0) {
    close_listener(core, *slot, Ended::error, error, Syscall::setsockopt);
  } else {
    slot->set(kAddressed);
    core.defer(*slot, kDueListening);
  }
  return slot->handle;
}

void close_listener(Core& core, Slot& slot, Ended ended, int32_t error, Syscall syscall) {
  if (slot.state == State::closed) return;
  slot.state = State::closed;
  slot.ended = ended;
  slot.error = error;
  slot.syscall = syscall;
  core.shared.flags[slot.index()] |= kMuted | kNoWrite;
  save_addresses(slot);
  // Before the descriptor, which keeps the inode from being given out again.
  if (slot.accepting->file != nullptr) slot.accepting->file->remove();
  drop_descriptor(core, slot);
  slot.due = 0;
  core.defer(slot, kDueClosed);
}

void delete_listener(Slot& slot) {
  if (slot.kind != Kind::listener) return;
  delete slot.accepting;
  slot.accepting = nullptr;
}

bool outlive(Slot& slot) {
  if (slot.kind != Kind::listener) return false;
  slot.accepting->outlived = slot.accepting->connections > 0;
  return slot.accepting->outlived;
}

void start_accepting(Core& core, Slot& slot) {
  if (slot.has(kRegistered)) return;
  if (int error = core.poller.add(slot.fd, slot.handle, kIn); error != 0) {
    not_polled(core, slot, error);
    return close_listener(core, slot, Ended::error, error, Syscall::epoll_ctl);
  }
  slot.set(kRegistered);
}

void resume_accepting(Core& core, Slot& slot) {
  slot.accepting->backing_off = false;
  if (!slot.accepting->full && (slot.due & kDueListening) == 0) start_accepting(core, slot);
}

void connection_left(Core& core, int32_t listener) {
  Slot* slot = core.slots.find(listener);
  Listener& state = *slot->accepting;
  state.connections--;
  if (state.outlived && state.connections == 0) core.release_after_batch(*slot);
  if (slot->state != State::open) return;
  if (!state.full) return;
  state.full = false;
  if (!state.backing_off) start_accepting(core, *slot);
}

void accept_ready(Core& core, Slot& slot) {
  Listener& state = *slot.accepting;
  const ListenSettings& settings = state.settings;
  // Asking until EAGAIN costs a call more than there are newcomers. So a round asks for one, and for twice as many each
  // time the listener is found ready again in the very next round.
  state.attempts = core.batches == state.last_batch + 1 ? std::min(state.attempts * 2, settings.accept_quota) : 1;
  state.last_batch = core.batches;

  uint32_t most = std::min(state.attempts, core.ring_room() - 1);
  for (uint32_t i = 0; i < most; i++) {
    bool full = state.connections >= settings.max_connections;
    if (full && !settings.close_when_full) {
      state.full = true;
      stop_accepting(core, slot);
      return;
    }
    Address peer;
    peer.length = Address::kRoom;
    int fd = core.sys.accept(slot.fd, &peer.any, &peer.length);
    peer.clamp();
    if (fd < 0) {
      if (concerns_newcomer(fd)) continue;
      if (fd == -EAGAIN) return;
      if (lacks_resources(fd)) {
        out_of_resources(core, slot);
      } else {
        close_listener(core, slot, Ended::error, fd, Syscall::accept);
      }
      return;
    }
    if (full) {
      close(fd);
      continue;
    }
    if (!stream_accepted(core, slot, fd, peer)) {
      out_of_resources(core, slot);
      return;
    }
    state.connections++;
  }
}

}  // namespace em
