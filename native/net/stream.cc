#include "net/stream.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "net/stream_io.h"
#include "tls/tls_ends.h"
#include "tls/tls_output.h"
#include "tls/tls_stream.h"

namespace em {

namespace {

Slot* new_stream(Core& core, const ConnectSettings& settings) {
  Slot* slot = core.slots.allocate(Kind::stream);
  if (slot == nullptr) return nullptr;
  slot->state = State::connecting;
  slot->low_water = settings.low_water;
  if (settings.half_open) slot->set(kHalfOpen);
  slot->last_read = slot->last_write = monotonic_now();
  return slot;
}

// Returns the number bind failed with.
int bind_local(int fd, const Address& local) {
  if (local.length == 0) return -EINVAL;
  if (local.any.sa_family != AF_UNIX) {
    const int on = 1;
    if (local.v4.sin_port == 0) {
      // The port is then chosen when the peer is known: as many connections as there are pairs, not ports.
      setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    } else {
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
  }
  return bind(fd, &local.any, local.length) == 0 ? 0 : -errno;
}

void begin_connect(Core& core, Slot& slot, const Address& address, const ConnectSettings& settings) {
  if (address.length == 0) return close_stream(core, slot, Ended::error, -EINVAL, Syscall::connect);
  const bool internet = address.any.sa_family != AF_UNIX;
  int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return close_stream(core, slot, Ended::error, -errno, Syscall::socket);
  if (!take_descriptor(core, slot, fd)) return close_stream(core, slot, Ended::error, -ENOMEM, Syscall::socket);
  if (internet) slot.set(kInternet);
  if (slot.peer.keep(address)) slot.set(kPeerKnown);
  if (int error = apply_options(fd, internet, settings.options); error != 0) {
    return close_stream(core, slot, Ended::error, error, Syscall::setsockopt);
  }
  if (settings.has_local) {
    if (int error = bind_local(fd, settings.local); error != 0) {
      return close_stream(core, slot, Ended::error, error, Syscall::bind);
    }
  }
  if (connect(fd, &address.any, address.length) == 0) {
    keep_descriptor(core, slot);
    return core.defer(slot, kDueConnected);
  }
  if (errno != EINPROGRESS && errno != EINTR) {
    return close_stream(core, slot, Ended::error, -errno, Syscall::connect);
  }
  update_interest(core, slot);
}

void release_unread(Core& core, Slot& slot) {
  if (slot.unread == nullptr) return;
  free(slot.unread);
  slot.unread = nullptr;
  core.live.unread--;
}

// Everything but the event: nothing of the connection is left, except what `closed` may be asked about. `delivered`:
// that is about to be asked in this very batch, behind which the descriptor goes, so that it can be asked the kernel
// itself.
void end_stream(Core& core, Slot& slot, Ended ended, int32_t error, Syscall syscall, bool delivered) {
  uint32_t index = slot.index();
  slot.state = State::closed;
  slot.ended = ended;
  slot.error = error;
  slot.syscall = syscall;
  core.shared.flags[index] |= kNoWrite;
  if (slot.has(kTls)) tls_closing(core, slot);
  if (!delivered) save_addresses(slot);
  if (ended == Ended::detached) {
    if (slot.has(kRegistered)) leave_poller(core, slot);
  } else {
    release_unread(core, slot);
    if (!delivered) drop_descriptor(core, slot);
  }
  slot.unset(kRegistered);
  // The slot keeps its own count: what was lost is told until `closed` is delivered.
  core.count(kTotalOutbound, -core.shared.outbound[index]);
  slot.queue.clear(core.live);
  core.forget_pieces(slot);
  if (slot.listener != kNoHandle) connection_left(core, slot.listener);
}

bool has_output(const Slot& slot) {
  return slot.piece_head != kNoPiece || !slot.queue.empty() || (slot.has(kTls) && tls_has_plain(slot));
}

// From here on only `closed` follows, and `fileSent` where output still goes on.
void mute(Core& core, Slot& slot) {
  core.shared.flags[slot.index()] |= kMuted | kNoWrite;
  slot.unset(kWantWritable);
  slot.due &= kDueFileSent | kDueTls;
}

}  // namespace

// Opening ------------------------------------------------------------------------------------------------------------

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

int32_t open_stream(Core& core, const Address& address, const ConnectSettings& settings) {
  Slot* slot = new_stream(core, settings);
  if (slot == nullptr) return kNoHandle;
  begin_connect(core, *slot, address, settings);
  return slot->handle;
}

int32_t adopt_stream(Core& core, int fd, const ConnectSettings& settings) {
  Slot* slot = new_stream(core, settings);
  if (slot == nullptr) return kNoHandle;
  Adopted adopted = adopt_descriptor(core, *slot, fd);
  if (adopted.error != 0) {
    close_stream(core, *slot, Ended::error, adopted.error, adopted.syscall);
    return slot->handle;
  }
  Address peer;
  if (int error = peer.of_peer(fd); error != 0) {
    close_stream(core, *slot, Ended::error, error, Syscall::connect);
  } else if (slot->peer.keep(peer)) {
    slot->set(kPeerKnown);
  }
  if (slot->state == State::closed) return slot->handle;
  if (int failed = apply_options(fd, adopted.internet, settings.options); failed != 0) {
    close_stream(core, *slot, Ended::error, failed, Syscall::setsockopt);
  } else {
    core.defer(*slot, kDueConnected);
  }
  return slot->handle;
}

bool stream_accepted(Core& core, Slot& listener, int fd, const Address& peer) {
  const ListenSettings& settings = listener.accepting->settings;
  Slot* slot = core.slots.allocate(Kind::stream);
  if (slot == nullptr) {
    close(fd);
    return false;
  }
  if (core.poller.add(fd, slot->handle, kIn) != 0) {
    close(fd);
    core.slots.release(*slot);
    return false;
  }
  if (!core.descriptors.take(fd, slot->handle)) {
    // Somebody has attached the number already: it is theirs to close.
    core.poller.remove(fd);
    core.slots.release(*slot);
    return false;
  }
  core.set_descriptor(*slot, fd);
  slot->state = State::open;
  slot->interest = kIn;
  slot->bits = kRegistered | kWantIn | kAddressed | (listener.bits & kInternet) | (settings.half_open ? kHalfOpen : 0u);
  slot->low_water = settings.low_water;
  slot->listener = listener.handle;
  slot->last_read = slot->last_write = core.now;
  core.count(kAccepted);
  if (slot->peer.keep(peer)) slot->set(kPeerKnown);
  uint32_t ip;
  uint16_t port;
  if (peer.as_ipv4(&ip, &port)) {
    // The port is in the upper half of the first word.
    core.emit(Event::accepted, port << 8, slot->handle, listener.handle, static_cast<int32_t>(ip));
  } else {
    core.emit(Event::acceptedOther, 0, slot->handle, listener.handle, 0);
  }
  return true;
}

void stream_connected(Core& core, Slot& slot) {
  slot.state = State::open;
  slot.set(kAddressed | kWantIn);
  slot.last_read = slot.last_write = core.now;
  core.count(kConnected);
  core.emit(Event::connected, 0, slot.handle, 0, 0);
  update_interest(core, slot);
}

// Closing ------------------------------------------------------------------------------------------------------------

void close_stream(Core& core, Slot& slot, Ended ended, int32_t error, Syscall syscall) {
  if (slot.state == State::closed) return;
  end_stream(core, slot, ended, error, syscall, false);
  // A file that was sent is told of even if the connection failed right behind it.
  slot.due &= kDueFileSent;
  core.defer(slot, kDueClosed);
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
  if (error == -EEXIST) {
    give_up_descriptor(core, slot);
  }
  if (slot.kind == Kind::listener) {
    close_listener(core, slot, Ended::error, error, Syscall::epoll_ctl);
  } else {
    close_stream(core, slot, Ended::error, error, Syscall::epoll_ctl);
  }
}

// Commands -----------------------------------------------------------------------------------------------------------

void close_by_command(Core& core, Slot& slot) {
  if (slot.state == State::closed) return;
  mute(core, slot);
  core.shared.flags[slot.index()] |= kSilent;
  slot.due = 0;
  slot.files_sent = 0;
  close_stream(core, slot, Ended::local, 0, Syscall::none);
}

void abort_stream(Core& core, Slot& slot) {
  if (slot.state == State::closed) return;
  if (slot.has(kTls)) tls_silence(slot);
  const linger reset = {1, 0};
  if (slot.has(kInternet)) setsockopt(slot.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close_by_command(core, slot);
}

void send_file(Core& core, Slot& slot, int fd, int64_t offset, int64_t length) {
  if (!takes_output(slot)) return;
  if (slot.has(kTls)) {
    tls_send_file(core, slot, fd, offset, length);
  } else {
    queue_pieces(core, slot);
    slot.queue.append_file(fd, offset, length, core.live);
  }
  core.mark_dirty(slot);
}

void await_writable(Core& core, Slot& slot) {
  if (slot.state == State::closed || is_muted(core, slot)) return;
  slot.set(kWantWritable);
  check_writable(core, slot);
}

void set_low_water_mark(Core& core, Slot& slot, uint32_t bytes) {
  slot.low_water = bytes;
  if (slot.state != State::closed) check_writable(core, slot);
}

void resume_stream(Core& core, Slot& slot) {
  uint8_t& flags = core.shared.flags[slot.index()];
  flags &= static_cast<uint8_t>(~(kPaused | kNeedsResume));
  if (slot.state != State::open || is_muted(core, slot)) return;
  if (slot.unread != nullptr) return core.defer(slot, kDueUnread);
  if (slot.has(kPeerFin)) {
    if (!has_output(slot)) output_done(core, slot);
    return;
  }
  if (slot.has(kEndDelivered) || (slot.has(kTls) && !tls_reads_on(core, slot))) return;
  slot.set(kWantIn);
  slot.unset(kParked);
  update_interest(core, slot);
}

void hold_open(Core&, Slot& slot) {
  if (!slot.has(kPeerFin)) slot.set(kHalfOpen);
}

void shutdown_stream(Core& core, Slot& slot) {
  if (slot.state != State::open || is_muted(core, slot)) return;
  core.shared.flags[slot.index()] |= kNoWrite;
  slot.set(kShutWanted);
  if (!has_output(slot)) output_done(core, slot);
}

void finish_stream(Core& core, Slot& slot) {
  if (is_muted(core, slot)) return;
  if (slot.state != State::open) return close_by_command(core, slot);
  mute(core, slot);
  release_unread(core, slot);
  slot.set(kFinishing | kShutWanted);
  slot.unset(kParked);
  if (slot.has(kEndDelivered) || (slot.has(kTls) && tls_finishing(core, slot))) slot.set(kPeerFin);
  if (!slot.has(kPeerFin)) slot.set(kWantIn);
  update_interest(core, slot);
  if (slot.state == State::open && !has_output(slot)) output_done(core, slot);
}

void detach_stream(Core& core, Slot& slot) {
  if (is_muted(core, slot) || slot.has(kTls)) return;
  if (slot.state != State::open) return close_by_command(core, slot);
  mute(core, slot);
  slot.set(kDetaching);
  slot.unset(kWantIn);
  update_interest(core, slot);
  if (slot.state == State::open && !has_output(slot)) output_done(core, slot);
}

// During delivery ----------------------------------------------------------------------------------------------------

Settled settle(Core& core, Slot& slot) {
  if (slot.state != State::open) return Settled::nothing;
  uint32_t index = slot.index();
  if (slot.has(kTls) && !tls_may_end(core, slot)) return Settled::nothing;
  if (core.shared.flags[index] & (kPaused | kMuted)) return Settled::nothing;
  if (slot.has(kHalfOpen)) {
    if (slot.has(kEndDelivered)) return Settled::nothing;
    slot.set(kEndDelivered);
    slot.unset(kWantIn);
    if (slot.has(kShutDone)) {
      close_stream(core, slot, Ended::local, 0, Syscall::none);
    } else {
      update_interest(core, slot);
    }
    return Settled::end;
  }
  // Bytes JavaScript has written in this very batch count: they are not lost to a FIN that came before them.
  if (has_output(slot) || core.shared.outbound[index] > 0) {
    slot.set(kPeerFin);
    slot.unset(kWantIn);
    update_interest(core, slot);
    return Settled::nothing;
  }
  const bool here = slot.has(kShutDone);
  end_stream(core, slot, here ? Ended::local : Ended::peer, 0, Syscall::none, true);
  slot.due = 0;
  core.release_after_batch(slot);
  return here ? Settled::closedHere : Settled::closedByPeer;
}

}  // namespace em
