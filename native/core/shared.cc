#include "core/shared.h"

#include <sys/mman.h>

namespace em {

namespace {
constexpr size_t kTotalSize = kControlSize + kEventSlabSize + kOutSlabSize + kArenaSize;
}  // namespace

Region* Region::create(Live& live) {
  // The tables are for the most handles there can be; pages that are never touched cost nothing.
  void* memory = mmap(nullptr, kTotalSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* region = new Region(live);
  live.retain();
  live.regions++;
  region->control = static_cast<uint8_t*>(memory);
  region->event_slab = region->control + kControlSize;
  region->out_slab = region->event_slab + kEventSlabSize;
  region->arena = region->out_slab + kOutSlabSize;
  region->words = reinterpret_cast<int32_t*>(region->control);
  region->figures = reinterpret_cast<double*>(region->control);
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
