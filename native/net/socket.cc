#include "net/socket.h"

#include <fcntl.h>
#include <netinet/in.h>

namespace em {

int set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : -errno;
}

int apply_options(int fd, bool internet, const OptionList& options) {
  for (size_t i = 0; i < options.count; i++) {
    const SocketOption& option = options.first[i];
    if (option.level == IPPROTO_TCP && !internet) continue;
    if (int error = set_option(fd, option.level, option.name, option.value); error != 0) return error;
  }
  return 0;
}

int socket_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? -error : -errno;
}

namespace {

// Makes it one that never blocks and is not inherited, if it is a stream socket.
Adopted inspect(int fd) {
  int type = 0, domain = 0;
  socklen_t size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0) return {-errno, Syscall::getsockopt};
  size = sizeof domain;
  getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
  const bool internet = domain == AF_INET || domain == AF_INET6;
  if (type != SOCK_STREAM || (!internet && domain != AF_UNIX)) return {-EPROTOTYPE, Syscall::getsockopt};
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
    return {-errno, Syscall::fcntl};
  }
  return {0, Syscall::none, internet};
}
}  // namespace

Adopted adopt_descriptor(Core& core, Slot& slot, int fd) {
  if (int error = core.descriptors.claim(fd, slot.handle); error != 0) {
    return {error, error == -EEXIST ? Syscall::epoll_ctl : Syscall::getsockopt};
  }
  Adopted adopted = inspect(fd);
  if (adopted.error == 0) {
    core.set_descriptor(slot, fd);
    slot.set(kAdopted | kKept);
    if (adopted.internet) slot.set(kInternet);
    return adopted;
  }
  // What is no socket at all may be somebody else's.
  if (adopted.syscall != Syscall::getsockopt || adopted.error == -EPROTOTYPE) close(fd);
  core.descriptors.release(fd, slot.handle, true);
  return adopted;
}

void save_addresses(Slot& slot) {
  if (!slot.has(kAddressed) || slot.saved != nullptr || slot.fd < 0) return;
  slot.saved = new SavedAddresses();
  if (slot.saved->own.of_socket(slot.fd) != 0) slot.saved->own.length = 0;
  // An accepted connection's peer came with it; that of another may differ from what was asked for (0.0.0.0).
  if (slot.kind == Kind::listener || (slot.listener != kNoHandle && slot.has(kPeerKnown))) return;
  if (slot.saved->peer.of_peer(slot.fd) != 0) slot.saved->peer.length = 0;
}

void drop_descriptor(Core& core, Slot& slot) {
  if (slot.fd < 0) return;
  const int fd = slot.fd;
  slot.fd = -1;
  // Where it is not ours any more, the number was closed behind our back and is another's by now.
  if (core.descriptors.owns(fd, slot.handle)) {
    if (slot.has(kAdopted)) core.poller.remove(fd);
    close(fd);
    core.descriptors.release(fd, slot.handle, slot.has(kKept));
  }
  core.descriptor_closed();
}

int give_up_descriptor(Core& core, Slot& slot) {
  const int fd = slot.fd;
  slot.fd = -1;
  core.descriptors.release(fd, slot.handle, slot.has(kKept));
  core.descriptor_closed();
  return fd;
}

bool take_descriptor(Core& core, Slot& slot, int fd) {
  if (!core.descriptors.take_new(fd, slot.handle)) return false;
  core.set_descriptor(slot, fd);
  return true;
}

void keep_descriptor(Core& core, Slot& slot) {
  if (slot.has(kKept)) return;
  slot.set(kKept);
  core.descriptors.keep(slot.fd, slot.handle);
}

void leave_poller(Core& core, Slot& slot) {
  keep_descriptor(core, slot);
  slot.unset(kRegistered);
  core.poller.remove(slot.fd);
}

void not_polled(Core& core, Slot& slot, int error) {
  if (error == -EEXIST) give_up_descriptor(core, slot);
}

}  // namespace em
