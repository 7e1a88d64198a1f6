// A reactor's engine on Node's loop: when it runs, and how it enters JavaScript.
//
// The poller's descriptor is watched by one uv_poll_t, so that all sockets together are one handle to libuv. A prepare
// handle sends what was written since, from wherever, and runs what is pending, before the loop blocks; an idle handle
// runs only while work is left, so that the loop does not block then.
//
// When the environment stops inside a callback (process.exit, worker.terminate), JavaScript cannot be entered any more:
// the loop notices, stops its handles and waits for the cleanup hook.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <vector>

#include "core/core.h"
#include "loop/file_reads.h"
#include "loop/napi.h"
#include "loop/rounds.h"

namespace em {

class Loop;

// What one environment (the main thread, or a worker) has of the addon; lives as long as the environment.
struct Addon {
  napi_env env = nullptr;
  uv_loop_t* uv = nullptr;
  Live* live = nullptr;
  std::vector<Loop*> loops;  // by number; null where there is none, until another takes the number
  size_t open_loops = 0;     // closed ones count until libuv has let go of them
  napi_async_cleanup_hook_handle hook = nullptr;
  bool stopping = false;

  Loop* find(int32_t id) { return id >= 0 && static_cast<size_t>(id) < loops.size() ? loops[id] : nullptr; }
};

class Loop {
 public:
  // Takes over the references. Returns null and the negative errno where the system refuses.
  static Loop* create(Addon& addon, Region& region, napi_ref dispatch, napi_ref ticks, uint32_t seed, int* error);

  Core core;
  Rounds rounds{core};
  int32_t id = -1;

  void hold_process(bool hold);
  // No JavaScript is entered from here on. Frees itself when libuv has let go of its handles.
  void close();

 private:
  Loop(Addon& addon, Region& region, napi_ref dispatch, napi_ref ticks, uint32_t seed);
  ~Loop() = default;

  void before_blocking();
  // JavaScript that this loop's prepare handle entered may have given work to a loop whose own has run already: those
  // loops get to look once more before Node's loop blocks.
  void rouse_others();
  void turn();
  void run_rounds();
  bool deliver(uint32_t events);
  bool enter(napi_ref function);
  void stop_handles();
  void arm_timer();
  static void handle_closed(uv_handle_t* handle);
  void let_go();

  Addon& addon_;
  napi_ref dispatch_ = nullptr, ticks_ = nullptr;
  uv_poll_t poll_;
  uv_prepare_t prepare_;
  uv_timer_t timer_;
  uv_idle_t idle_;
  FileReads file_reads_;
  int open_handles_ = 0;  // and the reads of files, which count as one
  double armed_ = kNever;
  int busy_polls_ = 0;  // how often polling again in the same turn found something lately
  bool in_turn_ = false;
  bool closing_ = false;
  bool dead_ = false;  // the environment takes no more calls
};

}  // namespace em
