#include "net/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

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

// A terminal's open file is shared with the shell and all it has started, none of which expects it not to block: it is
// opened anew under the same number. The master of a pseudo-terminal is nobody else's.
void open_terminal_anew(int fd, int mode) {
  char name[64];
  unsigned number;
  if (ioctl(fd, TIOCGPTN, &number) == 0 || ttyname_r(fd, name, sizeof name) != 0) return;
  const int anew = open(name, mode | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (anew < 0) return;
  dup3(anew, fd, O_CLOEXEC);
  close(anew);
}

// Makes it one that never blocks and is not inherited, if the poller takes it.
Adopted inspect_file(Core& core, Slot& slot, int fd) {
  if (int error = core.poller.add(fd, kNoHandle, 0); error != 0) return {error, Syscall::epoll_ctl};
  core.poller.remove(fd);
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return {-errno, Syscall::fcntl};
  const int mode = flags & O_ACCMODE;
  if (isatty(fd)) open_terminal_anew(fd, mode);
  if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return {-errno, Syscall::fcntl};
  slot.set(kFile);
  // The direction that is not there has ended.
  if (mode == O_RDONLY) {
    slot.set(kReadOnly | kShutWanted | kShutDone);
    core.shared.flags[slot.index()] |= kNoWrite;
  }
  if (mode == O_WRONLY) slot.set(kWriteOnly | kEndDelivered);
  return {.file = true};
}

// Makes it one that never blocks and is not inherited, if it is a stream socket.
Adopted inspect(Core& core, Slot& slot, int fd, Accepts accepts) {
  int type = 0, domain = 0;
  socklen_t size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0) {
    if (errno == ENOTSOCK && accepts == Accepts::files) return inspect_file(core, slot, fd);
    return {-errno, Syscall::getsockopt};
  }
  size = sizeof domain;
  getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
  const bool internet = domain == AF_INET || domain == AF_INET6;
  if (type != SOCK_STREAM || (!internet && domain != AF_UNIX)) return {-EPROTOTYPE, Syscall::getsockopt};
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
    return {-errno, Syscall::fcntl};
  }
  return {.internet = internet};
}
}  // namespace

Adopted adopt_descriptor(Core& core, Slot& slot, int fd, Accepts accepts) {
  if (int error = core.descriptors.claim(fd, slot.handle); error != 0) {
    return {error, error == -EEXIST ? Syscall::epoll_ctl : Syscall::getsockopt};
  }
  Adopted adopted = inspect(core, slot, fd, accepts);
  if (adopted.error == 0) {
    core.set_descriptor(slot, fd);
    slot.set(kAdopted | kKept);
    if (adopted.internet) slot.set(kInternet);
    return adopted;
  }
  // What is no socket at all may be somebody else's.
  const bool socket = adopted.syscall == Syscall::fcntl || adopted.error == -EPROTOTYPE;
  if (socket) close(fd);
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
