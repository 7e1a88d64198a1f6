#include "tls/tls_connection.h"

#include "tls/tls_core.h"
#include "tls/tls_wire.h"

namespace em {

TlsConnection::~TlsConnection() {
  SSL_free(ssl);
  if (first_context != nullptr) first_context->release();
  if (context != nullptr) context->release();
  plain.clear(core.live);
  core.live.tls--;
}

void TlsConnection::report(Event event, std::string bytes) { reports.push_back({event, std::move(bytes)}); }

// Each costs as much as a new key on both sides. OpenSSL reads on until there are data, and stops where the peer has
// ended: so it is told.
void TlsConnection::count_key_update() {
  if (core.now - key_updates_since >= 1000) {
    key_updates_since = core.now;
    key_updates = 0;
  }
  if (++key_updates <= first_context->most_key_updates) return;
  is_flooded = true;
  SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
}

int TlsConnection::verify(X509_STORE_CTX* store) {
  // A session holds the certificate of its client, and the ticket comes back in the client's next hello.
  if (is_server &&
      i2d_X509(X509_STORE_CTX_get0_cert(store), nullptr) > static_cast<int>(first_context->most_hello / 2)) {
    is_ticketless = true;
    if (SSL_set_num_tickets(ssl, 0) != 1) return 0;
  }
  const bool good = X509_verify_cert(store) > 0;
  verify_error = good ? X509_V_OK : X509_STORE_CTX_get_error(store);
  if (!good && first_context->rejects()) return 0;
  if (!asks_verify || verdict == Answer::yes) return 1;
  if (is_server) {
    // OpenSSL suspends only clients here. A server is held at the end of its handshake.
    hold_output = true;
    return 1;
  }
  if (verdict == Answer::none) {
    if (!SSL_set_retry_verify(ssl)) return 0;
    awaits = Awaits::verdict;
    return 1;
  }
  verify_error = X509_V_ERR_CERT_REJECTED;
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return 0;
}

// What is shared -----------------------------------------------------------------------------------------------------

TlsCore::TlsCore() : transport(make_transport()) {}

TlsCore::~TlsCore() {
  for (auto& [id, context] : contexts) context->release();
  BIO_meth_free(transport);
}

}  // namespace em
