#include "core/core.h"

#include <errno.h>
#include <string.h>

#include <algorithm>

#include "net/listener.h"
#include "net/stream.h"
#include "net/stream_ops.h"
#include "tls/tls_core.h"

namespace em {

namespace {
constexpr double kAcceptRetry = 100;  // milliseconds
// The most ring entries one ready descriptor may make: `accept` asks for the room itself.
constexpr uint32_t kRingReserve = 16;
// So many rounds, within so many milliseconds, in which descriptors are ready and nothing can be done with them: a loop
// that would never end. A round that comes to something outweighs a few.
constexpr uint32_t kMostFruitless = 1000;
constexpr uint32_t kFruitWorth = 4;
constexpr double kFruitlessTime = 10'000;
constexpr uint32_t kTrouble = kError | kHangUp;
}  // namespace

Core::Core(Region& region, Live& counts, uint32_t seed)
    : shared(region), live(counts), sys(seed), descriptors(poller), slots(region, counts), now(monotonic_now()) {
  region.retain();
  region.figures[kDeadline] = kNever;
  ASAN_POISON_MEMORY_REGION(shared.event_slab, kEventSlabSize);
}

Core::~Core() {
  slots.each([this](Slot& slot) {
    drop_descriptor(*this, slot);
    delete_listener(slot);
    slots.release(slot);
  });
  shared.release();
}

void Core::defer(Slot& slot, uint8_t due) {
  slot.due |= due;
  if (slot.has(kListed)) return;
  slot.set(kListed);
  due_.push_back(slot.handle);
}

// Output -------------------------------------------------------------------------------------------------------------

void Core::mark_dirty(Slot& slot) {
  if (slot.has(kDirty)) return;
  slot.set(kDirty);
  dirty_.push_back(slot.handle);
}

void Core::absorb() {
  uint32_t count = std::min(static_cast<uint32_t>(shared.word(kPieceCount)), kMaxPieces);
  for (; absorbed_ < count; absorbed_++) {
    const int32_t* entry = shared.pieces + absorbed_ * 4;
    const int32_t handle = read_once(entry[0]);
    const auto offset = static_cast<uint32_t>(read_once(entry[1]));
    const auto length = static_cast<uint32_t>(read_once(entry[2]));
    Slot* slot = slots.find(handle);
    if (slot == nullptr || !takes_output(*slot)) continue;
    if (offset > kOutSlabSize || length == 0 || length > kOutSlabSize - offset) continue;
    pieces_[absorbed_] = {offset, length, kNoPiece};
    if (slot->piece_head == kNoPiece) {
      slot->piece_head = absorbed_;
    } else {
      pieces_[slot->piece_tail].next = absorbed_;
    }
    slot->piece_tail = absorbed_;
    mark_dirty(*slot);
  }
  shared.words[kAbsorbed] = static_cast<int32_t>(absorbed_);
}

void Core::flush(double stamp) {
  if (shared.word(kPieceCount) != 0) absorb();
  if (!dirty_.empty()) {
    if (stamp == 0) stamp = monotonic_now();
    // Whatever is marked by this is the next flush's.
    const size_t count = dirty_.size();
    for (size_t i = 0; i < count; i++) {
      Slot* slot = slots.find(dirty_[i]);
      if (slot == nullptr) continue;
      slot->unset(kDirty);
      ops(*slot).flush(*this, *slot, stamp);
    }
    dirty_.erase(dirty_.begin(), dirty_.begin() + static_cast<ptrdiff_t>(count));
  }
  absorbed_ = 0;
  shared.words[kAbsorbed] = 0;
  shared.words[kPieceCount] = 0;
  shared.words[kOutUsed] = 0;
  shared.figures[kSystemCalls] = static_cast<double>(sys.calls);
}

// Input --------------------------------------------------------------------------------------------------------------

void Core::emit(Event event, int32_t extra, int32_t a, int32_t b, int32_t c) {
  int32_t* entry = shared.events + event_count_++ * 4;
  entry[0] = static_cast<int32_t>(event) | static_cast<int32_t>(static_cast<uint32_t>(extra) << 8);
  entry[1] = a;
  entry[2] = b;
  entry[3] = c;
}

uint8_t* Core::slab_room(size_t least) {
  if (kEventSlabSize - slab_used_ < least) return nullptr;
  uint8_t* room = shared.event_slab + slab_used_;
  ASAN_UNPOISON_MEMORY_REGION(room, least);
  return room;
}

int32_t Core::keep_slab(size_t length) {
  auto offset = static_cast<int32_t>(slab_used_);
  slab_used_ += static_cast<uint32_t>((length + 15) & ~size_t{15});
  ASAN_POISON_MEMORY_REGION(shared.event_slab + offset + length, kEventSlabSize - static_cast<size_t>(offset) - length);
  return offset;
}

bool Core::in_slab(int32_t offset, int32_t length) const {
  return offset >= 0 && length >= 0 && static_cast<uint32_t>(offset) <= slab_used_ &&
         static_cast<uint32_t>(length) <= slab_used_ - static_cast<uint32_t>(offset);
}

uint32_t Core::collect() {
  if (retry_at_ <= now) retry_listeners();
  if (tls) tls->handshakes_left = kHandshakesARound;
  emit_due();
  const uint64_t moved = sys.moved;
  uint64_t calls = sys.calls;
  uint32_t seen = 0;
  if (ready_at_ == ready_count_) {
    ready_at_ = 0;
    polled_at_ = now;
    ready_count_ = poller.wait();
    calls = ++sys.calls;
  }
  // What finds no room stays for the next round: its readiness may be stale by then, which its generation or EAGAIN
  // tell.
  for (; ready_at_ < ready_count_; ready_at_++) {
    if (ring_room() < kRingReserve || slab_room(kReadQuota) == nullptr) break;
    Ready ready = poller.ready(ready_at_);
    Slot* slot = slots.find(ready.handle);
    if (slot == nullptr || slot->state == State::closed) continue;
    seen |= ready.interest;
    if (slot->kind == Kind::listener) {
      accept_ready(*this, *slot);
    } else {
      stream_ready(*this, *slot, ready.interest);
    }
  }
  if (ready_at_ == ready_count_) shared.figures[kSeenAt] = polled_at_;
  if (ready_count_ > 0) {
    // Input that is gone when it is asked for was taken by another process that has the same socket.
    const bool fruitless = event_count_ == 0 && sys.moved == moved && ((seen & kTrouble) || sys.calls == calls);
    if (fruitless) {
      fruitless_round((seen & kTrouble) != 0);
    } else if (fruitless_ > 0) {
      fruitless_ -= std::min(fruitless_, kFruitWorth);
    }
  }
  // Connections that were found dead are told of in this batch already.
  emit_due();
  // Behind all that was read: what has come in time is delivered before a deadline is judged.
  if (shared.figure(kDeadline) <= now && ring_room() > 0) {
    shared.figures[kDeadline] = kNever;
    emit(Event::timer, 0, 0, 0, 0);
  }
  shared.words[kEventCount] = static_cast<int32_t>(event_count_);
  shared.words[kEventsRead] = 0;
  if (event_count_ > 0) {
    count(kEvents, event_count_);
    shared.figures[kBatches] = static_cast<double>(++batches);
  }
  keep_slab(0);  // what the last one asked for and did not fill
  return event_count_;
}

void Core::fruitless_round(bool in_trouble) {
  if (fruitless_ == 0 || now - fruitless_since_ > kFruitlessTime) {
    fruitless_ = 0;
    fruitless_since_ = now;
  }
  if (++fruitless_ < kMostFruitless) return;
  fruitless_ = 0;
  for (int i = 0; i < ready_count_; i++) {
    Slot* slot = slots.find(poller.ready(i).handle);
    if (slot == nullptr || slot->state == State::closed) continue;
    if (in_trouble && (poller.ready(i).interest & kTrouble) == 0) continue;
    count(kSpins);
    if (slot->kind == Kind::listener) {
      close_listener(*this, *slot, Ended::error, -EIO, Syscall::epoll_wait);
    } else {
      close_stream(*this, *slot, Ended::error, -EIO, Syscall::epoll_wait);
    }
  }
}

void Core::end_batch() {
  for (int32_t handle : released_) {
    Slot* slot = slots.find(handle);
    if (slot == nullptr) continue;
    drop_descriptor(*this, *slot);
    if (outlive(*slot)) continue;
    delete_listener(*slot);
    slots.release(*slot);
  }
  released_.clear();
  event_count_ = 0;
  slab_used_ = 0;
  shared.words[kEventCount] = 0;
  ASAN_POISON_MEMORY_REGION(shared.event_slab, kEventSlabSize);
}

bool Core::pending() const {
  return !due_.empty() || !dirty_.empty() || ready_at_ < ready_count_ || shared.word(kTicksWanted) != 0;
}

double Core::deadline() const { return std::min(shared.figure(kDeadline), retry_at_); }

void Core::emit_due() {
  if (due_.empty()) return;
  due_now_.swap(due_);
  size_t at = 0;
  for (; at < due_now_.size() && ring_room() >= kRingReserve; at++) {
    Slot* slot = slots.find(due_now_[at]);
    if (slot == nullptr) continue;
    slot->unset(kListed);
    if (!emit_due(*slot)) defer(*slot, 0);
  }
  for (; at < due_now_.size(); at++) due_.push_back(due_now_[at]);
  due_now_.clear();
}

// Returns whether all of it found room.
bool Core::emit_due(Slot& slot) {
  uint8_t due = slot.due;
  if (due & kDueListening) {
    slot.due &= static_cast<uint8_t>(~kDueListening);
    emit(Event::listening, 0, slot.handle, 0, 0);
    start_accepting(*this, slot);
  }
  if (due & kDueConnected) {
    slot.due &= static_cast<uint8_t>(~kDueConnected);
    stream_connected(*this, slot);
  }
  if (slot.due & kDueUnread) {
    if (!emit_unread(*this, slot)) return false;
  }
  if (slot.due & kDueInput) {
    slot.due &= static_cast<uint8_t>(~kDueInput);
    if (!ops(slot).due(*this, slot)) {
      slot.due |= kDueInput;
      return false;
    }
  }
  while (slot.files_sent > 0) {
    if (ring_room() < kRingReserve) return false;
    slot.files_sent--;
    emit(Event::fileSent, 0, slot.handle, 0, 0);
  }
  slot.due &= static_cast<uint8_t>(~kDueFileSent);
  if (slot.due & kDueWritable) {
    slot.due &= static_cast<uint8_t>(~kDueWritable);
    emit(Event::writable, 0, slot.handle, 0, 0);
  }
  if (slot.due & kDueClosed) {
    slot.due = 0;
    int32_t extra = static_cast<int32_t>(slot.ended) | static_cast<int32_t>(slot.syscall) << 8;
    emit(Event::closed, extra, slot.handle, slot.error, 0);
    release_after_batch(slot);
  }
  return true;
}

// Listeners without descriptors --------------------------------------------------------------------------------------

void Core::back_off(int32_t listener) {
  backed_off_.push_back(listener);
  retry_at_ = now + kAcceptRetry;
}

void Core::descriptor_closed() {
  live.descriptors--;
  if (!backed_off_.empty()) retry_at_ = 0;
}

void Core::retry_listeners() {
  retry_at_ = kNever;
  for (int32_t handle : backed_off_) {
    Slot* slot = slots.find(handle);
    if (slot != nullptr && slot->state == State::open) resume_accepting(*this, *slot);
  }
  backed_off_.clear();
}

}  // namespace em
