#include "net/relay.h"

#include <algorithm>
#include <memory>
#include <unordered_map>

#include "net/pipe_pool.h"
#include "net/stream.h"
#include "net/stream_ends.h"
#include "net/stream_io.h"
#include "net/stream_ops.h"

namespace em {

// Below this a copy costs less than two splices and a pipe.
constexpr size_t kWorthSplicing = 16 * 1024;
// So many large reads, one after the other, are bulk.
constexpr uint32_t kBulk = 2;
// The most of a source that is spliced in one round.
constexpr int64_t kSpliceQuota = 256 * 1024;

struct Relay {
  int32_t from, to;  // kNoHandle where there is none any more
  uint32_t most;     // bytes that may wait in `to`
  double left;       // of the length
  double passed = 0;
  uint32_t large = 0;  // reads worth splicing, one after the other
  bool splices = true;
  Pipe pipe = {};
  uint32_t piped = 0;  // bytes in it
};

// Of a target there is one relay at most, as of a source: streams of bytes do not mix.
struct RelayCore {
  explicit RelayCore(Live& live) : pipes(live) {}
  std::unordered_map<int32_t, Relay> by_source;
  std::unordered_map<int32_t, int32_t> source_of;  // by target
  PipePool pipes;
};

namespace {

Relay* find_relay(const Core& core, const Slot& from) {
  return from.has(kHasRelay) ? &core.relays->by_source.find(from.handle)->second : nullptr;
}

Relay* relay_into(const Core& core, const Slot& to) {
  if (!to.has(kRelayed)) return nullptr;
  auto found = core.relays->source_of.find(to.handle);
  return &core.relays->by_source.find(found->second)->second;
}

Slot* open_target(Core& core, const Relay& relay) {
  Slot* to = core.slots.find(relay.to);
  return to != nullptr && to->state == State::open && takes_output(*to) ? to : nullptr;
}

double waiting(const Core& core, const Slot& to) { return core.shared.outbound[to.index()]; }

// Bytes in the pipe are output of the target as those in its queue are: not with the kernel yet.
void count_waiting(Core& core, const Slot& to, double bytes) {
  core.shared.outbound[to.index()] += bytes;
  core.count(kTotalOutbound, bytes);
}

void stop_reading(Core& core, Slot& from) {
  from.unset(kWantIn);
  update_interest(core, from);
}

void read_again(Core& core, Slot& from) {
  if (from.state != State::open || from.has(kPeerFin | kEndDelivered | kFinishing | kDetaching)) return;
  if (is_paused(core, from)) {
    core.shared.flags[from.index()] |= kNeedsResume;
    return;
  }
  if (!ops(from).read_on(core, from)) return;
  from.set(kWantIn);
  from.unset(kParked);
  update_interest(core, from);
}

void block(Core& core, Slot& from, Slot& to) {
  to.set(kAwaited);
  stop_reading(core, from);
}

void give_back_pipe(Core& core, Relay& relay) {
  if (relay.pipe) core.relays->pipes.give_back(relay.pipe);
  relay.pipe = {};
}

// What is in the pipe goes on as any output. The pipe is empty afterwards, or gone with a target that is.
void empty_pipe(Core& core, Relay& relay) {
  if (relay.piped == 0) return give_back_pipe(core, relay);
  Slot* to = core.slots.find(relay.to);
  if (to != nullptr) to->unset(kPiped);
  if (to == nullptr || to->state != State::open || to->has(kFailed)) {
    core.relays->pipes.discard(relay.pipe);
    relay.pipe = {};
    relay.piped = 0;
    return;
  }
  auto bytes = std::make_unique<uint8_t[]>(relay.piped);
  size_t filled = 0;
  while (filled < relay.piped) {
    const ssize_t got = read(relay.pipe.read_end, bytes.get() + filled, relay.piped - filled);
    if (got <= 0) break;  // nobody else has it: there is as much as went in
    filled += static_cast<size_t>(got);
  }
  relay.piped = 0;
  give_back_pipe(core, relay);
  to->queue.append(bytes.get(), filled, core.live);
  update_interest(core, *to);
}

// The relay is no more; its source is not read until somebody says so.
void drop(Core& core, Relay& relay) {
  empty_pipe(core, relay);
  Slot *from = core.slots.find(relay.from), *to = core.slots.find(relay.to);
  if (from != nullptr) from->unset(kRelays);
  if (to != nullptr) to->unset(kRelayed | kAwaited);
  core.relays->source_of.erase(relay.to);
  relay.to = kNoHandle;
}

void length_passed(Core& core, Slot& from, Relay& relay) {
  drop(core, relay);
  core.emit(Event::relayed, 0, from.handle, 0, 0);
}

// Whether what comes next of the source may go through a pipe: nothing of the target's output waits before it.
bool may_splice(Core& core, Relay& relay, const Slot& from, const Slot& to) {
  if (!relay.splices || from.has(kTls) || to.has(kTls)) return false;
  if (relay.piped > 0) return true;
  if (relay.large < kBulk || has_output(to)) return false;
  if (!relay.pipe) relay.pipe = core.relays->pipes.take();
  if (!relay.pipe) relay.large = 0;
  return static_cast<bool>(relay.pipe);
}

// Returns what the kernel did of it: bytes, or a negative errno.
ssize_t fill_pipe(Core& core, Relay& relay, Slot& from, const Slot& to) {
  const uint32_t room = std::min(relay.pipe.size, relay.most) - relay.piped;
  const auto most = static_cast<size_t>(std::min<double>(relay.left, room));
  const ssize_t got = core.sys.splice_in(from.fd, relay.pipe.write_end, most);
  if (got <= 0) return got;
  relay.piped += static_cast<uint32_t>(got);
  count_waiting(core, to, static_cast<double>(got));
  relay.passed += static_cast<double>(got);
  relay.left -= static_cast<double>(got);
  core.count(kBytesIn, static_cast<double>(got));
  from.last_read = core.now;
  return got;
}

// Sends what is in the pipe. False where the target takes no more for now, or never again.
bool drain_pipe(Core& core, Relay& relay, Slot& to) {
  while (relay.piped > 0) {
    const ssize_t took = core.sys.splice_out(relay.pipe.read_end, to.fd, relay.piped);
    if (took < 0) {
      to.set(kPiped);
      if (is_transient(took)) {
        update_interest(core, to);
      } else {
        fail_stream(core, to, static_cast<int32_t>(took), Syscall::write);
        if (to.has(kFailed)) empty_pipe(core, relay);
      }
      return false;
    }
    relay.piped -= static_cast<uint32_t>(took);
    count_waiting(core, to, -static_cast<double>(took));
    core.count(kBytesOut, static_cast<double>(took));
    to.last_write = core.now;
  }
  return true;
}

void splice_on(Core& core, Slot& from, Slot& to, Relay& relay) {
  for (int64_t quota = kSpliceQuota; quota > 0;) {
    const ssize_t got = fill_pipe(core, relay, from, to);
    if (got == -EINVAL && relay.piped == 0) {
      relay.splices = false;  // not between these two
      return give_back_pipe(core, relay);
    }
    if (got > 0) quota -= got;
    if (relay.piped > 0 && !drain_pipe(core, relay, to)) {
      // What is left in the pipe of a length that has passed goes on as any output.
      if (relay.left == 0 && relay.to != kNoHandle) return length_passed(core, from, relay);
      if (from.state == State::open && to.state == State::open) block(core, from, to);
      return;
    }
    if (relay.left == 0) return length_passed(core, from, relay);
    if (got > 0) {
      if (static_cast<size_t>(got) >= kWorthSplicing) continue;
      relay.large = 0;
      return give_back_pipe(core, relay);
    }
    give_back_pipe(core, relay);
    if (got == 0) return peer_ended(core, from);
    if (!is_transient(got)) read_failed(core, from, static_cast<int32_t>(got));
    return;
  }
  give_back_pipe(core, relay);
}

}  // namespace

// Commands -----------------------------------------------------------------------------------------------------------

bool start_relay(Core& core, Slot& from, Slot& to, uint32_t most, double length) {
  if (&from == &to || from.state != State::open || to.state != State::open) return false;
  if (from.has(kFile) || to.has(kFile)) return false;
  if (from.has(kRelays | kFinishing | kDetaching | kFailed) || to.has(kRelayed) || !takes_output(to)) return false;
  if (from.unread != nullptr || is_muted(core, from) || most == 0 || !(length > 0)) return false;
  if (core.relays == nullptr) core.relays = std::make_shared<RelayCore>(core.live);
  core.relays->by_source.insert_or_assign(from.handle, Relay{from.handle, to.handle, most, length});
  core.relays->source_of.emplace(to.handle, from.handle);
  from.set(kRelays | kHasRelay);
  to.set(kRelayed);
  return true;
}

void stop_relay(Core& core, Slot& from) {
  if (!from.has(kRelays)) return;
  drop(core, *find_relay(core, from));
  read_again(core, from);
}

double relayed_bytes(const Core& core, const Slot& from) {
  const Relay* relay = find_relay(core, from);
  return relay == nullptr ? 0 : relay->passed;
}

// Input --------------------------------------------------------------------------------------------------------------

size_t relay_room(Core& core, Slot& from) {
  Relay* relay = find_relay(core, from);
  Slot* to = relay == nullptr ? nullptr : open_target(core, *relay);
  if (to == nullptr) {
    stop_reading(core, from);
    return 0;
  }
  const double room = relay->most - waiting(core, *to);
  if (room > 0) return static_cast<size_t>(std::min(relay->left, room));
  block(core, from, *to);
  return 0;
}

size_t pass_on(Core& core, Slot& from, const uint8_t* data, size_t length) {
  Relay* relay = find_relay(core, from);
  Slot* to = relay == nullptr ? nullptr : open_target(core, *relay);
  if (to == nullptr) return 0;
  const auto part = static_cast<size_t>(std::min<double>(relay->left, static_cast<double>(length)));
  relay->passed += static_cast<double>(part);
  relay->left -= static_cast<double>(part);
  relay->large = part >= kWorthSplicing ? relay->large + 1 : 0;
  write_stream(core, *to, data, part);
  if (!from.has(kRelays) || relay->to == kNoHandle) return part;
  if (relay->left == 0) {
    length_passed(core, from, *relay);
  } else if (waiting(core, *to) >= relay->most) {
    block(core, from, *to);
  }
  return part;
}

void relay_ready(Core& core, Slot& from) {
  from.unset(kSkipRead);
  Relay* relay = find_relay(core, from);
  Slot* to = relay == nullptr ? nullptr : open_target(core, *relay);
  if (to != nullptr && may_splice(core, *relay, from, *to)) {
    if (relay->piped == 0) return splice_on(core, from, *to, *relay);
    return block(core, from, *to);
  }
  const size_t asked = std::min<size_t>(relay_room(core, from), kReadQuota);
  if (asked == 0) return;
  uint8_t* room = core.slab_room(kReadQuota);
  const ssize_t got = core.sys.recv(from.fd, room, asked);
  if (got > 0) {
    core.count(kBytesIn, static_cast<double>(got));
    from.last_read = core.now;
    pass_on(core, from, room, static_cast<size_t>(got));
    core.keep_slab(0);
    return;
  }
  core.keep_slab(0);
  if (got == 0) return peer_ended(core, from);
  if (from.has(kFailed) || !is_transient(got)) read_failed(core, from, static_cast<int32_t>(got));
}

// Output -------------------------------------------------------------------------------------------------------------

void send_piped(Core& core, Slot& to) {
  Relay* relay = relay_into(core, to);
  if (relay == nullptr || !drain_pipe(core, *relay, to)) return;
  to.unset(kPiped);
  give_back_pipe(core, *relay);
  update_interest(core, to);
  if (to.state == State::open && to.has(kAfterOutput)) after_output(core, to);
}

void unsplice(Core& core, Slot& to) {
  if (to.has(kPiped)) empty_pipe(core, *relay_into(core, to));
}

void relay_drained(Core& core, Slot& to) {
  Relay* relay = relay_into(core, to);
  if (relay == nullptr || relay->piped > 0 || waiting(core, to) > relay->most / 2) return;
  to.unset(kAwaited);
  Slot* from = core.slots.find(relay->from);
  if (from != nullptr) read_again(core, *from);
}

// Ends ---------------------------------------------------------------------------------------------------------------

void forget_relay(Core& core, const Slot& from) {
  auto found = core.relays->by_source.find(from.handle);
  // Where the whole loop ends, a relay may be in the middle of it.
  if (found->second.pipe) core.relays->pipes.discard(found->second.pipe);
  core.relays->by_source.erase(found);
}

void leave_relays(Core& core, Slot& slot) {
  if (slot.has(kRelays)) drop(core, *find_relay(core, slot));
  Relay* into = relay_into(core, slot);
  if (into == nullptr) return;
  // The source stays one, of nothing: what it receives is nobody's before the program has heard of this.
  Slot* from = core.slots.find(into->from);
  empty_pipe(core, *into);
  core.relays->source_of.erase(slot.handle);
  slot.unset(kRelayed | kAwaited);
  into->to = kNoHandle;
  if (from != nullptr && from->state == State::open) stop_reading(core, *from);
}

}  // namespace em
