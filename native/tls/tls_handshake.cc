#include "tls/tls_handshake.h"

#include "net/relay.h"
#include "net/stream_ends.h"
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

const char* create_ssl(TlsConnection& tls, TlsStart& start, BIO_METHOD* transport) {
  constexpr const char* kNoMemory = "there is no memory for a TLS connection";
  SSL* ssl = SSL_new(start.context->ssl);
  if (ssl == nullptr) return kNoMemory;
  tls.ssl = ssl;
  BIO* bio = BIO_new(transport);
  if (bio == nullptr || SSL_set_ex_data(ssl, 0, &tls) != 1) {
    (void)BIO_free(bio);
    return kNoMemory;
  }
  BIO_set_data(bio, &tls);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  tls.flight.start(start.is_server, start.context->most_hello, start.context->most_chain);
  tls.wants_input = start.is_server;
  if (kTorture && SSL_set_max_send_fragment(ssl, tls.core.sys.record_size()) != 1) return "this is no record's size";
  if (start.is_server) {
    SSL_set_verify(ssl, start.context->server_verify_mode(), nullptr);
    SSL_set_accept_state(ssl);
    return nullptr;
  }
  SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
  SSL_set_connect_state(ssl);
  // A server's protection. A client's session is looked at when it is resumed: see check_resumed.
  if (SSL_set_session_id_context(ssl, nullptr, 0) != 1) return kNoMemory;
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
  TlsConnection& tls = *slot.tls;
  tls.phase = TlsConnection::Phase::secured;
  tls.is_known = true;
  // Until TLS 1.2 OpenSSL keeps a ticket that was renewed to itself.
  const bool renewed = !tls.is_server && SSL_version(tls.ssl) <= TLS1_2_VERSION && SSL_session_reused(tls.ssl);
  if (renewed && tls.first_context->has(kReportSessions)) report_session(tls, SSL_get_session(tls.ssl));
  tls.report(Event::secured, {});
  if (is_paused(core, slot) && !slot.has(kFinishing)) {
    core.shared.flags[slot.index()] |= kNeedsResume;
    stop_reading(core, slot);
  } else {
    start_reading(core, slot);
  }
  if (slot.state != State::open) return;
  if (SSL_has_pending(tls.ssl) || tls.ended_by_peer()) core.defer(slot, kDueInput);
  core.mark_dirty(slot);  // what was written meanwhile, or that nothing more will be
}

bool shows_certificate(const TlsConnection& tls) {
  X509* certificate = SSL_get1_peer_certificate(tls.ssl);
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
  TlsConnection& tls = *slot.tls;
  if (!SSL_session_reused(tls.ssl) || !tls.first_context->rejects()) return true;
  long result = SSL_get_verify_result(tls.ssl);
  if (result == X509_V_OK && !tls.is_server && !shows_certificate(tls)) {
    result = X509_V_ERR_UNSPECIFIED;  // the session is of the program's making
  } else if (result == X509_V_OK && !tls.verify_name.empty()) {
    if (!is_for(tls.ssl, tls.verify_name)) result = X509_V_ERR_HOSTNAME_MISMATCH;
  }
  if (result == X509_V_OK) return true;
  tls.verify_error = static_cast<int32_t>(result);
  tls_fail(core, slot, TlsError::verify, X509_verify_cert_error_string(result));
  return false;
}

void handshake_done(Core& core, Slot& slot) {
  TlsConnection& tls = *slot.tls;
  ERR_clear_error();
  if (!check_resumed(core, slot)) return;
  if (tls.asks_verify && tls.verdict == TlsConnection::Answer::none && shows_certificate(tls)) {
    tls.verify_error = static_cast<int32_t>(SSL_get_verify_result(tls.ssl));
    tls.awaits = TlsConnection::Awaits::verdict;
    tls.is_known = true;
    tls.report(Event::tlsVerify, {});
  } else {
    tls.verify_error = static_cast<int32_t>(SSL_get_verify_result(tls.ssl));
    finish_handshake(core, slot);
  }
}

// A server's refusal of its client. What would have ended the handshake was held back, so that under TLS 1.2 nothing is
// encrypted yet to the client; under 1.3 the client is through, and only sees the connection end.
void refuse_client(Core& core, Slot& slot) {
  TlsConnection& tls = *slot.tls;
  const bool says_why = tls.hold_output && SSL_version(tls.ssl) <= TLS1_2_VERSION;
  tls.hold_output = false;
  tls.held = std::string();
  if (says_why) {
    static constexpr uint8_t kBadCertificate[] = {SSL3_RT_ALERT, 3, 3, 0, 2, SSL3_AL_FATAL, SSL_AD_BAD_CERTIFICATE};
    tls_put(tls, kBadCertificate, sizeof kBadCertificate);
    tls.alert = SSL_AD_BAD_CERTIFICATE;
    tls.alert_from_peer = false;
  }
  tls.verify_error = X509_V_ERR_CERT_REJECTED;
  tls_fail(core, slot, TlsError::verify, "the certificate was refused by the application");
}

// In clear, as everything is that can be seen to be too long.
void refuse_message(Core& core, Slot& slot) {
  TlsConnection& tls = *slot.tls;
  static constexpr uint8_t kIllegal[] = {SSL3_RT_ALERT, 3, 3, 0, 2, SSL3_AL_FATAL, SSL_AD_ILLEGAL_PARAMETER};
  ERR_clear_error();
  tls_put(tls, kIllegal, sizeof kIllegal);
  tls.alert = SSL_AD_ILLEGAL_PARAMETER;
  tls.alert_from_peer = false;
  const bool hello = tls.flight.excess() == FlightWatch::Excess::hello;
  const uint32_t most = hello ? tls.first_context->most_hello : kMostKeyExchange;
  tls_fail(core, slot, TlsError::handshake,
           std::string(hello ? "the client's hello" : "the server's key exchange") + " has more than " +
               std::to_string(most) + " bytes");
}

// Takes over the identities, the trust and the staple; everything else stays as TLS began. False where OpenSSL
// does not.
bool switch_context(TlsConnection& tls, TlsContext& to) {
  if (SSL_set_SSL_CTX(tls.ssl, to.ssl) != to.ssl) return false;
  to.retain();
  tls.context->release();
  tls.context = &to;
  return true;
}

}  // namespace

// Commands -----------------------------------------------------------------------------------------------------------

size_t undelivered(Core& core, const Slot& slot) {
  const size_t held = slot.unread == nullptr ? 0 : slot.unread->size;
  return held + static_cast<size_t>(ring_data(core, slot.handle));
}

const char* start_tls(Core& core, Slot& slot, TlsStart& start) {
  if (slot.has(kFile)) return "TLS needs a socket";
  const bool in_clear = undelivered(core, slot) > 0;
  auto* tls = new TlsConnection(core, slot);
  if (const char* wrong = create_ssl(*tls, start, core.tls->transport); wrong != nullptr) {
    ERR_clear_error();
    delete tls;
    return wrong;
  }
  start.context->references += 2;
  tls->first_context = tls->context = start.context;
  tls->is_server = start.is_server;
  tls->asks_name = start.asks_name;
  tls->asks_verify = start.asks_verify;
  tls->verify_name = std::move(start.verify_name);
  if (!start.is_server) tls->server_name = std::move(start.server_name);
  tls->early = std::move(start.received);
  // What was written before leaves before, in clear.
  unsplice(core, slot);
  queue_pieces(core, slot);
  tls->clear_left = core.shared.outbound[slot.index()];
  slot.tls = tls;
  slot.set(kTls);
  if (in_clear) {
    core.shared.flags[slot.index()] |= kMuted | kNoWrite;
    tls->failure.reset(new TlsFailure{TlsError::plaintext, "bytes in clear came behind the point where TLS starts"});
    tls->phase = TlsConnection::Phase::failed;
    close_stream(core, slot, Ended::tls, 0, Syscall::none);
    return nullptr;
  }
  if (!slot.queue.empty()) core.mark_dirty(slot);
  start_reading(core, slot);
  if (slot.state == State::open) core.defer(slot, kDueInput);
  return nullptr;
}

void answer_server_name(Core& core, Slot& slot, NameAnswer answer, TlsContext* other) {
  if (!slot.has(kTls) || slot.state != State::open) return;
  TlsConnection& tls = *slot.tls;
  if (tls.awaits != TlsConnection::Awaits::name) return;
  tls.awaits = TlsConnection::Awaits::nothing;
  // A context that could not be taken over is a no: the first one's certificate is not what was chosen.
  const bool taken = answer == NameAnswer::same || (answer == NameAnswer::other && switch_context(tls, *other));
  tls.name_answer = taken ? TlsConnection::Answer::yes : TlsConnection::Answer::no;
  start_reading(core, slot);
  if (slot.state == State::open) core.defer(slot, kDueInput);
}

void answer_verify(Core& core, Slot& slot, bool accepted) {
  if (!slot.has(kTls) || slot.state != State::open) return;
  TlsConnection& tls = *slot.tls;
  if (tls.awaits != TlsConnection::Awaits::verdict) return;
  tls.awaits = TlsConnection::Awaits::nothing;
  tls.verdict = accepted ? TlsConnection::Answer::yes : TlsConnection::Answer::no;
  core.defer(slot, kDueInput);
}

// Rounds -------------------------------------------------------------------------------------------------------------

static void handshake_step(Core& core, Slot& slot) {
  TlsConnection& tls = *slot.tls;
  tls_begin(tls, core.now);
  tls.may_read = 0;
  tls.kernel_empty = false;
  int error = SSL_ERROR_WANT_READ;
  // OpenSSL sets memory aside when it is called: not before there is something to read.
  if (!tls.wants_input || tls_has_input(tls)) {
    const int result = SSL_do_handshake(tls.ssl);
    error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(tls.ssl, result);
    tls.wants_input = error == SSL_ERROR_WANT_READ;
  }
  if (tls.flight.excess() != FlightWatch::Excess::none) return refuse_message(core, slot);
  if (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL) return tls_failed(core, slot);
  tls_send_wire(tls);
  if (slot.state != State::open) return;
  if (error == SSL_ERROR_NONE) return handshake_done(core, slot);
  if (tls.awaits != TlsConnection::Awaits::nothing) {
    const bool name = tls.awaits == TlsConnection::Awaits::name;
    tls.is_known = !name;
    tls.report(name ? Event::tlsServerName : Event::tlsVerify, name ? tls.server_name : std::string());
  } else if (tls.read_error != 0) {
    close_stream(core, slot, Ended::error, tls.read_error, Syscall::read);
  } else if (tls.fin) {
    tls_fail(core, slot, TlsError::handshake, kEndedEarly);
  }
}

void handshake_ready(Core& core, Slot& slot) {
  slot.tls->is_ready = true;
  handshake_step(core, slot);
  slot.tls->is_ready = false;
}

void handshake_due(Core& core, Slot& slot) {
  TlsConnection& tls = *slot.tls;
  const bool judged = tls.verdict != TlsConnection::Answer::none;
  // A client's verdict is waited for inside OpenSSL, which goes on from there; servers, and sessions that are resumed,
  // were held at the end.
  if (!judged || (!tls.is_server && !SSL_session_reused(tls.ssl))) {
    start_reading(core, slot);
    if (slot.state == State::open) handshake_step(core, slot);
    return;
  }
  if (tls.verdict == TlsConnection::Answer::no) return refuse_client(core, slot);
  tls.hold_output = false;
  if (!tls.held.empty()) {
    tls_begin(tls, core.now);
    tls_put(tls, reinterpret_cast<const uint8_t*>(tls.held.data()), tls.held.size());
    tls_send_wire(tls);
    tls.held = std::string();
  }
  finish_handshake(core, slot);
}

}  // namespace em
