// A connection under TLS in the rounds of its loop: what it reads, and what the program hears of it; and the table of
// its operations.
//
// Nothing here calls the program: what it is to hear goes into the ring within `collect`, by `ready` and `due`.
#include <string.h>

#include <algorithm>

#include "net/relay.h"
#include "net/socket.h"
#include "net/stream_ends.h"
#include "net/stream_io.h"
#include "net/stream_ops.h"
#include "tls/tls_core.h"
#include "tls/tls_ends.h"
#include "tls/tls_handshake.h"
#include "tls/tls_output.h"
#include "tls/tls_wire.h"

namespace em {

namespace {

constexpr const char* kUnread = "the peer does not read the answers it asks for";
constexpr const char* kFlood = "the peer changes its keys again and again";
constexpr int kLastReads = 4;      // a peer that is gone says nothing more: one of them finds what it said
constexpr uint32_t kRingLeft = 8;  // for what follows upon the reports

// Returns whether all of it found room.
bool emit_reports(Core& core, Slot& slot) {
  TlsConnection& tls = *slot.tls;
  size_t at = 0;
  bool room = true;
  for (; at < tls.reports.size(); at++) {
    const TlsConnection::Report& report = tls.reports[at];
    const bool asks = report.event == Event::tlsServerName || report.event == Event::tlsVerify;
    // A connection that is closing still needs its answers, if there is something to be sent first.
    if (is_muted(core, slot) && !asks) continue;
    uint8_t* to = core.ring_room() > kRingLeft ? core.slab_room(report.bytes.size()) : nullptr;
    room = to != nullptr;
    if (!room) break;
    memcpy(to, report.bytes.data(), report.bytes.size());
    const auto size = static_cast<int32_t>(report.bytes.size());
    core.emit(report.event, 0, slot.handle, core.keep_slab(report.bytes.size()), size);
  }
  tls.reports.erase(tls.reports.begin(), tls.reports.begin() + static_cast<ptrdiff_t>(at));
  if (tls.reports.empty()) tls.reports.shrink_to_fit();
  return room;
}

// OpenSSL has been asked for input until `error`.
void input_taken(Core& core, Slot& slot, int error, bool was_ended) {
  TlsConnection& tls = *slot.tls;
  if (tls.has_message_callback) {
    tls.has_message_callback = false;
    SSL_set_msg_callback(tls.ssl, nullptr);
  }
  if (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL) return tls_failed(core, slot);
  if (tls.is_flooded) return tls_fail(core, slot, TlsError::protocol, kFlood);
  if (error == SSL_ERROR_ZERO_RETURN) tls.peer_closed = true;
  tls_send_wire(tls);
  if (tls.wire_in - tls.wire_out > kMostAnswers) return tls_fail(core, slot, TlsError::protocol, kUnread);
  if (!tls.reports.empty()) core.defer(slot, kDueInput);
  if (tls.needs_input) {
    tls.needs_input = false;
    core.mark_dirty(slot);
  }
  if (slot.state != State::open) return;
  if (tls.read_error != 0) {
    read_failed(core, slot, tls.read_error);
  } else if (!was_ended && tls.ended_by_peer()) {
    peer_ended(core, slot);
  }
}

// The input of a relay's source: what is whole goes on record by record, so that nothing waits here which OpenSSL, or
// the wire of another connection, would be in the way of.
void receive_for_relay(Core& core, Slot& slot, uint32_t may_read) {
  TlsConnection& tls = *slot.tls;
  const bool was_ended = tls.ended_by_peer();
  tls.may_read = may_read;
  tls.kernel_empty = false;
  int error = SSL_ERROR_NONE;
  for (size_t passed = 0; passed < kReadQuota;) {
    const size_t most = std::min<size_t>(relay_room(core, slot), kReadQuota);
    if (most == 0 || slot.state != State::open) return;
    tls_begin(tls, core.now);
    uint8_t* room = core.slab_room(kReadQuota);
    size_t got = 0;
    const int result = SSL_read_ex(tls.ssl, room, most, &got);
    if (result != 1) {
      core.keep_slab(0);
      error = SSL_get_error(tls.ssl, result);
      break;
    }
    tls_send_wire(tls);
    core.count(kBytesIn, static_cast<double>(got));
    passed += got;
    if (slot.state == State::open) pass_on(core, slot, room, got);
    core.keep_slab(0);
    if (slot.state != State::open) return;
    if (!slot.has(kRelays)) break;
    if ((tls.kernel_empty || tls.may_read == 0) && !SSL_has_pending(tls.ssl)) break;
  }
  input_taken(core, slot, error, was_ended);
  if (slot.state == State::open && SSL_has_pending(tls.ssl)) core.defer(slot, kDueInput);
}

// Reads what the kernel has, up to `may_read`, and gives the program what is whole of it. There is room in the slab.
void receive(Core& core, Slot& slot, uint32_t may_read) {
  TlsConnection& tls = *slot.tls;
  if (slot.has(kRelays) && !slot.has(kFinishing)) return receive_for_relay(core, slot, may_read);
  // One data event a batch: a second one could overtake the first, should that be held and resumed in between.
  if (tls.data_batch == core.batches + 1) return core.defer(slot, kDueInput);
  const bool was_ended = tls.ended_by_peer();
  tls_begin(tls, core.now);
  tls.may_read = may_read;
  tls.kernel_empty = false;
  uint8_t* room = core.slab_room(kReadQuota);
  size_t filled = 0;
  int error = SSL_ERROR_NONE;
  while (filled < kReadQuota) {
    size_t got = 0;
    const int result = SSL_read_ex(tls.ssl, room + filled, kReadQuota - filled, &got);
    if (result != 1) {
      error = SSL_get_error(tls.ssl, result);
      break;
    }
    filled += got;
    if ((tls.kernel_empty || tls.may_read == 0) && !SSL_has_pending(tls.ssl)) break;
  }
  const bool discards = slot.has(kFinishing);
  if (filled > 0) core.count(kBytesIn, static_cast<double>(filled));
  if (filled > 0 && !discards) {
    core.emit(Event::data, 0, slot.handle, core.keep_slab(filled), static_cast<int32_t>(filled));
    tls.data_batch = core.batches + 1;
  } else {
    core.keep_slab(0);
  }
  input_taken(core, slot, error, was_ended);
}

// What is not being read may be a refusal of ours that came before the peer was gone, and says more than that it is.
void look_once_more(Core& core, Slot& slot) {
  TlsConnection& tls = *slot.tls;
  for (int i = 0; i < kLastReads && slot.state == State::open; i++) {
    if (tls.phase == TlsConnection::Phase::handshake && tls.awaits == TlsConnection::Awaits::nothing) {
      handshake_ready(core, slot);
    } else if (tls.is_secured() && !tls.ended_by_peer()) {
      receive(core, slot, kMayRead);
    }
  }
}

// Closing and no handshake: input means nothing but its end.
void discard(Core& core, Slot& slot) {
  const ssize_t got = core.sys.recv(slot.fd, core.slab_room(kReadQuota), kReadQuota);
  core.keep_slab(0);
  if (got > 0) {
    slot.last_read = core.now;
  } else if (got == 0) {
    slot.tls->fin = true;
    peer_ended(core, slot);
  } else if (!is_transient(got)) {
    read_failed(core, slot, static_cast<int32_t>(got));
  }
}

// The program is asked something; what the peer says meanwhile waits in the kernel, unless it says that it is gone.
void watch_suspended(Core& core, Slot& slot, uint32_t interest) {
  uint8_t byte;
  const ssize_t seen = core.sys.peek(slot.fd, &byte, sizeof byte);
  if (seen == 0) {
    tls_fail(core, slot, TlsError::handshake, kEndedEarly);
  } else if (seen > 0) {
    slot.unset(kWantIn);
    hung_up(core, slot, interest);
  } else if (!is_transient(seen)) {
    close_stream(core, slot, Ended::error, static_cast<int32_t>(seen), Syscall::read);
  }
}

void input_ready(Core& core, Slot& slot, uint32_t interest) {
  TlsConnection& tls = *slot.tls;
  if (!slot.has(kWantIn)) return hung_up(core, slot, interest);
  if (slot.has(kSkipRead)) return slot.unset(kSkipRead);
  switch (tls.phase) {
    case TlsConnection::Phase::handshake:
      if (tls.awaits != TlsConnection::Awaits::nothing) return watch_suspended(core, slot, interest);
      // Level-triggered: it is ready again in the next round.
      if (core.tls->handshakes_left == 0) return;
      core.tls->handshakes_left--;
      handshake_ready(core, slot);
      if (slot.state == State::open && !emit_reports(core, slot)) core.defer(slot, kDueInput);
      return;
    case TlsConnection::Phase::secured:
      if (is_paused(core, slot) && !slot.has(kFinishing)) {
        core.shared.flags[slot.index()] |= kNeedsResume;
        slot.unset(kWantIn);
        return hung_up(core, slot, interest);
      }
      return receive(core, slot, kMayRead);
    case TlsConnection::Phase::abandoned:
      return discard(core, slot);
    case TlsConnection::Phase::failed:
      return;
  }
}

void ready(Core& core, Slot& slot, uint32_t interest) {
  if (interest & ~kOut) input_ready(core, slot, interest);
  if (slot.state != State::open || (interest & kOut) == 0) return;
  if (slot.queue.empty() || write_queue(core, slot, core.now)) tls_flush(core, slot, core.now);
}

bool due(Core& core, Slot& slot) {
  TlsConnection& tls = *slot.tls;
  if (slot.state != State::open) return true;
  if (!emit_reports(core, slot)) return false;
  if (core.slab_room(kReadQuota) == nullptr) return false;
  core.keep_slab(0);
  if (tls.write_error != 0 && !slot.has(kFailed)) {
    if (!is_reading(core, slot)) look_once_more(core, slot);
    if (slot.state == State::open) fail_stream(core, slot, tls.write_error, Syscall::write);
    if (slot.state != State::open) return true;
  }
  if (tls.phase == TlsConnection::Phase::handshake) {
    if (tls.awaits != TlsConnection::Awaits::nothing) return true;
    if (core.tls->handshakes_left <= kAnswersARound) return false;
    core.tls->handshakes_left--;
    handshake_due(core, slot);
    return slot.state != State::open || emit_reports(core, slot);
  }
  if (!tls.is_secured()) return true;
  if (is_paused(core, slot) && !slot.has(kFinishing)) {
    core.shared.flags[slot.index()] |= kNeedsResume;
    return true;
  }
  if (slot.unread != nullptr) return true;  // comes first, and then here again
  if (tls.ended_by_peer()) {
    if (!slot.has(kEndDelivered) && !slot.has(kPeerFin)) peer_ended(core, slot);
  } else if (SSL_has_pending(tls.ssl)) {
    receive(core, slot, 0);
  }
  return true;
}

bool read_on(Core& core, Slot& slot) {
  TlsConnection& tls = *slot.tls;
  if (!tls.is_secured()) return true;
  if (tls.ended_by_peer() || SSL_has_pending(tls.ssl)) core.defer(slot, kDueInput);
  return !tls.ended_by_peer();
}

bool held_delivered(Core& core, Slot& slot) {
  slot.tls->data_batch = core.batches + 1;
  return read_on(core, slot);
}

}  // namespace

constexpr StreamOps kTlsOps = {
    .ready = ready,
    .due = due,
    .read_on = read_on,
    .held_delivered = held_delivered,
    .flush = tls_flush,
    .write = tls_write,
    .append_file = tls_append_file,
    .has_more_output = tls_has_plain,
    .wants_out = tls_wants_out,
    .send_pieces = send_to_socket,
    .queue_sent = tls_sent,
    .write_failed = tls_write_failed,
    .keeps_end = true,
    .can_detach = false,
    .may_settle = tls_may_settle,
    .output_done = tls_output_done,
    .end_output = end_socket,
    .pending_error = socket_error,
    .finish = tls_finish,
    .abort = tls_abort,
    .closed = tls_closed,
    .release = [](Slot& slot) { delete slot.tls; },
};

}  // namespace em
