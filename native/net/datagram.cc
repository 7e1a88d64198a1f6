#include "net/datagram.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include "net/datagram_core.h"
#include "net/datagram_io.h"
#include "net/datagram_options.h"
#include "net/socket.h"

namespace em {

namespace {

Failure bind_datagrams(int fd, const Address& address, const DatagramSettings& settings, DatagramSocket& socket) {
  if (*settings.file != '\0') {
    return SocketFile::bind(fd, address, settings.file, settings.mode, &socket.file);
  }
  if (address.length == sizeof address.any.sa_family) return {};
  if (bind(fd, &address.any, address.length) < 0) return {-errno, Syscall::bind};
  return {};
}

Failure begin(Core& core, Slot& slot, const Address& address, const DatagramSettings& settings) {
  if (address.length == 0 || (settings.has_remote && settings.remote.length == 0)) return {-EINVAL, Syscall::bind};
  DatagramSocket& state = *slot.datagram;
  state.family = address.any.sa_family;
  const int fd = socket(state.family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return {-errno, Syscall::socket};
  if (!take_descriptor(core, slot, fd)) return {-ENOMEM, Syscall::socket};
  keep_descriptor(core, slot);
  if (state.family != AF_UNIX) slot.set(kInternet);
  if (state.family == AF_UNIX) state.most_segment = 0;
  if (int error = prepare_datagrams(fd, state.family, settings); error != 0) return {error, Syscall::setsockopt};
  if (Failure failure = bind_datagrams(fd, address, settings, state); failure.error != 0) return failure;
  if (!settings.has_remote) return {};
  Address remote = settings.remote;
  if (state.family == AF_INET6) remote.map_to_ipv6();
  if (connect(fd, &remote.any, remote.length) < 0) return {-errno, Syscall::connect};
  state.connected = true;
  return {};
}

}  // namespace

int32_t open_datagrams(Core& core, const Address& address, const DatagramSettings& settings) {
  Slot* slot = core.slots.allocate(Kind::datagram);
  if (slot == nullptr) return kNoHandle;
  if (core.datagrams == nullptr) core.datagrams = std::make_shared<DatagramCore>(core.shared);
  slot->state = State::open;
  slot->datagram = new DatagramSocket();
  slot->datagram->send_limit = settings.send_limit;
  // What streams write is not for it.
  core.shared.flags[slot->index()] = kNoWrite;
  slot->last_read = slot->last_write = monotonic_now();
  if (Failure failure = begin(core, *slot, address, settings); failure.error != 0) {
    close_datagrams(core, *slot, Ended::error, failure.error, failure.syscall);
  } else {
    slot->set(kAddressed);
    core.defer(*slot, kDueListening);
  }
  return slot->handle;
}

void close_datagrams(Core& core, Slot& slot, Ended ended, int32_t error, Syscall syscall) {
  if (slot.state == State::closed) return;
  DatagramSocket& socket = *slot.datagram;
  slot.state = State::closed;
  slot.ended = ended;
  slot.error = error;
  slot.syscall = syscall;
  core.shared.flags[slot.index()] |= kMuted;
  count_drops(core, slot);
  save_addresses(slot);
  // Before the descriptor, which keeps the inode from being given out again.
  if (socket.file != nullptr) socket.file->remove();
  drop_descriptor(core, slot);
  slot.unset(kRegistered | kWantIn | kWantWritable);
  core.count(kTotalOutbound, -core.shared.outbound[slot.index()]);
  core.forget_pieces(slot);
  socket.drop_waiting(core.live);
  if (!socket.held.empty()) core.live.unread--;
  socket.held = {};
  slot.due &= kDueFailed;
  core.defer(slot, kDueClosed);
}

void count_drops(Core& core, Slot& slot) {
  uint32_t figures[SK_MEMINFO_VARS];
  socklen_t size = sizeof figures;
  if (!slot.has(kInternet) || getsockopt(slot.fd, SOL_SOCKET, SO_MEMINFO, figures, &size) < 0) return;
  if (size <= SK_MEMINFO_DROPS * sizeof figures[0]) return;  // an older kernel
  DatagramSocket& socket = *slot.datagram;
  count_receive_drops(core, socket, figures[SK_MEMINFO_DROPS] - socket.kernel_drops);
  socket.kernel_drops = figures[SK_MEMINFO_DROPS];
}

void delete_datagrams(Core& core, Slot& slot) {
  if (slot.kind != Kind::datagram) return;
  if (slot.datagram->file != nullptr && slot.state != State::closed) slot.datagram->file->remove();
  slot.datagram->drop_waiting(core.live);
  if (!slot.datagram->held.empty()) core.live.unread--;
  delete slot.datagram;
  slot.datagram = nullptr;
}

void update_datagram_interest(Core& core, Slot& slot) {
  if (slot.state != State::open) return;
  const DatagramSocket& socket = *slot.datagram;
  const uint32_t want = (slot.has(kWantIn) ? kIn : 0u) | (socket.polls_out && !socket.queue.empty() ? kOut : 0u);
  int error = 0;
  if (!slot.has(kRegistered)) {
    error = core.poller.add(slot.fd, slot.handle, want);
    if (error == 0) slot.set(kRegistered);
  } else if (slot.interest != want) {
    error = core.poller.change(slot.fd, slot.handle, want);
  }
  slot.interest = static_cast<uint8_t>(want);
  if (error == 0) return;
  not_polled(core, slot, error);
  close_datagrams(core, slot, Ended::error, error, Syscall::epoll_ctl);
}

// Rounds
// ---------------------------------------------------------------------------------------------------------------

void datagrams_ready(Core& core, Slot& slot, uint32_t interest) {
  if (interest & kError) receive_errors(core, slot);
  if (interest & kIn) receive_datagrams(core, slot);
  if (slot.state != State::open || (interest & kOut) == 0) return;
  if (slot.datagram->queue.empty()) {
    update_datagram_interest(core, slot);
  } else {
    send_datagram_queue(core, slot, core.now);
  }
}

void emit_failure(Core& core, const Slot& slot, int32_t error, Syscall syscall, const void* name, uint32_t length) {
  uint8_t* room = core.slab_room(kNameRoom);
  if (length > 0) memcpy(room, name, length);
  pad_name(room, length);
  const int32_t extra = (-error & 0xffff) | static_cast<int32_t>(syscall) << 16;
  core.emit(Event::sendFailed, extra, slot.handle, core.keep_slab(length), static_cast<int32_t>(length));
}

namespace {

bool emit_failures(Core& core, Slot& slot) {
  std::vector<SendFailure>& failures = slot.datagram->failures;
  size_t at = 0;
  for (; at < failures.size() && core.ring_room() > 1 && core.slab_room(kNameRoom) != nullptr; at++) {
    const SendFailure& failure = failures[at];
    emit_failure(core, slot, failure.error, failure.syscall, failure.name, failure.name_length);
  }
  core.keep_slab(0);
  failures.erase(failures.begin(), failures.begin() + static_cast<ptrdiff_t>(at));
  if (!failures.empty()) return false;
  failures.shrink_to_fit();
  slot.due &= static_cast<uint8_t>(~kDueFailed);
  return true;
}

}  // namespace

bool datagrams_due(Core& core, Slot& slot) {
  if (slot.due & kDueListening) {
    slot.due &= static_cast<uint8_t>(~kDueListening);
    core.emit(Event::listening, 0, slot.handle, 0, 0);
    if (!is_muted(core, slot)) slot.set(kWantIn);
    update_datagram_interest(core, slot);
  }
  if (slot.due & kDueUnread) {
    if (!emit_held(core, slot)) return false;
    slot.due &= static_cast<uint8_t>(~kDueUnread);
  }
  return (slot.due & kDueFailed) == 0 || emit_failures(core, slot);
}

// Commands
// -------------------------------------------------------------------------------------------------------------

void datagrams_sent(Core& core, Slot& slot) {
  if (slot.has(kFinishing)) return close_datagrams(core, slot, Ended::local, 0, Syscall::none);
  if (!slot.has(kWantWritable)) return;
  slot.unset(kWantWritable);
  core.defer(slot, kDueWritable);
}

void await_datagrams_sent(Core& core, Slot& slot) {
  if (slot.state == State::closed || is_muted(core, slot)) return;
  slot.set(kWantWritable);
  if (!slot.datagram->waits()) datagrams_sent(core, slot);
}

void finish_datagrams(Core& core, Slot& slot) {
  if (slot.state == State::closed || is_muted(core, slot)) return;
  flush_datagrams(core, slot, monotonic_now());
  if (slot.state == State::closed) return;
  core.shared.flags[slot.index()] |= kMuted;
  slot.set(kFinishing);
  slot.unset(kWantIn | kWantWritable);
  slot.due &= static_cast<uint8_t>(~(kDueListening | kDueUnread | kDueWritable));
  if (!slot.datagram->waits()) {
    datagrams_sent(core, slot);
  } else {
    update_datagram_interest(core, slot);
  }
}

void close_datagrams_by_command(Core& core, Slot& slot) {
  if (slot.state == State::closed) return;
  core.shared.flags[slot.index()] |= kMuted | kSilent;
  slot.datagram->failures = {};
  slot.due = 0;
  close_datagrams(core, slot, Ended::local, 0, Syscall::none);
}

void resume_datagrams(Core& core, Slot& slot) {
  uint8_t& flags = core.shared.flags[slot.index()];
  flags &= static_cast<uint8_t>(~(kPaused | kNeedsResume));
  if (slot.state != State::open || is_muted(core, slot) || (slot.due & kDueListening)) return;
  if (!slot.datagram->held.empty()) return core.defer(slot, kDueUnread);
  slot.set(kWantIn);
  update_datagram_interest(core, slot);
}

}  // namespace em
