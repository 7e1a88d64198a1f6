#include "shared.h"

#include <sys/mman.h>

namespace em {

namespace {
constexpr size_t kHeaderSize = 4096;
constexpr size_t kEventsAt = kHeaderSize;
constexpr size_t kPiecesAt = kEventsAt + kMaxEvents * 16;
constexpr size_t kOutboundAt = kPiecesAt + kMaxPieces * 16;
constexpr size_t kHandlesAt = kOutboundAt + kMaxSlots * sizeof(double);
constexpr size_t kFlagsAt = kHandlesAt + kMaxSlots * sizeof(int32_t);
constexpr size_t kControlEnd = kFlagsAt + kMaxSlots;
constexpr size_t kTotalSize = kControlEnd + kEventSlabSize + kOutSlabSize;
}  // namespace

const size_t Region::kControlSize = kControlEnd;

Region* Region::create(Live& live) {
  // The tables are for the most handles there can be; pages that are never touched cost nothing.
  void* memory = mmap(nullptr, kTotalSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* region = new Region(live);
  live.retain();
  live.regions++;
  region->control = static_cast<uint8_t*>(memory);
  region->event_slab = region->control + kControlEnd;
  region->out_slab = region->event_slab + kEventSlabSize;
  region->words = reinterpret_cast<int32_t*>(region->control);
  region->numbers = reinterpret_cast<double*>(region->control);
  region->events = reinterpret_cast<int32_t*>(region->control + kEventsAt);
  region->pieces = reinterpret_cast<int32_t*>(region->control + kPiecesAt);
  region->outbound = reinterpret_cast<double*>(region->control + kOutboundAt);
  region->handles = reinterpret_cast<int32_t*>(region->control + kHandlesAt);
  region->flags = region->control + kFlagsAt;
  return region;
}

void Region::release() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  ASAN_UNPOISON_MEMORY_REGION(control, kTotalSize);
  munmap(control, kTotalSize);
  live_.regions--;
  live_.release();
  delete this;
}

}  // namespace em
