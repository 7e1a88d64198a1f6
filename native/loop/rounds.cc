#include "loop/rounds.h"

#include <errno.h>

#include <algorithm>

#include "net/datagram.h"
#include "net/datagram_core.h"
#include "net/listener.h"
#include "net/relay.h"
#include "net/stream.h"
#include "net/stream_ops.h"
#include "net/watch.h"
#include "tls/tls_core.h"

namespace em {

namespace {
// The most ring entries one ready descriptor may make: `accept` asks for the room itself.
constexpr uint32_t kRingReserve = 16;
// So many rounds, within so many milliseconds, in which descriptors are ready and nothing can be done with them: a loop
// that would never end. A round that comes to something outweighs a few.
constexpr uint32_t kMostFruitless = 1000;
constexpr uint32_t kFruitWorth = 4;
constexpr double kFruitlessTime = 10'000;
constexpr uint32_t kTrouble = kError | kHangUp;
}  // namespace

Rounds::~Rounds() {
  core_.slots.each([this](Slot& slot) {
    if (slot.kind == Kind::watch) leave_watched(core_, slot);
    drop_descriptor(core_, slot);
    release(slot);
  });
}

void Rounds::release(Slot& slot) {
  switch (slot.kind) {
    case Kind::listener:
      delete_listener(slot);
      break;
    case Kind::datagram:
      delete_datagrams(core_, slot);
      break;
    default:
      if (slot.has(kHasRelay)) forget_relay(core_, slot);
      ops(slot).release(slot);
  }
  core_.slots.release(slot);
}

// Output --------------------------------------------------------------------------------------------------------------

void Rounds::flush(double stamp) {
  if (core_.shared.word(kPieceCount) != 0) core_.absorb();
  if (!core_.dirty_.empty()) {
    if (stamp == 0) stamp = monotonic_now();
    // Whatever is marked by this is the next flush's.
    const size_t count = core_.dirty_.size();
    for (size_t i = 0; i < count; i++) {
      Slot* slot = core_.slots.find(core_.dirty_[i]);
      if (slot == nullptr) continue;
      slot->unset(kDirty);
      if (slot->kind == Kind::datagram) {
        flush_datagrams(core_, *slot, stamp);
      } else {
        ops(*slot).flush(core_, *slot, stamp);
      }
    }
    core_.dirty_.erase(core_.dirty_.begin(), core_.dirty_.begin() + static_cast<ptrdiff_t>(count));
  }
  core_.absorbed_ = 0;
  core_.shared.words[kAbsorbed] = 0;
  core_.shared.words[kPieceCount] = 0;
  core_.shared.words[kOutUsed] = 0;
  core_.shared.figures[kSystemCalls] = static_cast<double>(core_.sys.calls);
}

// Input ---------------------------------------------------------------------------------------------------------------

uint32_t Rounds::collect() {
  if (core_.retry_at_ <= core_.now) retry_listeners();
  if (core_.tls) core_.tls->handshakes_left = kHandshakesARound;
  if (core_.datagrams && core_.datagrams->wake_at <= core_.now) core_.datagrams->wake(core_);
  if (core_.watches && core_.watches->audit_at <= core_.now) audit_watches(core_);
  emit_due();
  const uint64_t moved = core_.sys.moved;
  uint64_t calls = core_.sys.calls;
  uint32_t seen = 0;
  if (ready_at_ == ready_count_) {
    ready_at_ = 0;
    polled_at_ = core_.now;
    ready_count_ = core_.poller.wait();
    calls = ++core_.sys.calls;
  }
  // What finds no room stays for the next round: its readiness may be stale by then, which its generation or EAGAIN
  // tell.
  for (; ready_at_ < ready_count_; ready_at_++) {
    if (core_.ring_room() < kRingReserve || core_.slab_room(kReadQuota) == nullptr) break;
    Ready ready = core_.poller.ready(ready_at_);
    Slot* slot = core_.slots.find(ready.handle);
    if (slot == nullptr || slot->state == State::closed) continue;
    if (slot->kind == Kind::datagram && !core_.datagrams->has_room()) break;
    seen |= ready.interest;
    switch (slot->kind) {
      case Kind::listener:
        accept_ready(core_, *slot);
        break;
      case Kind::datagram:
        datagrams_ready(core_, *slot, ready.interest);
        break;
      case Kind::watch:
        watch_ready(core_, *slot, ready.interest);
        break;
      default:
        stream_ready(core_, *slot, ready.interest);
    }
  }
  if (ready_at_ == ready_count_) core_.shared.figures[kSeenAt] = polled_at_;
  if (ready_count_ > 0) {
    // Input that is gone when it is asked for was taken by another process that has the same socket.
    const bool fruitless =
        core_.event_count_ == 0 && core_.sys.moved == moved && ((seen & kTrouble) || core_.sys.calls == calls);
    if (fruitless) {
      fruitless_round((seen & kTrouble) != 0);
    } else if (fruitless_ > 0) {
      fruitless_ -= std::min(fruitless_, kFruitWorth);
    }
  }
  // Connections that were found dead are told of in this batch already.
  emit_due();
  // Behind all that was read: what has come in time is delivered before a deadline is judged.
  if (core_.shared.figure(kDeadline) <= core_.now && core_.ring_room() > 0) {
    core_.shared.figures[kDeadline] = kNever;
    core_.emit(Event::timer, 0, 0, 0, 0);
  }
  core_.shared.words[kEventCount] = static_cast<int32_t>(core_.event_count_);
  core_.shared.words[kEventsRead] = 0;
  if (core_.event_count_ > 0) {
    core_.count(kEvents, core_.event_count_);
    core_.shared.figures[kBatches] = static_cast<double>(++core_.batches);
  }
  core_.keep_slab(0);  // what the last one asked for and did not fill
  return core_.event_count_;
}

void Rounds::retry_listeners() {
  core_.retry_at_ = kNever;
  for (int32_t handle : core_.backed_off_) {
    Slot* slot = core_.slots.find(handle);
    if (slot != nullptr && slot->state == State::open) resume_accepting(core_, *slot);
  }
  core_.backed_off_.clear();
}

void Rounds::fruitless_round(bool in_trouble) {
  if (fruitless_ == 0 || core_.now - fruitless_since_ > kFruitlessTime) {
    fruitless_ = 0;
    fruitless_since_ = core_.now;
  }
  if (++fruitless_ < kMostFruitless) return;
  fruitless_ = 0;
  for (int i = 0; i < ready_count_; i++) {
    Slot* slot = core_.slots.find(core_.poller.ready(i).handle);
    if (slot == nullptr || slot->state == State::closed) continue;
    if (in_trouble && (core_.poller.ready(i).interest & kTrouble) == 0) continue;
    core_.count(kSpins);
    switch (slot->kind) {
      case Kind::listener:
        close_listener(core_, *slot, Ended::error, -EIO, Syscall::epoll_wait);
        break;
      case Kind::datagram:
        close_datagrams(core_, *slot, Ended::error, -EIO, Syscall::epoll_wait);
        break;
      case Kind::watch:
        close_watch(core_, *slot, Ended::error, -EIO, Syscall::epoll_wait);
        break;
      default:
        close_stream(core_, *slot, Ended::error, -EIO, Syscall::epoll_wait);
    }
  }
}

void Rounds::emit_due() {
  if (core_.due_.empty()) return;
  due_now_.swap(core_.due_);
  size_t at = 0;
  for (; at < due_now_.size() && core_.ring_room() >= kRingReserve; at++) {
    Slot* slot = core_.slots.find(due_now_[at]);
    if (slot == nullptr) continue;
    slot->unset(kListed);
    if (!emit_due(*slot)) core_.defer(*slot, 0);
  }
  for (; at < due_now_.size(); at++) core_.due_.push_back(due_now_[at]);
  due_now_.clear();
}

// Returns whether all of it found room.
bool Rounds::emit_due(Slot& slot) {
  if (slot.kind == Kind::datagram && !datagrams_due(core_, slot)) return false;
  uint8_t due = slot.due;
  if (due & kDueListening) {
    slot.due &= static_cast<uint8_t>(~kDueListening);
    core_.emit(Event::listening, 0, slot.handle, 0, 0);
    start_accepting(core_, slot);
  }
  if (due & kDueConnected) {
    slot.due &= static_cast<uint8_t>(~kDueConnected);
    stream_connected(core_, slot);
  }
  if (slot.due & kDueUnread) {
    if (!emit_unread(core_, slot)) return false;
  }
  if (slot.due & kDueInput) {
    slot.due &= static_cast<uint8_t>(~kDueInput);
    if (!ops(slot).due(core_, slot)) {
      slot.due |= kDueInput;
      return false;
    }
  }
  while (slot.files_sent > 0) {
    if (core_.ring_room() < kRingReserve) return false;
    slot.files_sent--;
    core_.emit(Event::fileSent, 0, slot.handle, 0, 0);
  }
  slot.due &= static_cast<uint8_t>(~kDueFileSent);
  if (slot.due & kDueWritable) {
    slot.due &= static_cast<uint8_t>(~kDueWritable);
    core_.emit(Event::writable, 0, slot.handle, 0, 0);
  }
  if (slot.due & kDueClosed) {
    slot.due = 0;
    int32_t extra = static_cast<int32_t>(slot.ended) | static_cast<int32_t>(slot.syscall) << 8;
    core_.emit(Event::closed, extra, slot.handle, slot.error, 0);
    core_.release_after_batch(slot);
  }
  return true;
}

// The batch -----------------------------------------------------------------------------------------------------------

void Rounds::end_batch() {
  // The last connection of a listener that is closed releases that one too.
  for (size_t i = 0; i < core_.released_.size(); i++) {
    Slot* slot = core_.slots.find(core_.released_[i]);
    if (slot == nullptr) continue;
    drop_descriptor(core_, *slot);
    // Only now: whoever comes next is not accepted before the end of this one was told.
    if (slot->listener != kNoHandle) connection_left(core_, slot->listener);
    if (outlive(*slot)) continue;
    release(*slot);
  }
  core_.released_.clear();
  if (core_.datagrams) core_.datagrams->end_batch();
  core_.event_count_ = 0;
  core_.slab_used_ = 0;
  core_.shared.words[kEventCount] = 0;
  ASAN_POISON_MEMORY_REGION(core_.shared.event_slab, kEventSlabSize);
}

bool Rounds::pending() const {
  return !core_.due_.empty() || !core_.dirty_.empty() || ready_at_ < ready_count_ ||
         core_.shared.word(kTicksWanted) != 0;
}

double Rounds::deadline() const {
  return std::min({core_.shared.figure(kDeadline), core_.retry_at_, core_.datagrams ? core_.datagrams->wake_at : kNever,
                   core_.watches ? core_.watches->audit_at : kNever});
}

}  // namespace em
