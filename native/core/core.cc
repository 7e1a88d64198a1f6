#include "core/core.h"

#include <errno.h>
#include <string.h>

#include <algorithm>

namespace em {

namespace {
constexpr double kAcceptRetry = 100;  // milliseconds
}  // namespace

Core::Core(Region& region, Live& counts, uint32_t seed)
    : shared(region), live(counts), sys(seed), descriptors(poller), slots(region, counts), now(monotonic_now()) {
  region.retain();
  region.figures[kDeadline] = kNever;
  ASAN_POISON_MEMORY_REGION(shared.event_slab, kEventSlabSize);
}

Core::~Core() { shared.release(); }

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
    if (slot == nullptr || offset > kOutSlabSize || length > kOutSlabSize - offset) continue;
    pieces_[absorbed_] = {offset, length, kNoPiece, 0};
    if (slot->kind == Kind::datagram) {
      const auto name = static_cast<uint32_t>(read_once(entry[3]));
      if (!takes_datagrams(*this, *slot, name)) continue;
      pieces_[absorbed_].name = name;
    } else if (length == 0 || !takes_output(*slot)) {
      continue;
    }
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

// Listeners without descriptors --------------------------------------------------------------------------------------

void Core::back_off(int32_t listener) {
  backed_off_.push_back(listener);
  retry_at_ = now + kAcceptRetry;
}

void Core::descriptor_closed() {
  live.descriptors--;
  if (!backed_off_.empty()) retry_at_ = 0;
}

}  // namespace em
