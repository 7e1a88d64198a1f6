// What of a handshake's input OpenSSL is given, and when: whole records, and whole messages where they are in clear.
//
// OpenSSL sets aside a record's length and whatever a message declares, and holds both until the rest has come. So what
// is not whole waits in the kernel, and what declares too much is refused before OpenSSL sees it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace em {

// Of a server's key exchange, which has a key and a signature.
constexpr uint32_t kMostKeyExchange = 16384;

class FlightWatch {
 public:
  enum class Excess : uint8_t { none, hello, key_exchange };

  void start(bool is_server, uint32_t most_hello, uint32_t most_chain) {
    is_server_ = is_server;
    most_hello_ = most_hello;
    most_chain_ = most_chain;
  }

  // OpenSSL is given these bytes. `version` is what it has settled so far. False where a message declares too much.
  bool take(const uint8_t* data, size_t length, int version);
  Excess excess() const { return excess_; }

  // How many bytes are left of the record, or of its header, that OpenSSL has the beginning of: 0 between two.
  uint32_t record_left() const;

  // Of bytes that come next, between two records: how many of them OpenSSL may be given, and where there are none yet,
  // how many there must be at the least before there is anything to give.
  struct Part {
    size_t ready = 0, needed = 0;
  };
  Part next(const uint8_t* data, size_t length, int version) const;

 private:
  // Each takes what it can and returns how much.
  size_t take_record_header(const uint8_t* data, size_t length, int version);
  size_t take_payload(const uint8_t* data, size_t length);
  void judge_message();
  uint32_t message_left() const;

  uint32_t most_hello_ = 0, most_chain_ = 0;
  uint32_t message_left_ = 0;
  uint16_t record_left_ = 0;
  uint8_t record_[5] = {}, message_[4] = {};
  uint8_t record_have_ = 0, message_have_ = 0;
  bool is_server_ = false;
  bool has_messages_ = false;  // the record is one of messages in clear
  bool in_clear_ = true;       // records of messages are
  bool for_openssl_ = false;   // it refuses what has come
  Excess excess_ = Excess::none;
};

}  // namespace em
