// Handshakes, input, and ends.
#include "tls_stream.h"

#include <string.h>

#include <algorithm>

#include "stream_io.h"
#include "tls_core.h"

namespace em {

namespace {

// OpenSSL may have the better part of a record from before: with it a round's plaintext fits the room for a read.
constexpr uint32_t kMayRead = kReadQuota - kMostPlaintext - kRecordOverhead;
constexpr const char* kEndedEarly = "the peer ended the connection during the handshake";
constexpr int kDrains = 4;
constexpr int kLastReads = 4;      // a peer that is gone says nothing more: one of them finds what it said
constexpr uint32_t kRingLeft = 8;  // for what follows upon the news

bool is_paused(Core& core, const Slot& slot) { return (core.shared.flags[slot.index()] & kPaused) != 0; }
bool is_muted(Core& core, const Slot& slot) { return (core.shared.flags[slot.index()] & kMuted) != 0; }

void stop_reading(Core& core, Slot& slot) {
  slot.unset(kWantIn);
  update_interest(core, slot);
}

void start_reading(Core& core, Slot& slot) {
  slot.set(kWantIn);
  slot.unset(kParked);
  update_interest(core, slot);
}

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

TlsError failure_code(const TlsSession& session, int reason) {
  if (session.name_answer == TlsSession::Answer::no) return TlsError::no_context;
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED || reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
    return TlsError::verify;
  }
  return session.is_secured() ? TlsError::protocol : TlsError::handshake;
}

void finish_handshake(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  session.phase = TlsSession::Phase::secured;
  session.is_known = true;
  // Until TLS 1.2 OpenSSL keeps a ticket that was renewed to itself.
  const bool renewed =
      !session.is_server && SSL_version(session.ssl) <= TLS1_2_VERSION && SSL_session_reused(session.ssl);
  if (renewed && session.first_context->has(kReportSessions)) tell_session(session, SSL_get_session(session.ssl));
  session.tell(Event::secured, {});
  if (is_paused(core, slot) && !slot.has(kFinishing)) {
    core.shared.flags[slot.index()] |= kNeedsResume;
    stop_reading(core, slot);
  } else {
    start_reading(core, slot);
  }
  if (slot.state != State::open) return;
  if (SSL_has_pending(session.ssl) || session.ended_by_peer()) core.defer(slot, kDueTls);
  core.mark_dirty(slot);  // what was written meanwhile, or that nothing more will be
}

bool shows_certificate(const TlsSession& session) {
  X509* certificate = SSL_get1_peer_certificate(session.ssl);
  X509_free(certificate);
  return certificate != nullptr;
}

bool is_for(SSL* ssl, const std::string& name) {
  X509* certificate = SSL_get1_peer_certificate(ssl);
  if (certificate == nullptr) return false;
  const unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
  const bool good = X509_check_ip_asc(certificate, name.c_str(), 0) == 1 ||
                    X509_check_host(certificate, name.data(), name.size(), flags, nullptr) == 1;
  X509_free(certificate);
  return good;
}

// A session that is resumed was verified once, perhaps under another name and by other rules.
bool check_resumed(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  if (!SSL_session_reused(session.ssl) || !session.first_context->rejects()) return true;
  long result = SSL_get_verify_result(session.ssl);
  if (result == X509_V_OK && !session.is_server && !shows_certificate(session)) {
    result = X509_V_ERR_UNSPECIFIED;  // the session is of the program's making
  } else if (result == X509_V_OK && !session.verify_name.empty()) {
    if (!is_for(session.ssl, session.verify_name)) result = X509_V_ERR_HOSTNAME_MISMATCH;
  }
  if (result == X509_V_OK) return true;
  session.verify_error = static_cast<int32_t>(result);
  tls_fail(core, slot, TlsError::verify, X509_verify_cert_error_string(result));
  return false;
}

void handshake_through(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  ERR_clear_error();
  if (!check_resumed(core, slot)) return;
  if (session.asks_verify && session.verdict == TlsSession::Answer::none && shows_certificate(session)) {
    session.verify_error = static_cast<int32_t>(SSL_get_verify_result(session.ssl));
    session.awaits = TlsSession::Awaits::verdict;
    session.is_known = true;
    session.tell(Event::tlsVerify, {});
  } else {
    session.verify_error = static_cast<int32_t>(SSL_get_verify_result(session.ssl));
    finish_handshake(core, slot);
  }
}

void handshake_step(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  tls_begin(session, core.now);
  session.may_read = kMayRead;
  session.kernel_empty = false;
  const int result = SSL_do_handshake(session.ssl);
  const int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(session.ssl, result);
  if (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL) return tls_failed(core, slot);
  tls_send_wire(session);
  if (slot.state != State::open) return;
  if (error == SSL_ERROR_NONE) return handshake_through(core, slot);
  if (session.awaits != TlsSession::Awaits::nothing) {
    const bool name = session.awaits == TlsSession::Awaits::name;
    session.is_known = !name;
    session.tell(name ? Event::tlsServerName : Event::tlsVerify, name ? session.server_name : std::string());
  } else if (session.read_error != 0) {
    close_stream(core, slot, Ended::error, session.read_error, Syscall::read);
  } else if (session.fin) {
    tls_fail(core, slot, TlsError::handshake, kEndedEarly);
  }
}

// The peer's end, by its close_notify or its FIN: the first of them counts.
void peer_ended(Core& core, Slot& slot) {
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
  const bool discards = slot.has(kFinishing);
  if (filled > 0) core.count(kBytesIn, static_cast<double>(filled));
  if (filled > 0 && !discards) {
    core.emit(Event::data, 0, slot.handle, core.keep_slab(filled), static_cast<int32_t>(filled));
    session.data_batch = core.batches + 1;
  } else {
    core.keep_slab(0);
  }
  if (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL) return tls_failed(core, slot);
  if (error == SSL_ERROR_ZERO_RETURN) session.peer_closed = true;
  tls_send_wire(session);
  if (!session.news.empty()) core.defer(slot, kDueTls);
  if (session.needs_input) {
    session.needs_input = false;
    core.mark_dirty(slot);
  }
  if (slot.state != State::open) return;
  if (session.read_error != 0) {
    close_stream(core, slot, Ended::error, session.read_error, Syscall::read);
  } else if (!was_ended && session.ended_by_peer()) {
    peer_ended(core, slot);
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

int64_t ring_data(Core& core, int32_t handle) {
  int64_t size = 0;
  const int32_t* words = core.shared.words;
  for (int32_t at = words[kEventsRead]; at < words[kEventCount]; at++) {
    const int32_t* entry = core.shared.events + at * 4;
    if ((entry[0] & 0xff) == static_cast<int32_t>(Event::data) && entry[1] == handle) size += entry[3];
  }
  return size;
}

const char* begin_session(TlsSession& session, TlsStart& start, BIO_METHOD* transport) {
  SSL* ssl = SSL_new(start.context->ssl);
  session.ssl = ssl;
  SSL_set_ex_data(ssl, 0, &session);
  BIO* bio = BIO_new(transport);
  BIO_set_data(bio, &session);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  if (start.is_server) {
    SSL_set_verify(ssl, start.context->server_verify_mode(), nullptr);
    SSL_set_accept_state(ssl);
    return nullptr;
  }
  SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
  SSL_set_connect_state(ssl);
  // A server's protection. A client's session is looked at when it is resumed: see check_resumed.
  SSL_set_session_id_context(ssl, nullptr, 0);
  if (!start.server_name.empty()) SSL_set_tlsext_host_name(ssl, start.server_name.c_str());
  if (!start.verify_name.empty()) {
    X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (!X509_VERIFY_PARAM_set1_ip_asc(rules, start.verify_name.c_str())) {
      X509_VERIFY_PARAM_set1_host(rules, start.verify_name.data(), start.verify_name.size());
    }
  }
  if (start.context->has(kRequestStaple)) SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
  if (start.session.empty()) return nullptr;
  auto* from = reinterpret_cast<const uint8_t*>(start.session.data());
  SSL_SESSION* resumed = d2i_SSL_SESSION(nullptr, &from, static_cast<long>(start.session.size()));
  const bool good = resumed != nullptr && SSL_set_session(ssl, resumed) == 1;
  SSL_SESSION_free(resumed);
  return good ? nullptr : "the session cannot be read";
}

// Takes over the identities, the trust and the staple; everything else stays as TLS began.
void switch_context(TlsSession& session, TlsContext& to) {
  to.retain();
  session.context->release();
  session.context = &to;
  SSL_set_SSL_CTX(session.ssl, to.ssl);
}

// A server's refusal of its client. What would have ended the handshake was held back, so that under TLS 1.2 nothing is
// encrypted yet to the client; under 1.3 the client is through, and only sees the connection end.
void refuse_client(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  const bool says_why = session.hold_output && SSL_version(session.ssl) <= TLS1_2_VERSION;
  session.hold_output = false;
  session.held = std::string();
  if (says_why) {
    static constexpr uint8_t kBadCertificate[] = {SSL3_RT_ALERT, 3, 3, 0, 2, SSL3_AL_FATAL, SSL_AD_BAD_CERTIFICATE};
    tls_put(session, kBadCertificate, sizeof kBadCertificate);
    session.alert = SSL_AD_BAD_CERTIFICATE;
    session.alert_from_peer = false;
  }
  session.verify_error = X509_V_ERR_CERT_REJECTED;
  tls_fail(core, slot, TlsError::verify, "the certificate was refused by the application");
}

}  // namespace

// Commands -----------------------------------------------------------------------------------------------------------

size_t undelivered(Core& core, const Slot& slot) {
  const size_t held = slot.unread == nullptr ? 0 : slot.unread->size;
  return held + static_cast<size_t>(ring_data(core, slot.handle));
}

const char* start_tls(Core& core, Slot& slot, TlsStart& start) {
  const bool in_clear = undelivered(core, slot) > 0;
  auto* session = new TlsSession(core, slot);
  if (const char* wrong = begin_session(*session, start, core.tls->transport); wrong != nullptr) {
    ERR_clear_error();
    delete session;
    return wrong;
  }
  start.context->references += 2;
  session->first_context = session->context = start.context;
  session->is_server = start.is_server;
  session->asks_name = start.asks_name;
  session->asks_verify = start.asks_verify;
  session->verify_name = std::move(start.verify_name);
  if (!start.is_server) session->server_name = std::move(start.server_name);
  session->early = std::move(start.received);
  // What was written before leaves before, in clear.
  queue_pieces(core, slot);
  session->clear_left = core.shared.outbound[slot.index()];
  slot.tls = session;
  slot.set(kTls);
  if (in_clear) {
    core.shared.flags[slot.index()] |= kMuted | kNoWrite;
    session->failure.reset(
        new TlsFailure{TlsError::plaintext, "bytes in clear came behind the point where TLS starts"});
    session->phase = TlsSession::Phase::failed;
    close_stream(core, slot, Ended::tls, 0, Syscall::none);
    return nullptr;
  }
  if (!slot.queue.empty()) core.mark_dirty(slot);
  start_reading(core, slot);
  if (slot.state == State::open) core.defer(slot, kDueTls);
  return nullptr;
}

void answer_server_name(Core& core, Slot& slot, NameAnswer answer, TlsContext* other) {
  if (!slot.has(kTls) || slot.state != State::open) return;
  TlsSession& session = *slot.tls;
  if (session.awaits != TlsSession::Awaits::name) return;
  session.awaits = TlsSession::Awaits::nothing;
  session.name_answer = answer == NameAnswer::refuse ? TlsSession::Answer::no : TlsSession::Answer::yes;
  if (answer == NameAnswer::other) switch_context(session, *other);
  start_reading(core, slot);
  if (slot.state == State::open) core.defer(slot, kDueTls);
}

void answer_verify(Core& core, Slot& slot, bool accepted) {
  if (!slot.has(kTls) || slot.state != State::open) return;
  TlsSession& session = *slot.tls;
  if (session.awaits != TlsSession::Awaits::verdict) return;
  session.awaits = TlsSession::Awaits::nothing;
  session.verdict = accepted ? TlsSession::Answer::yes : TlsSession::Answer::no;
  core.defer(slot, kDueTls);
}

// Rounds -------------------------------------------------------------------------------------------------------------

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
  if (session.write_error != 0) {
    for (int i = 0; i < kLastReads && slot.state == State::open; i++) {
      if (session.phase == TlsSession::Phase::handshake && session.awaits == TlsSession::Awaits::nothing) {
        handshake_step(core, slot);
      } else if (session.is_secured() && !session.ended_by_peer()) {
        receive(core, slot, kMayRead);
      }
    }
    // A refusal that came with it has said more by now.
    if (slot.state == State::open) close_stream(core, slot, Ended::error, session.write_error, Syscall::write);
    return true;
  }
  if (session.phase == TlsSession::Phase::handshake) {
    if (session.awaits != TlsSession::Awaits::nothing) return true;
    if (core.tls->handshakes_left == 0) return false;
    core.tls->handshakes_left--;
    if (session.verdict != TlsSession::Answer::none && (session.is_server || SSL_session_reused(session.ssl))) {
      if (session.verdict == TlsSession::Answer::no) {
        refuse_client(core, slot);
        return true;
      }
      session.hold_output = false;
      if (!session.held.empty()) {
        tls_begin(session, core.now);
        tls_put(session, reinterpret_cast<const uint8_t*>(session.held.data()), session.held.size());
        tls_send_wire(session);
        session.held = std::string();
      }
      finish_handshake(core, slot);
    } else {
      start_reading(core, slot);
      if (slot.state == State::open) handshake_step(core, slot);
    }
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

// Ends ---------------------------------------------------------------------------------------------------------------

void tls_silence(Slot& slot) { slot.tls->silent = true; }

void tls_closing(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  const bool unsent = core.shared.outbound[slot.index()] > 0 || !session.plain.empty() || !slot.queue.empty() ||
                      slot.piece_head != kNoPiece;
  const bool orderly = slot.ended == Ended::peer || slot.ended == Ended::local;
  // Where something was dropped the peer is to know it: the end without close_notify is what tells.
  if (orderly && session.is_secured() && !session.notified && !session.silent && !unsent && session.write_error == 0) {
    session.notified = true;
    tls_begin(session, monotonic_now());
    SSL_shutdown(session.ssl);
    tls_send_last(session);
    ERR_clear_error();
  }
  session.write_error = session.write_error != 0 ? session.write_error : -EPIPE;  // nothing goes out from here on
  session.plain.clear(core.live);
  session.file.reset();
  session.early = session.held = std::string();
}

void tls_failed(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  int reason = 0;
  std::string words;
  while (unsigned long error = ERR_get_error()) {
    if (!words.empty() && reason != 0) continue;
    const char* text = ERR_reason_error_string(error);
    words = text == nullptr ? "unknown error" : text;
    if (ERR_GET_LIB(error) == ERR_LIB_SSL) reason = ERR_GET_REASON(error);
  }
  const TlsError code = failure_code(session, reason);
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) words = X509_verify_cert_error_string(session.verify_error);
  if (words.empty()) words = "the connection is broken";
  tls_fail(core, slot, code, std::move(words));
}

void tls_fail(Core& core, Slot& slot, TlsError code, std::string reason) {
  TlsSession& session = *slot.tls;
  if (slot.state != State::open) return;
  session.failure.reset(new TlsFailure{code, std::move(reason)});
  tls_send_last(session);  // the alert, if there is one
  session.phase = TlsSession::Phase::failed;
  // Closed with input unread, the kernel would reset the connection, and the alert might never be read.
  shutdown(slot.fd, SHUT_WR);
  core.sys.calls++;
  for (int i = 0; i < kDrains; i++) {
    const ssize_t got = core.sys.recv(slot.fd, core.tls->wire, kWireSize);
    if (got == 0 || (got < 0 && !is_transient(got))) break;
  }
  close_stream(core, slot, Ended::tls, 0, Syscall::none);
}

}  // namespace em
