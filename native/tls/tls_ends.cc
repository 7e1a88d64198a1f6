#include "tls/tls_ends.h"

#include "net/stream_ends.h"
#include "net/stream_io.h"
#include "tls/tls_core.h"
#include "tls/tls_wire.h"

namespace em {

namespace {

constexpr int kDrains = 4;

// Closed with input unread, the kernel would reset the connection, and what we said last might never be read.
void drain(Core& core, Slot& slot) {
  for (int i = 0; i < kDrains; i++) {
    const ssize_t got = core.sys.recv(slot.fd, core.tls->wire, kWireSize);
    if (got == 0 || (got < 0 && !is_transient(got))) return;
  }
}

TlsError failure_code(const TlsConnection& tls, int reason) {
  if (tls.name_answer == TlsConnection::Answer::no) return TlsError::noContext;
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED || reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
    return TlsError::verify;
  }
  return tls.is_secured() ? TlsError::protocol : TlsError::handshake;
}

}  // namespace

bool tls_may_settle(Core& core, Slot& slot) {
  TlsConnection& tls = *slot.tls;
  // Also a FIN that was read in clear, before TLS began: the handshake meets it again.
  if (!tls.is_secured() || !tls.ended_by_peer()) return false;
  uint8_t& flags = core.shared.flags[slot.index()];
  if (flags & kPaused) flags |= kNeedsResume;
  return true;
}

bool tls_output_done(Core& core, Slot& slot) {
  TlsConnection& tls = *slot.tls;
  if (tls.phase == TlsConnection::Phase::abandoned) return slot.queue.empty();
  if (!tls.is_secured() || !tls.plain.empty() || tls.write_error != 0) return false;
  if (slot.has(kShutWanted) && !tls.notified) {
    tls.notified = true;
    tls_begin(tls, monotonic_now());
    (void)SSL_shutdown(tls.ssl);  // what it could not seal the peer misses, as it should
    tls_send_wire(tls);
    ERR_clear_error();
    if (slot.state == State::open && !slot.queue.empty()) update_interest(core, slot);
  }
  return slot.state == State::open && slot.queue.empty() && tls.write_error == 0;
}

bool tls_finish(Core& core, Slot& slot) {
  TlsConnection& tls = *slot.tls;
  if (tls.phase == TlsConnection::Phase::handshake && tls.plain.empty() && slot.piece_head == kNoPiece) {
    tls.phase = TlsConnection::Phase::abandoned;
  } else if (tls.is_secured() && SSL_has_pending(tls.ssl)) {
    core.defer(slot, kDueInput);
  }
  return tls.ended_by_peer();
}

void tls_abort(Slot& slot) { slot.tls->silent = true; }

void tls_closed(Core& core, Slot& slot) {
  TlsConnection& tls = *slot.tls;
  const bool unsent = core.shared.outbound[slot.index()] > 0 || !tls.plain.empty() || !slot.queue.empty() ||
                      slot.piece_head != kNoPiece;
  const bool orderly = slot.ended == Ended::peer || slot.ended == Ended::local;
  // Where something was dropped the peer is to know it: the end without close_notify is what tells.
  if (orderly && tls.is_secured() && !tls.notified && !tls.silent && !unsent && tls.write_error == 0) {
    tls.notified = true;
    tls_begin(tls, monotonic_now());
    (void)SSL_shutdown(tls.ssl);  // what it could not seal the peer misses, as it should
    tls_send_last(tls);
    ERR_clear_error();
  }
  // What waits to be whole is nothing that the peer should be reset for.
  if (tls.needed > 0 && slot.fd >= 0) drain(core, slot);
  tls.write_error = tls.write_error != 0 ? tls.write_error : -EPIPE;  // nothing goes out from here on
  tls.plain.clear(core.live);
  tls.file.reset();
  tls.early = tls.held = std::string();
}

void tls_failed(Core& core, Slot& slot) {
  TlsConnection& tls = *slot.tls;
  int reason = 0;
  std::string words;
  while (unsigned long error = ERR_get_error()) {
    if (!words.empty() && reason != 0) continue;
    const char* text = ERR_reason_error_string(error);
    words = text == nullptr ? "unknown error" : text;
    if (ERR_GET_LIB(error) == ERR_LIB_SSL) reason = ERR_GET_REASON(error);
  }
  const TlsError code = failure_code(tls, reason);
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) words = X509_verify_cert_error_string(tls.verify_error);
  if (words.empty()) words = "the connection is broken";
  tls_fail(core, slot, code, std::move(words));
}

void tls_fail(Core& core, Slot& slot, TlsError code, std::string reason) {
  TlsConnection& tls = *slot.tls;
  ERR_clear_error();  // what is left there node:tls would take for its own
  if (slot.state != State::open) return;
  tls.failure.reset(new TlsFailure{code, std::move(reason)});
  tls_send_last(tls);  // the alert, if there is one
  tls.phase = TlsConnection::Phase::failed;
  shutdown(slot.fd, SHUT_WR);
  core.sys.calls++;
  drain(core, slot);
  close_stream(core, slot, Ended::tls, 0, Syscall::none);
}

}  // namespace em
