// The memory the core shares with JavaScript, laid out as layout.h says.
//
// JavaScript reads events from it, writes outgoing bytes into it, and answers small questions from it without a call.
// Nothing read from it is trusted with memory: offsets, lengths and handles are checked before use.
//
// The memory stays mapped until the loop and every ArrayBuffer over it are gone: a program may keep a borrowed view for
// ever, and reading it must not crash.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/layout.h"
#include "core/live.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

namespace em {

constexpr int32_t kIndexMask = kMaxSlots - 1;
constexpr int32_t kNoHandle = -1;
constexpr size_t kArenaSize = (size_t{kMaxPlaces} * kPlaceSize + 4095) & ~size_t{4095};

// Shared memory is read once, into a local, then checked, then used: the compiler may not look again.
template <typename T>
T read_once(const T& shared) {
  return *static_cast<const volatile T*>(&shared);
}

class Region {
 public:
  // Null where the system has no memory to map.
  static Region* create(Live& live);

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release();

  uint8_t* control = nullptr;  // header, rings and tables
  uint8_t* event_slab = nullptr;
  uint8_t* out_slab = nullptr;
  uint8_t* arena = nullptr;  // where datagrams are received

  int32_t* words = nullptr;
  double* figures = nullptr;
  int32_t* events = nullptr;
  int32_t* pieces = nullptr;
  double* outbound = nullptr;  // by slot: bytes queued
  int32_t* handles = nullptr;  // by slot: the living handle
  uint8_t* flags = nullptr;    // by slot

  int32_t word(Word at) const { return read_once(words[at]); }
  double figure(Figure at) const { return read_once(figures[at]); }

 private:
  explicit Region(Live& live) : live_(live) {}

  Live& live_;
  std::atomic<int> references_ = 1;
};

}  // namespace em
