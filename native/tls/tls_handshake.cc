#include "tls/tls_handshake.h"

#include "net/stream_io.h"
#include "tls/tls_core.h"
#include "tls/tls_ends.h"
#include "tls/tls_wire.h"

namespace em {

namespace {

void stop_reading(Core& core, Slot& slot) {
  slot.unset(kWantIn);
  update_interest(core, slot);
}

void start_reading(Core& core, Slot& slot) {
  slot.set(kWantIn);
  slot.unset(kParked);
  update_interest(core, slot);
}

int64_t ring_data(Core& core, int32_t handle) {
  // How many there are is the core's own count; all else is memory that JavaScript may have written to.
  int64_t size = 0;
  for (auto at = static_cast<uint32_t>(core.shared.word(kEventsRead)); at < core.event_count(); at++) {
    const int32_t* entry = core.shared.events + at * 4;
    const int32_t head = read_once(entry[0]), offset = read_once(entry[2]), length = read_once(entry[3]);
    if ((head & 0xff) != static_cast<int32_t>(Event::data) || read_once(entry[1]) != handle) continue;
    if (core.in_slab(offset, length)) size += length;
  }
  return size;
}

// How names are compared: with the alternative names alone, never the subject's CN (RFC 9525 section 2), and a wildcard
// is a whole label (section 6.3).
constexpr unsigned kHostFlags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;

// Whom the certificate must be for. False where OpenSSL did not take it down: it would check nothing then.
bool set_identity(SSL* ssl, const std::string& name) {
  X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(rules, kHostFlags);
  return X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str()) == 1 ||
         X509_VERIFY_PARAM_set1_host(rules, name.data(), name.size()) == 1;
}

const char* begin_session(TlsSession& session, TlsStart& start, BIO_METHOD* transport) {
  constexpr const char* kNoMemory = "there is no memory for a TLS connection";
  SSL* ssl = SSL_new(start.context->ssl);
  if (ssl == nullptr) return kNoMemory;
  session.ssl = ssl;
  BIO* bio = BIO_new(transport);
  if (bio == nullptr || SSL_set_ex_data(ssl, 0, &session) != 1) {
    BIO_free(bio);
    return kNoMemory;
  }
  BIO_set_data(bio, &session);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  if (kTorture) SSL_set_max_send_fragment(ssl, session.core.sys.record_size());
  if (start.is_server) {
    session.hello.start(start.context->most_hello);
    SSL_set_verify(ssl, start.context->server_verify_mode(), nullptr);
    SSL_set_accept_state(ssl);
    return nullptr;
  }
  SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
  SSL_set_connect_state(ssl);
  // A server's protection. A client's session is looked at when it is resumed: see check_resumed.
  SSL_set_session_id_context(ssl, nullptr, 0);
  if (!start.server_name.empty() && SSL_set_tlsext_host_name(ssl, start.server_name.c_str()) != 1) {
    return "the name of the server cannot be sent";
  }
  if (!start.verify_name.empty() && !set_identity(ssl, start.verify_name)) {
    return "the name to verify cannot be checked";
  }
  if (start.context->has(kRequestStaple) && SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp) != 1) {
    return kNoMemory;
  }
  if (start.session.empty()) return nullptr;
  auto* from = reinterpret_cast<const uint8_t*>(start.session.data());
  SSL_SESSION* resumed = d2i_SSL_SESSION(nullptr, &from, static_cast<long>(start.session.size()));
  const bool good = resumed != nullptr && SSL_set_session(ssl, resumed) == 1;
  SSL_SESSION_free(resumed);
  return good ? nullptr : "the session cannot be read";
}

// The end of a handshake ---------------------------------------------------------------------------------------------

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
  const bool good = X509_check_ip_asc(certificate, name.c_str(), 0) == 1 ||
                    X509_check_host(certificate, name.data(), name.size(), kHostFlags, nullptr) == 1;
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

// In clear, as everything is until a hello has been answered.
void refuse_hello(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  static constexpr uint8_t kIllegal[] = {SSL3_RT_ALERT, 3, 3, 0, 2, SSL3_AL_FATAL, SSL_AD_ILLEGAL_PARAMETER};
  ERR_clear_error();
  tls_put(session, kIllegal, sizeof kIllegal);
  session.alert = SSL_AD_ILLEGAL_PARAMETER;
  session.alert_from_peer = false;
  tls_fail(core, slot, TlsError::handshake,
           "the client's hello has more than " + std::to_string(session.first_context->most_hello) + " bytes");
}

// Takes over the identities, the trust and the staple; everything else stays as TLS began.
void switch_context(TlsSession& session, TlsContext& to) {
  to.retain();
  session.context->release();
  session.context = &to;
  SSL_set_SSL_CTX(session.ssl, to.ssl);
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

void handshake_step(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  tls_begin(session, core.now);
  session.may_read = kMayRead;
  session.kernel_empty = false;
  const int result = SSL_do_handshake(session.ssl);
  const int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(session.ssl, result);
  if (session.hello.too_long()) return refuse_hello(core, slot);
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

void handshake_due(Core& core, Slot& slot) {
  TlsSession& session = *slot.tls;
  const bool judged = session.verdict != TlsSession::Answer::none;
  // A client's verdict is waited for inside OpenSSL, which goes on from there; servers, and sessions that are resumed,
  // were held at the end.
  if (!judged || (!session.is_server && !SSL_session_reused(session.ssl))) {
    start_reading(core, slot);
    if (slot.state == State::open) handshake_step(core, slot);
    return;
  }
  if (session.verdict == TlsSession::Answer::no) return refuse_client(core, slot);
  session.hold_output = false;
  if (!session.held.empty()) {
    tls_begin(session, core.now);
    tls_put(session, reinterpret_cast<const uint8_t*>(session.held.data()), session.held.size());
    tls_send_wire(session);
    session.held = std::string();
  }
  finish_handshake(core, slot);
}

}  // namespace em
