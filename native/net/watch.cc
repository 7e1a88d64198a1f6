#include "net/watch.h"

#include <errno.h>

namespace em {

namespace {

constexpr double kAuditPeriod = 1000;  // milliseconds

uint32_t interest_of(uint32_t flags) {
  return ((flags & kWatchReadable) ? kIn : 0u) | ((flags & kWatchWritable) ? kOut : 0u);
}

// Returns 0, or a negative errno where the number does not stand for what is watched any more. The owner is asked
// first: the number may be another handle's of this poller by now, whose registration is not to be touched.
int arm(Core& core, const Slot& slot) {
  if (!core.descriptors.owns(slot.fd, slot.handle)) return -EBADF;
  const int error = core.poller.change(slot.fd, slot.handle, slot.interest | kOnce);
  // Whatever another file under the number makes of it.
  return error == 0 ? 0 : -EBADF;
}

// A registration that is there already is of a file that was closed under this number, kept by a duplicate that has
// come back to it: nobody owns it.
int enter_poller(Core& core, const Slot& slot, int fd) {
  const int error = core.poller.add(fd, slot.handle, slot.interest | kOnce);
  return error == -EEXIST ? core.poller.change(fd, slot.handle, slot.interest | kOnce) : error;
}

}  // namespace

int32_t open_watch(Core& core, int fd, uint32_t flags) {
  Slot* slot = core.slots.allocate(Kind::watch);
  if (slot == nullptr) return -ENFILE;
  slot->interest = static_cast<uint8_t>(interest_of(flags));
  int error = core.descriptors.claim(fd, slot->handle);
  if (error == 0) {
    error = enter_poller(core, *slot, fd);
    if (error != 0) core.descriptors.release(fd, slot->handle, true);
  }
  if (error != 0) {
    core.slots.release(*slot);
    return error;
  }
  core.descriptors.claim_polled(fd, slot->handle);
  slot->fd = fd;
  slot->state = State::open;
  core.shared.flags[slot->index()] = kNoWrite;
  if (core.watches == nullptr) core.watches = std::make_shared<WatchCore>();
  core.watches->handles.push_back(slot->handle);
  if (core.watches->audit_at == kNever) core.watches->audit_at = monotonic_now() + kAuditPeriod;
  return slot->handle;
}

void leave_watched(Core& core, Slot& slot) {
  const int fd = slot.fd;
  slot.fd = -1;
  if (fd < 0 || !core.descriptors.owns(fd, slot.handle)) return;
  core.poller.remove(fd);
  core.descriptors.release(fd, slot.handle, false);
}

void close_watch(Core& core, Slot& slot, Ended ended, int32_t error, Syscall syscall) {
  if (slot.state == State::closed) return;
  slot.state = State::closed;
  slot.ended = ended;
  slot.error = error;
  slot.syscall = syscall;
  core.shared.flags[slot.index()] |= kMuted;
  leave_watched(core, slot);
  core.defer(slot, kDueClosed);
}

void set_watch_flags(Core& core, Slot& slot, uint32_t flags) {
  if (slot.state == State::closed) return;
  slot.interest = static_cast<uint8_t>(interest_of(flags));
  if (int error = arm(core, slot); error != 0) close_watch(core, slot, Ended::error, error, Syscall::epoll_ctl);
}

void watch_ready(Core& core, Slot& slot, uint32_t interest) {
  // An error is both: whoever reads or writes gets to see it.
  if (interest & (kError | kHangUp)) interest |= kIn | kOut;
  const uint32_t wanted = interest & slot.interest;
  // What nobody waits for stays unarmed until somebody does.
  if (wanted == 0) return;
  if (int error = arm(core, slot); error != 0) return close_watch(core, slot, Ended::error, error, Syscall::epoll_ctl);
  const uint32_t flags = ((wanted & kIn) ? kWatchReadable : 0u) | ((wanted & kOut) ? kWatchWritable : 0u);
  core.emit(Event::ready, static_cast<int32_t>(flags), slot.handle, 0, 0);
}

void audit_watches(Core& core) {
  std::vector<int32_t>& handles = core.watches->handles;
  size_t left = 0;
  for (int32_t handle : handles) {
    Slot* slot = core.slots.find(handle);
    if (slot == nullptr || slot->state == State::closed) continue;
    handles[left++] = handle;
    if (core.descriptors.owns(slot->fd, handle) && core.poller.knows(slot->fd)) continue;
    close_watch(core, *slot, Ended::error, -EBADF, Syscall::epoll_ctl);
  }
  handles.resize(left);
  core.watches->audit_at = left == 0 ? kNever : core.now + kAuditPeriod;
}

}  // namespace em
