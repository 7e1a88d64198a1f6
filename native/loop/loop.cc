#include "loop/loop.h"

#include <math.h>

#include <algorithm>

namespace em {

namespace {

constexpr int kMostRounds = 8;
constexpr double kTurnTime = 1;  // milliseconds

// A small batch is polled behind only while doing so has found something lately: a connection that talks alone pays for
// one poll a message instead of two.
constexpr uint32_t kFewEvents = 4;
constexpr int kMostBusyPolls = 4;

// What process.nextTick threw ends in uncaughtException, as it does everywhere in Node. In an environment that stops
// there is nothing to report it to.
bool report_thrown(napi_env env) {
  bool is_thrown = false;
  napi_value error = nullptr;
  return napi_is_exception_pending(env, &is_thrown) == napi_ok && is_thrown &&
         napi_get_and_clear_last_exception(env, &error) == napi_ok && napi_fatal_exception(env, error) == napi_ok;
}

template <typename Handle>
Loop* loop_of(Handle* handle) {
  return static_cast<Loop*>(handle->data);
}

}  // namespace

Loop::Loop(Addon& addon, Region& region, napi_ref dispatch, napi_ref ticks, uint32_t seed)
    : core(region, *addon.live, seed),
      addon_(addon),
      dispatch_(dispatch),
      ticks_(ticks),
      file_reads_(
          addon.uv, core, [](void* loop) { static_cast<Loop*>(loop)->let_go(); }, this) {
  core.files = &file_reads_;
}

Loop* Loop::create(Addon& addon, Region& region, napi_ref dispatch, napi_ref ticks, uint32_t seed, int* error) {
  auto* loop = new Loop(addon, region, dispatch, ticks, seed);
  *error = loop->core.poller.fd() < 0 ? loop->core.poller.fd() : 0;
  if (*error == 0) *error = uv_poll_init(addon.uv, &loop->poll_, loop->core.poller.fd());
  if (*error != 0) {
    delete loop;
    return nullptr;
  }
  uv_prepare_init(addon.uv, &loop->prepare_);
  uv_timer_init(addon.uv, &loop->timer_);
  uv_idle_init(addon.uv, &loop->idle_);
  loop->open_handles_ = 4;
  loop->poll_.data = loop->prepare_.data = loop->timer_.data = loop->idle_.data = loop;
  // The poll handle alone decides whether the process stays.
  uv_unref(reinterpret_cast<uv_handle_t*>(&loop->prepare_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&loop->timer_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&loop->idle_));
  uv_poll_start(&loop->poll_, UV_READABLE, [](uv_poll_t* handle, int, int) { loop_of(handle)->turn(); });
  uv_prepare_start(&loop->prepare_, [](uv_prepare_t* handle) { loop_of(handle)->before_blocking(); });
  auto place = std::find(addon.loops.begin(), addon.loops.end(), nullptr);
  if (place == addon.loops.end()) place = addon.loops.insert(place, nullptr);
  *place = loop;
  loop->id = static_cast<int32_t>(place - addon.loops.begin());
  addon.open_loops++;
  addon.live->loops++;
  return loop;
}

void Loop::hold_process(bool hold) {
  auto* handle = reinterpret_cast<uv_handle_t*>(&poll_);
  if (hold) {
    uv_ref(handle);
  } else {
    uv_unref(handle);
  }
}

void Loop::before_blocking() {
  rounds.flush();
  if (rounds.pending() || (rounds.deadline() < armed_ && rounds.deadline() <= monotonic_now())) {
    turn();
    rouse_others();
  } else {
    uv_idle_stop(&idle_);
  }
  if (!closing_ && !dead_) arm_timer();
}

void Loop::rouse_others() {
  if (addon_.open_loops < 2) return;
  for (Loop* other : addon_.loops) {
    if (other == nullptr || other == this || other->closing_ || other->dead_) continue;
    uv_idle_start(&other->idle_, [](uv_idle_t*) {});
  }
}

void Loop::arm_timer() {
  double deadline = rounds.deadline();
  // Armed for an earlier moment it fires in vain once, which is cheaper than arming it anew for every later one.
  if (deadline >= armed_) return;
  armed_ = deadline;
  // libuv counts from the time it looked last, in whole milliseconds.
  uv_update_time(addon_.uv);
  double delay = ceil(fmax(0, deadline - monotonic_now()));
  uv_timer_start(
      &timer_,
      [](uv_timer_t* handle) {
        loop_of(handle)->armed_ = kNever;
        loop_of(handle)->turn();
      },
      delay < 1e15 ? static_cast<uint64_t>(delay) : uint64_t{1} << 50, 0);
}

void Loop::turn() {
  if (in_turn_ || closing_ || dead_) return;
  in_turn_ = true;
  run_rounds();
  in_turn_ = false;
  if (closing_ || dead_) return;
  if (rounds.pending()) {
    // `before_blocking` does the work; this only keeps the loop from blocking before it.
    uv_idle_start(&idle_, [](uv_idle_t*) {});
  } else {
    uv_idle_stop(&idle_);
  }
}

void Loop::run_rounds() {
  rounds.flush();
  core.now = monotonic_now();
  const double end = core.now + kTurnTime;
  for (int round = 0; round < kMostRounds; round++) {
    uint32_t events = rounds.collect();
    if (events > 0 && !deliver(events)) return;
    bool ticks = core.shared.word(kTicksWanted) != 0;
    if (ticks) {
      core.shared.words[kTicksWanted] = 0;
      if (!enter(ticks_) || closing_) return;
    }
    core.now = monotonic_now();
    rounds.flush(core.now);
    rounds.end_batch();
    if (round > 0) busy_polls_ = events > 0 ? std::min(busy_polls_ + 1, kMostBusyPolls) : std::max(busy_polls_ - 1, 0);
    if (events >= kFewEvents) busy_polls_ = std::max(busy_polls_, 1);
    if ((events == 0 && !ticks) || core.now > end) return;
    if (busy_polls_ == 0 && !rounds.pending()) return;
  }
}

bool Loop::deliver(uint32_t events) {
  // Delivery never throws of itself; should it, the rest of the batch is delivered nevertheless.
  const auto count = static_cast<int32_t>(events);
  int32_t read = core.shared.word(kEventsRead), before;
  do {
    before = read;
    if (!enter(dispatch_) || closing_) return false;
    read = core.shared.word(kEventsRead);
  } while (read > before && read < count);
  return true;
}

bool Loop::enter(napi_ref function) {
  napi_env env = addon_.env;
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return false;
  napi_value callee = nullptr, receiver = nullptr;
  // A fresh receiver each time: it is the resource of the async context, and what one batch stores there is not for
  // the next.
  if (napi_get_reference_value(env, function, &callee) != napi_ok || callee == nullptr ||
      napi_create_object(env, &receiver) != napi_ok ||
      (napi_make_callback(env, nullptr, receiver, callee, 0, nullptr, nullptr) != napi_ok && !report_thrown(env))) {
    dead_ = true;
  }
  best_effort(napi_close_handle_scope(env, scope));
  if (dead_ && !closing_) stop_handles();
  return !dead_;
}

void Loop::stop_handles() {
  uv_poll_stop(&poll_);
  uv_prepare_stop(&prepare_);
  uv_timer_stop(&timer_);
  uv_idle_stop(&idle_);
}

void Loop::close() {
  if (closing_) return;
  closing_ = true;
  addon_.loops[static_cast<size_t>(id)] = nullptr;
  best_effort(napi_delete_reference(addon_.env, dispatch_));
  best_effort(napi_delete_reference(addon_.env, ticks_));
  if (file_reads_.stop()) open_handles_++;
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), handle_closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&prepare_), handle_closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), handle_closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle_), handle_closed);
}

void Loop::handle_closed(uv_handle_t* handle) { loop_of(handle)->let_go(); }

void Loop::let_go() {
  if (--open_handles_ > 0) return;
  Addon& addon = addon_;
  delete this;
  addon.live->loops--;
  if (--addon.open_loops > 0 || !addon.stopping) return;
  // The environment may go, and `addon` with it.
  best_effort(napi_remove_async_cleanup_hook(addon.hook));
}

}  // namespace em
