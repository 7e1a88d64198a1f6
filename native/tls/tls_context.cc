#include "tls/tls_context.h"

#include <string.h>

#include <memory>

#include "tls/tls_connection.h"

namespace em {

namespace {

// More names than this say no more than none, and cost every client their bytes.
constexpr size_t kMostNames = 64;

struct MemoryBio {
  explicit MemoryBio(std::string_view text)
      : bio(BIO_new_mem_buf(text.empty() ? "" : text.data(), static_cast<int>(text.size()))) {}
  ~MemoryBio() { (void)BIO_free(bio); }
  BIO* bio;
};

// OpenSSL asks for a passphrase on the terminal where it is given no callback.
int give_passphrase(char* to, int room, int, void* data) {
  auto& passphrase = *static_cast<std::string_view*>(data);
  if (passphrase.size() > static_cast<size_t>(room)) return -1;
  memcpy(to, passphrase.data(), passphrase.size());
  return static_cast<int>(passphrase.size());
}

void free_name(void* name) { X509_NAME_free(static_cast<X509_NAME*>(name)); }

OPENSSL_STACK* plain(STACK_OF(X509_NAME) * names) { return reinterpret_cast<OPENSSL_STACK*>(names); }

bool push_name(OPENSSL_STACK* to, const X509_NAME* name) {
  X509_NAME* copy = X509_NAME_dup(name);
  if (copy != nullptr && OPENSSL_sk_push(to, copy) > 0) return true;
  X509_NAME_free(copy);
  return false;
}

// A leaf that stands alone is shown with those of the store that vouch for it, as far as they go. Whoever verifies it
// has the root: that is left out. False for one that OpenSSL would not send, in the error queue.
bool complete_chain(SSL_CTX* context) {
  constexpr int kFlags =
      SSL_BUILD_CHAIN_FLAG_NO_ROOT | SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR | SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR;
  return SSL_CTX_build_cert_chain(context, kFlags) > 0;
}

bool ends_at_no_start_line() {
  unsigned long error = ERR_peek_last_error();
  bool end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (end) ERR_clear_error();
  return end;
}

// Callbacks ----------------------------------------------------------------------------------------------------------

int choose_alpn(SSL* ssl, const uint8_t** chosen, uint8_t* chosen_length, const uint8_t* offered, unsigned length,
                void*) {
  // As TLS began, whichever name was answered then.
  const std::string& own = tls_of(ssl).first_context->alpn;
  if (own.empty()) return SSL_TLSEXT_ERR_NOACK;
  for (size_t at = 0; at < own.size(); at += 1 + static_cast<uint8_t>(own[at])) {
    const auto size = static_cast<uint8_t>(own[at]);
    for (unsigned other = 0; other + 1u + size <= length; other += 1u + offered[other]) {
      if (offered[other] != size || memcmp(offered + other + 1, own.data() + at + 1, size) != 0) continue;
      *chosen = offered + other + 1;
      *chosen_length = size;
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;  // no_application_protocol
}

int give_staple(SSL* ssl, void* argument) {
  auto& context = *static_cast<TlsContext*>(argument);
  if (!tls_of(ssl).is_server) return 1;  // a client's: what came is looked at later
  if (context.staple.empty()) return SSL_TLSEXT_ERR_NOACK;
  auto* copy = static_cast<uint8_t*>(OPENSSL_malloc(context.staple.size()));
  if (copy == nullptr) return SSL_TLSEXT_ERR_ALERT_FATAL;
  memcpy(copy, context.staple.data(), context.staple.size());
  if (SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(context.staple.size())) == 1)
    return SSL_TLSEXT_ERR_OK;
  OPENSSL_free(copy);
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// Sessions belong to the context that TLS began with, whichever name was answered then: its keys are asked.
int protect_ticket(SSL* ssl, uint8_t* name, uint8_t* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int encrypt) {
  TlsContext& context = *tls_of(ssl).first_context;
  TicketKey* key = nullptr;
  size_t at = 0;
  if (encrypt) {
    if (tls_of(ssl).is_ticketless) return 0;
    key = &context.ticket_keys.front();
    memcpy(name, key->name, sizeof key->name);
    if (RAND_bytes(iv, 16) <= 0) return -1;
  } else {
    for (; at < context.ticket_keys.size(); at++) {
      if (memcmp(name, context.ticket_keys[at].name, sizeof key->name) == 0) break;
    }
    if (at == context.ticket_keys.size()) return 0;  // a full handshake follows
    key = &context.ticket_keys[at];
  }
  char digest[] = "SHA256";
  OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string("key", key->hmac, sizeof key->hmac),
                         OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
  if (EVP_MAC_CTX_set_params(mac, params) <= 0) return -1;
  const auto begin = encrypt ? EVP_EncryptInit_ex : EVP_DecryptInit_ex;
  if (begin(cipher, context.ticket_cipher, nullptr, key->aes, iv) <= 0) return -1;
  return at == 0 ? 1 : 2;  // under an old key: good, and to be renewed
}

int new_session_callback(SSL* ssl, SSL_SESSION* session) {
  report_session(tls_of(ssl), session);
  return 0;  // we keep no reference
}

void keylog_callback(const SSL* ssl, const char* line) { tls_of(ssl).report(Event::tlsKeyLog, line); }

// The messages behind the handshake: of them key updates alone can be had for nothing, again and again.
void message_callback(int written, int, int type, const void* bytes, size_t length, SSL* ssl, void*) {
  if (written || type != SSL3_RT_HANDSHAKE || length == 0) return;
  TlsConnection& tls = tls_of(ssl);
  if (*static_cast<const uint8_t*>(bytes) == SSL3_MT_KEY_UPDATE) tls.count_key_update();
}

// Of the messages behind the handshake OpenSSL tells before it reads them: they are listened to then, and not while
// nothing comes but data.
void info_callback(const SSL* ssl, int where, int alert) {
  if (where & SSL_CB_LOOP) {
    TlsConnection& tls = tls_of(ssl);
    if (!tls.is_secured() || tls.has_message_callback) return;
    tls.has_message_callback = true;
    SSL_set_msg_callback(tls.ssl, message_callback);
    return;
  }
  if (!(where & SSL_CB_ALERT) || (alert >> 8) != SSL3_AL_FATAL) return;
  TlsConnection& tls = tls_of(ssl);
  tls.alert = static_cast<int16_t>(alert & 0xff);
  tls.alert_from_peer = (where & SSL_CB_READ) != 0;
}

// Takes the host name out of the extension's bytes: a list with one entry of type 0, and nothing more. What is made in
// another way OpenSSL refuses when it comes to it, and nobody is asked before.
std::string_view read_name(SSL* ssl) {
  const uint8_t* bytes;
  size_t length;
  if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &length) || length < 5 || bytes[2] != 0)
    return {};
  const size_t list = static_cast<size_t>(bytes[0]) << 8 | bytes[1];
  const size_t size = static_cast<size_t>(bytes[3]) << 8 | bytes[4];
  if (list != length - 2 || size != length - 5 || size > TLSEXT_MAXLEN_host_name) return {};
  return {reinterpret_cast<const char*>(bytes + 5), size};
}

int client_hello_callback(SSL* ssl, int* alert, void*) {
  TlsConnection& tls = tls_of(ssl);
  if (tls.name_answer == TlsConnection::Answer::none) {
    tls.server_name = read_name(ssl);
    if (!tls.asks_name || tls.server_name.empty()) return SSL_CLIENT_HELLO_SUCCESS;
    tls.awaits = TlsConnection::Awaits::name;
    return SSL_CLIENT_HELLO_RETRY;
  }
  if (tls.name_answer == TlsConnection::Answer::yes) return SSL_CLIENT_HELLO_SUCCESS;
  *alert = SSL_AD_UNRECOGNIZED_NAME;
  return SSL_CLIENT_HELLO_ERROR;
}

int verify_peer(X509_STORE_CTX* store, void*) {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  return tls_of(ssl).verify(store);
}

}  // namespace

void report_session(TlsConnection& to, SSL_SESSION* session) {
  int size = i2d_SSL_SESSION(session, nullptr);
  if (size <= 0) return;
  std::string bytes(static_cast<size_t>(size), '\0');
  auto* at = reinterpret_cast<uint8_t*>(bytes.data());
  if (i2d_SSL_SESSION(session, &at) != size) return;
  // The newest replaces one that waits to be told: a server may send a thousand at once, each with its certificate.
  for (TlsConnection::Report& report : to.reports) {
    if (report.event == Event::tlsSession) return report.bytes.swap(bytes);
  }
  to.report(Event::tlsSession, std::move(bytes));
}

std::string openssl_complaint() {
  std::string words;
  while (unsigned long error = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(error);
    if (words.empty() && reason != nullptr) words = reason;
  }
  return words.empty() ? "unknown error" : words;
}

// Trust --------------------------------------------------------------------------------------------------------------

TlsTrust::~TlsTrust() {
  if (names != nullptr) OPENSSL_sk_pop_free(plain(names), free_name);
  X509_STORE_free(store);
}

TlsTrust* make_trust(const std::vector<std::string_view>& certificates, bool openssl_defaults, std::string* error) {
  ERR_clear_error();
  auto trust = std::make_unique<TlsTrust>();
  auto refuse = [error] {
    *error = openssl_complaint();
    return nullptr;
  };
  trust->store = X509_STORE_new();
  trust->names = reinterpret_cast<STACK_OF(X509_NAME)*>(OPENSSL_sk_new_null());
  if (trust->store == nullptr || trust->names == nullptr) return refuse();
  size_t count = 0;
  for (std::string_view text : certificates) {
    MemoryBio from(text);
    std::string_view none;
    size_t before = count;
    while (X509* certificate = PEM_read_bio_X509(from.bio, nullptr, give_passphrase, &none)) {
      const bool added = X509_STORE_add_cert(trust->store, certificate) == 1 &&
                         (++count > kMostNames || push_name(plain(trust->names), X509_get_subject_name(certificate)));
      X509_free(certificate);
      if (!added) return refuse();
    }
    if (count == before || !ends_at_no_start_line()) return refuse();
  }
  if (openssl_defaults && X509_STORE_set_default_paths(trust->store) != 1) return refuse();
  if (openssl_defaults || count > kMostNames) {
    OPENSSL_sk_pop_free(plain(trust->names), free_name);
    trust->names = nullptr;
  }
  ERR_clear_error();  // a default file that is not there
  return trust.release();
}

// Contexts -----------------------------------------------------------------------------------------------------------

TlsContext::~TlsContext() {
  SSL_CTX_free(ssl);
  EVP_CIPHER_free(ticket_cipher);
  live.tls_contexts--;
  for (TicketKey& key : ticket_keys) explicit_bzero(&key, sizeof key);
}

void TlsContext::release() {
  if (--references == 0) delete this;
}

int TlsContext::server_verify_mode() const {
  if (!has(kRequestCertificate)) return SSL_VERIFY_NONE;
  return SSL_VERIFY_PEER | (has(kRequireCertificate) ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
}

void TlsContext::set_ticket_keys(std::string_view keys) {
  for (TicketKey& key : ticket_keys) explicit_bzero(&key, sizeof key);
  ticket_keys.resize(keys.size() / sizeof(TicketKey));
  memcpy(ticket_keys.data(), keys.data(), ticket_keys.size() * sizeof(TicketKey));
}

// The steps of `make`: each is false where OpenSSL did not take something down, with its complaint in the error queue.
namespace {

bool take_rules(TlsContext& context, const TlsContextSettings& settings) {
  SSL_CTX* ssl = context.ssl;
  uint64_t flags = SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION;
  if (context.has(kPreferServerCiphers)) flags |= SSL_OP_CIPHER_SERVER_PREFERENCE;
  if (!context.has(kSessionTickets)) flags |= SSL_OP_NO_TICKET;
  // What these four return is what is set now, or what was before.
  (void)SSL_CTX_set_options(ssl, flags);
  // Chains are completed once, by add_identity: OpenSSL would search the store in every handshake.
  (void)SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
  (void)SSL_CTX_set_read_ahead(ssl, 1);
  (void)SSL_CTX_set_max_cert_list(ssl, static_cast<long>(settings.most_chain));
  return SSL_CTX_set_min_proto_version(ssl, settings.min_version) == 1 &&
         SSL_CTX_set_max_proto_version(ssl, settings.max_version) == 1 &&
         (settings.ciphers.empty() || SSL_CTX_set_cipher_list(ssl, settings.ciphers.c_str()) == 1) &&
         (settings.suites.empty() || SSL_CTX_set_ciphersuites(ssl, settings.suites.c_str()) == 1) &&
         (settings.curves.empty() || SSL_CTX_set1_groups_list(ssl, settings.curves.c_str()) == 1);
}

bool take_dh(TlsContext& context, std::string_view pem) {
  if (context.has(kDhAuto) && SSL_CTX_set_dh_auto(context.ssl, 1) != 1) return false;
  if (pem.empty()) return true;
  MemoryBio from(pem);
  EVP_PKEY* parameters = PEM_read_bio_Parameters(from.bio, nullptr);
  if (parameters != nullptr && SSL_CTX_set0_tmp_dh_pkey(context.ssl, parameters) == 1) return true;
  EVP_PKEY_free(parameters);
  return false;
}

bool take_trust(TlsContext& context, const TlsTrust& trust) {
  SSL_CTX_set1_cert_store(context.ssl, trust.store);
  SSL_CTX_set_cert_verify_callback(context.ssl, verify_peer, nullptr);
  if (!context.has(kRequestCertificate) || trust.names == nullptr) return true;
  OPENSSL_STACK* names = OPENSSL_sk_new_null();
  if (names == nullptr) return false;
  for (int i = 0; i < OPENSSL_sk_num(plain(trust.names)); i++) {
    if (push_name(names, static_cast<X509_NAME*>(OPENSSL_sk_value(plain(trust.names), i)))) continue;
    OPENSSL_sk_pop_free(names, free_name);
    return false;
  }
  SSL_CTX_set_client_CA_list(context.ssl, reinterpret_cast<STACK_OF(X509_NAME)*>(names));
  return true;
}

// Nothing is cached by OpenSSL: a session is its ticket, or what the program keeps of a client's.
bool take_sessions(TlsContext& context, const TlsContextSettings& settings) {
  SSL_CTX* ssl = context.ssl;
  const bool reports = context.has(kReportSessions);
  (void)SSL_CTX_set_session_cache_mode(
      ssl, reports ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL : SSL_SESS_CACHE_OFF);
  if (reports) SSL_CTX_sess_set_new_cb(ssl, new_session_callback);
  (void)SSL_CTX_set_timeout(ssl, settings.session_timeout);
  const auto* id = reinterpret_cast<const uint8_t*>(settings.session_id_context.data());
  context.ticket_cipher = EVP_CIPHER_fetch(nullptr, "AES-128-CBC", nullptr);
  if (context.ticket_cipher == nullptr ||
      SSL_CTX_set_session_id_context(ssl, id, static_cast<unsigned>(settings.session_id_context.size())) != 1 ||
      SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, protect_ticket) != 1 ||
      (!context.has(kSessionTickets) && SSL_CTX_set_num_tickets(ssl, 0) != 1)) {
    return false;
  }
  if (!settings.ticket_keys.empty()) {
    context.set_ticket_keys(settings.ticket_keys);
    return true;
  }
  TicketKey own;
  const bool good = RAND_bytes(reinterpret_cast<uint8_t*>(&own), sizeof own) == 1;
  if (good) context.set_ticket_keys({reinterpret_cast<const char*>(&own), sizeof own});
  explicit_bzero(&own, sizeof own);
  return good;
}

bool take_callbacks(TlsContext& context) {
  SSL_CTX* ssl = context.ssl;
  const auto* alpn = reinterpret_cast<const uint8_t*>(context.alpn.data());
  // Unlike its neighbours the first of them returns 0 for success.
  if ((!context.alpn.empty() && SSL_CTX_set_alpn_protos(ssl, alpn, static_cast<unsigned>(context.alpn.size())) != 0) ||
      SSL_CTX_set_tlsext_status_cb(ssl, give_staple) != 1 || SSL_CTX_set_tlsext_status_arg(ssl, &context) != 1) {
    return false;
  }
  SSL_CTX_set_alpn_select_cb(ssl, choose_alpn, nullptr);
  SSL_CTX_set_client_hello_cb(ssl, client_hello_callback, nullptr);
  SSL_CTX_set_info_callback(ssl, info_callback);
  if (context.has(kKeyLog)) SSL_CTX_set_keylog_callback(ssl, keylog_callback);
  return true;
}

}  // namespace

std::string TlsContext::make(const TlsContextSettings& settings, const TlsTrust& trust) {
  ERR_clear_error();
  options = settings.options;
  min_version = settings.min_version;
  max_version = settings.max_version;
  most_hello = settings.most_hello;
  most_chain = settings.most_chain;
  most_key_updates = settings.most_key_updates;
  curves = settings.curves;
  alpn = settings.alpn;
  staple = settings.staple;
  ssl = SSL_CTX_new(TLS_method());
  const bool good = ssl != nullptr && SSL_CTX_set_ex_data(ssl, 0, this) == 1 && take_rules(*this, settings) &&
                    take_dh(*this, settings.dh) && take_trust(*this, trust) && take_sessions(*this, settings) &&
                    take_callbacks(*this);
  if (!good) return openssl_complaint();
  ERR_clear_error();
  return {};
}

std::string TlsContext::add_identity(std::string_view certificate, std::string_view key, std::string_view passphrase) {
  ERR_clear_error();
  MemoryBio from(certificate);
  X509* leaf = PEM_read_bio_X509_AUX(from.bio, nullptr, give_passphrase, &passphrase);
  bool good = leaf != nullptr && SSL_CTX_use_certificate(ssl, leaf) == 1;
  X509_free(leaf);
  if (!good) return openssl_complaint();
  bool is_alone = true;
  while (X509* next = PEM_read_bio_X509(from.bio, nullptr, give_passphrase, &passphrase)) {
    good = SSL_CTX_add0_chain_cert(ssl, next) == 1;
    is_alone = false;
    if (good) continue;
    X509_free(next);
    return openssl_complaint();
  }
  if (!ends_at_no_start_line()) return openssl_complaint();
  if (is_alone && !complete_chain(ssl)) return openssl_complaint();
  MemoryBio key_from(key);
  EVP_PKEY* private_key = PEM_read_bio_PrivateKey(key_from.bio, nullptr, give_passphrase, &passphrase);
  good = private_key != nullptr && SSL_CTX_use_PrivateKey(ssl, private_key) == 1 && SSL_CTX_check_private_key(ssl) == 1;
  EVP_PKEY_free(private_key);
  if (!good) return openssl_complaint();
  ERR_clear_error();
  return {};
}

}  // namespace em
