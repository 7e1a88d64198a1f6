// The memory the core shares with JavaScript, and its layout. src/engine/native/ring.ts states the same numbers.
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

#include "live.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

namespace em {

constexpr uint32_t kIndexBits = 20;
constexpr uint32_t kMaxSlots = 1u << kIndexBits;
constexpr int32_t kIndexMask = kMaxSlots - 1;
constexpr int32_t kNoHandle = -1;

constexpr uint32_t kMaxEvents = 4096;            // of 4 int32 each
constexpr uint32_t kMaxPieces = 4096;            // of 4 int32 each: handle, offset, length, unused
constexpr uint32_t kEventSlabSize = 512 * 1024;  // bytes read, lent to JavaScript for one batch
constexpr uint32_t kOutSlabSize = 256 * 1024;    // bytes written by JavaScript, until the flush
constexpr uint32_t kReadQuota = 64 * 1024;

// Words of the header: int32 first, then doubles from byte 64 on.
enum Word : uint32_t {
  kEventCount,   // events in the ring
  kPieceCount,   // pieces in the out ring
  kOutUsed,      // bytes in the out slab
  kAbsorbed,     // pieces already taken over: JavaScript may extend none of them
  kTicksWanted,  // JavaScript asked for `ticks`
  kAddressFamily,
  kAddressPort,
  kEventsRead,  // events JavaScript has begun to deliver
};
enum Number : uint32_t {
  kDeadline = 8,  // milliseconds of CLOCK_MONOTONIC
  kTotalOutbound,
  kAccepted,
  kConnected,
  kBytesIn,
  kBytesOut,
  kEvents,
  kBatches,
  kSystemCalls,
  kDropped,  // newcomers closed because a listener was full
  kSeenAt,   // what had come by then has been read; milliseconds of CLOCK_MONOTONIC
  kSpins,    // handles ended because they were ready for ever, with nothing to do
};

// Bits of a handle's flag byte.
enum Flag : uint8_t {
  kPaused = 1,
  kNeedsResume = 2,  // the core stopped reading or holds bytes: `resume` has to be called
  kMuted = 4,        // no input and no `writable` may follow
  kNoWrite = 8,      // output has ended
  kSilent = 16,      // nothing at all but `closed` may follow, not even `fileSent`
};

enum class Event : int32_t {
  listening = 1,
  accepted,       // | port << 16, handle, listener, IPv4 address
  acceptedOther,  // the peer's address has to be asked for
  connected,
  data,  // handle, offset, length
  fin,   // the peer's FIN was read; `settle` decides what it means at the moment of delivery
  writable,
  fileSent,
  closed,  // | ended << 8 | syscall << 16, handle, errno
  timer,
  secured,
  tlsServerName,  // handle, offset, length; so are the next three
  tlsVerify,
  tlsSession,
  tlsKeyLog,
};

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
  static const size_t kControlSize;
  uint8_t* event_slab = nullptr;
  uint8_t* out_slab = nullptr;

  int32_t* words = nullptr;
  double* numbers = nullptr;
  int32_t* events = nullptr;
  int32_t* pieces = nullptr;
  double* outbound = nullptr;  // by slot: bytes queued
  int32_t* handles = nullptr;  // by slot: the living handle
  uint8_t* flags = nullptr;    // by slot

  int32_t word(Word at) const { return read_once(words[at]); }
  double number(Number at) const { return read_once(numbers[at]); }

 private:
  explicit Region(Live& live) : live_(live) {}

  Live& live_;
  std::atomic<int> references_ = 1;
};

}  // namespace em
