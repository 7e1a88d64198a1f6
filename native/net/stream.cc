#include "net/stream.h"

#include <netinet/in.h>

#include "net/listener.h"
#include "net/stream_io.h"
#include "net/stream_ops.h"

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

}  // namespace

// Opening ------------------------------------------------------------------------------------------------------------

int32_t open_stream(Core& core, const Address& address, const ConnectSettings& settings) {
  Slot* slot = new_stream(core, settings);
  if (slot == nullptr) return kNoHandle;
  begin_connect(core, *slot, address, settings);
  return slot->handle;
}

int32_t adopt_stream(Core& core, int fd, const ConnectSettings& settings) {
  Slot* slot = new_stream(core, settings);
  if (slot == nullptr) return kNoHandle;
  Adopted adopted = adopt_descriptor(core, *slot, fd, Accepts::files);
  if (adopted.error != 0) {
    close_stream(core, *slot, Ended::error, adopted.error, adopted.syscall);
    return slot->handle;
  }
  if (adopted.file) {
    core.defer(*slot, kDueConnected);
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
  slot.set(kAddressed);
  if (!slot.has(kWriteOnly)) slot.set(kWantIn);
  slot.last_read = slot.last_write = core.now;
  core.count(kConnected);
  core.emit(Event::connected, 0, slot.handle, 0, 0);
  update_interest(core, slot);
}

// Commands -----------------------------------------------------------------------------------------------------------

void write_stream(Core& core, Slot& slot, const uint8_t* data, size_t length) {
  if (!takes_output(slot)) return;
  auto bytes = static_cast<double>(length);
  core.shared.outbound[slot.index()] += bytes;
  core.count(kTotalOutbound, bytes);
  ops(slot).write(core, slot, data, length);
}

void send_file(Core& core, Slot& slot, int fd, int64_t offset, int64_t length) {
  if (!takes_output(slot)) return;
  ops(slot).append_file(core, slot, fd, offset, length);
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
  if (slot.has(kEndDelivered) || !ops(slot).read_on(core, slot)) return;
  slot.set(kWantIn);
  slot.unset(kParked);
  update_interest(core, slot);
}

}  // namespace em
