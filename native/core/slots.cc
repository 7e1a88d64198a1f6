#include "core/slots.h"

#include <stdlib.h>

namespace em {

namespace {
constexpr int32_t kGenerationMask = (1 << 11) - 1;
// The first of the queue waits until so many others are behind it.
constexpr size_t kLeastFree = 64;
}  // namespace

Slots::~Slots() {
  for (Slot* chunk : chunks_) delete[] chunk;
}

Slot* Slots::allocate(Kind kind) {
  uint32_t index;
  int32_t generation = 1;  // no first handle is 0, which is what an untouched table holds
  if (free_.size() > kLeastFree || (used_ == kMaxSlots && !free_.empty())) {
    index = free_.front();
    free_.pop_front();
    generation = ((at(index).handle >> kIndexBits) + 1) & kGenerationMask;
  } else {
    if (used_ == kMaxSlots) return nullptr;
    index = used_;
    Slot*& chunk = chunks_[index >> kChunkBits];
    if (chunk == nullptr) chunk = new Slot[kChunkSize];
    used_++;
  }
  Slot& slot = at(index);
  slot = Slot();
  slot.kind = kind;
  slot.handle = (generation << kIndexBits) | static_cast<int32_t>(index);
  region_.handles[index] = slot.handle;
  region_.flags[index] = 0;
  region_.outbound[index] = 0;
  live_.handles++;
  return &slot;
}

void Slots::release(Slot& slot) {
  uint32_t index = slot.index();
  slot.queue.clear(live_);
  if (slot.unread != nullptr) {
    free(slot.unread);
    live_.unread--;
  }
  delete slot.saved;
  int32_t handle = slot.handle;
  slot = Slot();
  slot.handle = handle;  // remembers the generation
  region_.handles[index] = kNoHandle;
  region_.flags[index] = kMuted | kNoWrite;
  region_.outbound[index] = 0;
  free_.push_back(index);
  live_.handles--;
}

}  // namespace em
