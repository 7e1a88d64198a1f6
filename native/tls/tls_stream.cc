#include "tls/tls_stream.h"

#include <string.h>

#include "net/stream_io.h"
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
constexpr uint32_t kRingLeft = 8;  // for what follows upon the news

// Returns whether all of it found room.
bool emit_news(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  size_t at = 0;
  bool room = true;
  for (; at < session.news.size(); at++) {
    const TlsSession::News& news = session.news[at];
    const bool asks = news.event == Event::tlsServerName || news.event == Event::tlsVerify;
    // A connection that is closing still needs its answers, if there is something to be sent first.
    if (is_muted(core, slot) && !asks) continue;
    uint8_t* to = core.ring_room() > kRingLeft ? core.slab_room(news.bytes.size()) : nullptr;
    room = to != nullptr;
    if (!room) break;
    memcpy(to, news.bytes.data(), news.bytes.size());
    const auto size = static_cast<int32_t>(news.bytes.size());
    core.emit(news.event, 0, slot.handle, core.keep_slab(news.bytes.size()), size);
  }
  session.news.erase(session.news.begin(), session.news.begin() + static_cast<ptrdiff_t>(at));
  if (session.news.empty()) session.news.shrink_to_fit();
  return room;
}

// The peer's end, by its close_notify or its FIN: the first of them counts.
void peer_ended(Core& core, Slot& slot) {
  if (slot.has(kFailed)) return close_stream(core, slot, Ended::error, slot.error, slot.syscall);
  slot.unset(kWantIn);
  if (!slot.has(kFinishing)) {
    update_interest(core, slot);
    if (slot.state == State::open) core.emit(Event::fin, 0, slot.handle, 0, 0);
    return;
  }
  slot.set(kPeerFin);
  if (slot.has(kShutDone)) {
    close_stream(core, slot, Ended::local, 0, Syscall::none);
  } else {
    update_interest(core, slot);
  }
}

void fail_read(Core& core, Slot& slot) {
  const bool known = slot.has(kFailed);
  const int32_t error = known ? slot.error : slot.tls->read_error;
  close_stream(core, slot, Ended::error, error, known ? slot.syscall : Syscall::read);
}

// Reads what the kernel has, up to `may_read`, and gives the program what is whole of it. There is room in the slab.
void receive(Core& core, Slot& slot, uint32_t may_read) {
  TlsSession& session = *slot.tls;
  // One data event a batch: a second one could overtake the first, should that be held and resumed in between.
  if (session.data_batch == core.batches + 1) return core.defer(slot, kDueTls);
  const bool was_ended = session.ended_by_peer();
  tls_begin(session, core.now);
  session.may_read = may_read;
  session.kernel_empty = false;
  uint8_t* room = core.slab_room(kReadQuota);
  size_t filled = 0;
  int error = SSL_ERROR_NONE;
  while (filled < kReadQuota) {
    size_t got = 0;
    const int result = SSL_read_ex(session.ssl, room + filled, kReadQuota - filled, &got);
    if (result != 1) {
      error = SSL_get_error(session.ssl, result);
      break;
    }
    filled += got;
    if ((session.kernel_empty || session.may_read == 0) && !SSL_has_pending(session.ssl)) break;
  }
  if (session.hears_messages) {
    session.hears_messages = false;
    SSL_set_msg_callback(session.ssl, nullptr);
  }
  const bool discards = slot.has(kFinishing);
  if (filled > 0) core.count(kBytesIn, static_cast<double>(filled));
  if (filled > 0 && !discards) {
    core.emit(Event::data, 0, slot.handle, core.keep_slab(filled), static_cast<int32_t>(filled));
    session.data_batch = core.batches + 1;
  } else {
    core.keep_slab(0);
  }
  if (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL) return tls_failed(core, slot);
  if (session.is_flooded) return tls_fail(core, slot, TlsError::protocol, kFlood);
  if (error == SSL_ERROR_ZERO_RETURN) session.peer_closed = true;
  tls_send_wire(session);
  if (session.wire_in - session.wire_out > kMostAnswers) return tls_fail(core, slot, TlsError::protocol, kUnread);
  if (!session.news.empty()) core.defer(slot, kDueTls);
  if (session.needs_input) {
    session.needs_input = false;
    core.mark_dirty(slot);
  }
  if (slot.state != State::open) return;
  if (session.read_error != 0) {
    fail_read(core, slot);
  } else if (!was_ended && session.ended_by_peer()) {
    peer_ended(core, slot);
  }
}

// What is not being read may be a refusal of ours that came before the peer was gone, and says more than that it is.
void look_once_more(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  for (int i = 0; i < kLastReads && slot.state == State::open; i++) {
    if (session.phase == TlsSession::Phase::handshake && session.awaits == TlsSession::Awaits::nothing) {
      handshake_step(core, slot);
    } else if (session.is_secured() && !session.ended_by_peer()) {
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
    close_stream(core, slot, Ended::error, static_cast<int32_t>(got), Syscall::read);
  }
}

// The program is asked something; what the peer says meanwhile waits in the kernel, unless it says that it is gone.
void watch_suspended(Core& core, Slot& slot, uint32_t interest) {
  const ssize_t seen = core.sys.peek(slot.fd);
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
  TlsSession& session = *slot.tls;
  if (!slot.has(kWantIn)) return hung_up(core, slot, interest);
  if (slot.has(kSkipRead)) return slot.unset(kSkipRead);
  switch (session.phase) {
    case TlsSession::Phase::handshake:
      if (session.awaits != TlsSession::Awaits::nothing) return watch_suspended(core, slot, interest);
      // Level-triggered: it is ready again in the next round.
      if (core.tls->handshakes_left == 0) return;
      core.tls->handshakes_left--;
      handshake_step(core, slot);
      if (slot.state == State::open && !emit_news(core, slot)) core.defer(slot, kDueTls);
      return;
    case TlsSession::Phase::secured:
      if (is_paused(core, slot) && !slot.has(kFinishing)) {
        core.shared.flags[slot.index()] |= kNeedsResume;
        slot.unset(kWantIn);
        return hung_up(core, slot, interest);
      }
      return receive(core, slot, kMayRead);
    case TlsSession::Phase::abandoned:
      return discard(core, slot);
    case TlsSession::Phase::failed:
      return;
  }
}

}  // namespace

void tls_ready(Core& core, Slot& slot, uint32_t interest) {
  if (interest & ~kOut) input_ready(core, slot, interest);
  if (slot.state != State::open || (interest & kOut) == 0) return;
  if (!slot.queue.empty()) {
    send_queue(core, slot, core.now);
  } else {
    tls_pump(core, slot, nullptr, 0, core.now);
  }
}

bool tls_due(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  if (slot.state != State::open) return true;
  if (!emit_news(core, slot)) return false;
  if (core.slab_room(kReadQuota) == nullptr) return false;
  core.keep_slab(0);
  if (session.write_error != 0 && !slot.has(kFailed)) {
    if (!is_reading(core, slot)) look_once_more(core, slot);
    if (slot.state == State::open) fail_stream(core, slot, session.write_error, Syscall::write);
    if (slot.state != State::open) return true;
  }
  if (session.phase == TlsSession::Phase::handshake) {
    if (session.awaits != TlsSession::Awaits::nothing) return true;
    if (core.tls->handshakes_left == 0) return false;
    core.tls->handshakes_left--;
    handshake_due(core, slot);
    return slot.state != State::open || emit_news(core, slot);
  }
  if (!session.is_secured()) return true;
  if (is_paused(core, slot) && !slot.has(kFinishing)) {
    core.shared.flags[slot.index()] |= kNeedsResume;
    return true;
  }
  if (slot.unread != nullptr) return true;  // comes first, and then here again
  if (session.ended_by_peer()) {
    if (!slot.has(kEndDelivered) && !slot.has(kPeerFin)) peer_ended(core, slot);
  } else if (SSL_has_pending(session.ssl)) {
    receive(core, slot, 0);
  }
  return true;
}

bool tls_reads_on(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  if (!session.is_secured()) return true;
  if (session.ended_by_peer() || SSL_has_pending(session.ssl)) core.defer(slot, kDueTls);
  return !session.ended_by_peer();
}

bool tls_delivered(Core& core, Slot& slot) {
  slot.tls->data_batch = core.batches + 1;
  return tls_reads_on(core, slot);
}

bool tls_finishing(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  if (session.phase == TlsSession::Phase::handshake && session.plain.empty() && slot.piece_head == kNoPiece) {
    session.phase = TlsSession::Phase::abandoned;
  } else if (session.is_secured() && SSL_has_pending(session.ssl)) {
    core.defer(slot, kDueTls);
  }
  return session.ended_by_peer();
}

bool tls_may_end(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  // Also a FIN that was read in clear, before TLS began: the handshake meets it again.
  if (!session.is_secured() || !session.ended_by_peer()) return false;
  uint8_t& flags = core.shared.flags[slot.index()];
  if (flags & kPaused) flags |= kNeedsResume;
  return true;
}

}  // namespace em
