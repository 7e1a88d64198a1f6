// What many connections share of TLS: trust stores, and contexts over them.
//
// A context is made whole and then only its ticket keys and its staple change. Connections hold it: it goes when its
// number is released and the last of them is gone. Callbacks of OpenSSL find their connection by the application data
// of the SSL (tls_of) and never enter JavaScript.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/live.h"
#include "tls/openssl.h"

namespace em {

constexpr uint32_t kMostPlaintext = 16384;  // of one record

// Whom to trust: parsed once for any number of contexts.
struct TlsTrust {
  X509_STORE* store = nullptr;
  // The names a server sends with its request for a certificate; null where there are too many to be of use.
  STACK_OF(X509_NAME) * names = nullptr;

  ~TlsTrust();
};

// Null where the certificates cannot be read, with OpenSSL's words in `error`.
TlsTrust* make_trust(const std::vector<std::string_view>& certificates, bool openssl_defaults, std::string* error);

// The layout of Node's own ticket keys: name, HMAC-SHA256 key, AES-128-CBC key.
struct TicketKey {
  uint8_t name[16], hmac[16], aes[16];
};

enum TlsOption : uint32_t {
  kPreferServerCiphers = 1,
  kRequestCertificate = 2,
  kRequireCertificate = 4,
  kRejectUnauthorized = 8,
  kSessionTickets = 16,
  kReportSessions = 32,
  kKeyLog = 64,
  kRequestStaple = 128,
  kDhAuto = 256,
};

struct TlsContextSettings {
  uint32_t options = 0;
  int min_version = 0, max_version = 0;
  int64_t session_timeout = 0;
  uint32_t most_hello = 0, most_chain = 0, most_key_updates = 0;  // bytes, bytes, in a second
  std::string ciphers, suites, curves;                            // empty: OpenSSL's defaults
  std::string_view alpn;                                          // in the form of the wire
  std::string_view session_id_context;                            // at most 32 bytes
  std::string_view dh;
  std::string_view ticket_keys;  // 48 bytes each
  std::string_view staple;
};

struct TlsContext {
  explicit TlsContext(Live& live) : live(live) { live.tls_contexts++; }

  Live& live;
  SSL_CTX* ssl = nullptr;
  uint32_t references = 1;
  uint32_t options = 0;
  int min_version = 0, max_version = 0;
  uint32_t most_hello = 0, most_chain = 0, most_key_updates = 0;
  std::string curves, alpn, staple;
  std::vector<TicketKey> ticket_keys;
  EVP_CIPHER* ticket_cipher = nullptr;

  bool has(TlsOption option) const { return (options & option) != 0; }
  bool rejects() const { return has(kRejectUnauthorized); }

  // Each of these returns what is wrong in OpenSSL's words; empty where nothing is.
  std::string make(const TlsContextSettings& settings, const TlsTrust& trust);
  std::string add_identity(std::string_view certificate, std::string_view key, std::string_view passphrase);

  void set_ticket_keys(std::string_view keys);
  // SSL_VERIFY_... of a server's connection.
  int server_verify_mode() const;

  void retain() { references++; }
  void release();

 private:
  ~TlsContext();
};

struct TlsConnection;
// For `tlsSession`.
void report_session(TlsConnection& to, SSL_SESSION* session);

// The first thing OpenSSL complains of, in its words; leaves the queue empty.
std::string openssl_complaint();

}  // namespace em
