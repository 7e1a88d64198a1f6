// The rounds of a reactor, free of Node and libuv: what takes out of the core what streams, listeners and TLS put in.
//
// One round: `flush` (what JavaScript wrote goes out), `collect` (what happened goes into the ring), JavaScript
// delivers the ring, `flush`, `end_batch`. Commands come in between and never deliver anything themselves.
//
// loop.h calls it, and owns it and the core. Nothing here fails: what fails ends the handle it concerns.
#pragma once

#include <cstdint>
#include <vector>

#include "core/core.h"

namespace em {

class Rounds {
 public:
  explicit Rounds(Core& core) : core_(core) {}
  // Frees every handle there is, without a word to JavaScript.
  ~Rounds();
  Rounds(const Rounds&) = delete;
  Rounds& operator=(const Rounds&) = delete;

  // Puts on the wire what is written, as far as the kernel takes it. The stamp is `lastWrite`'s.
  void flush() { flush(0); }
  void flush(double stamp);
  // Fills the ring; returns the number of events in it.
  uint32_t collect();
  // The ring was delivered: handles whose `closed` was in it are free again.
  void end_batch();
  // There is something to deliver or to send without the poller saying so.
  bool pending() const;
  // When the next `collect` has to be at the latest.
  double deadline() const;

 private:
  void emit_due();
  bool emit_due(Slot& slot);
  void retry_listeners();
  // A round in which nothing came of what the poller reported. Descriptors that are reported for ever are ended.
  void fruitless_round(bool in_trouble);
  void release(Slot& slot);

  Core& core_;
  std::vector<int32_t> due_now_;
  int ready_count_ = 0, ready_at_ = 0;
  double polled_at_ = 0;
  uint32_t fruitless_ = 0;
  double fruitless_since_ = 0;
};

}  // namespace em
