// The load generator: a closed loop of clients against an echo server on loopback.
//
//   load echo  PORT --pid P --connections N --size S --depth D [--lines]
//   load churn PORT --pid P --connections N --size S
//   load hold  PORT --size S
//   load http  PORT --pid P --connections N
//   load fetch PORT --pid P --connections N
//
// echo:  opens N connections; each sends D messages of S bytes in one write and waits for all of them before the next.
// churn: N at a time connect, send one message, read the echo, close. A "message" is one such connection.
// hold:  opens connections, echoes one message on each, and leaves them silent.
// http:  opens N connections; each sends a GET and waits for the whole answer before the next. All answers must be 200, and
//        as long as the first one and with its body.
// fetch: opens N connections; each sends 64 bytes and waits for the 1 MiB of peers/epoll_source.c before the next.
//
// With TLS defined at compile time all of it but http and fetch goes through TLS; churn then makes a full handshake each time, or with
// --resume resumes the session of the connection before.
//
// It then reads a number a line from stdin until the end of input. echo, churn, http and fetch play that many messages and answer
// with a line of JSON; hold opens connections up to that number and answers "holding N".
//
// Every echoed byte is compared with what was sent, surplus bytes are looked for after each round, and anything lost,
// changed or late ends the run with exit 1. The server's CPU time is read from its process CPU clock (user and system
// time of all its threads, ended ones too, in nanoseconds) when every answer is in and the server has gone quiet.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "server_cpu.h"
#ifdef TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

enum { MAX_EVENTS = 1024, BUFFER_SIZE = 64 * 1024, PATTERN_TARGET = 256 * 1024, MAX_BATCH = PATTERN_TARGET };
enum { SOURCE_PERIOD = 64 * 1024, SOURCE_ANSWER = 1024 * 1024 };

struct client {
  int fd;
  size_t sent, received;  // of the batch in flight
  size_t position;        // in the pattern, where the batch in flight begins
#ifdef TLS
  SSL *ssl;
  bool offers;            // a session to resume
#endif
};

static struct {
  const char *mode;
  int port;
  pid_t pid;
  size_t connections, size, depth;
  bool lines, resume;
  unsigned deadline;
} options = {.connections = 1, .size = 64, .depth = 1, .deadline = 300};

static const char request[] = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n";

static size_t batch;             // bytes in one write
static size_t answer;            // bytes that come back for it
static size_t tail;              // of these, the last that are always the same: the body of an HTTP answer
static unsigned char *first;     // the first HTTP answer
static size_t period;            // the pattern repeats after this many
static unsigned char *pattern;   // period + batch bytes, so that every batch is contiguous
static unsigned char buffer[BUFFER_SIZE];
static struct client *clients;
static int epoll_fd;
static size_t to_start;          // batches not yet begun in this phase
static size_t in_flight;
static uint64_t bytes_verified;
static uint64_t connects;

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("load: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

static void on_deadline(int signal) {
  (void)signal;
  static const char text[] = "load: the deadline passed with messages outstanding\n";
  if (write(2, text, sizeof text - 1) < 0) _exit(2);
  _exit(1);
}

static void repeat_request(void) {
  period = batch = sizeof request - 1;
  pattern = malloc(2 * batch);
  if (!pattern) fail("out of memory");
  memcpy(pattern, request, batch);
  memcpy(pattern + batch, request, batch);
}

static void make_pattern(void) {
  size_t unit = options.lines ? options.size : 1;
  period = PATTERN_TARGET / unit * unit;
  if (period < unit) period = unit;
  pattern = malloc(period + batch);
  if (!pattern) fail("out of memory");
  uint64_t state = 0x9e3779b97f4a7c15u;
  for (size_t i = 0; i < period; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    pattern[i] = options.lines ? (unsigned char)('a' + state % 26) : (unsigned char)(state >> 32);
    if (options.lines && i % unit == unit - 1) pattern[i] = '\n';
  }
  for (size_t i = 0; i < batch; i++) pattern[period + i] = pattern[i % period];
}

// The transport: each returns what it moved, negative with errno EAGAIN where it has to wait, 0 at the end.
#ifdef TLS
static SSL_CTX *context;
static SSL_SESSION *session;  // of the connection that ended last

static void begin_transport(struct client *c) {
  if (!context) {
    context = SSL_CTX_new(TLS_client_method());
    if (!context) fail("SSL_CTX_new");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  }
  c->ssl = SSL_new(context);
  if (!c->ssl || !SSL_set_fd(c->ssl, c->fd)) fail("SSL_new");
  SSL_set_connect_state(c->ssl);
  c->offers = options.resume && session;
  if (c->offers) SSL_set_session(c->ssl, session);
}

static ssize_t moved(struct client *c, int result, size_t size) {
  if (result == 1) return (ssize_t)size;
  int error = SSL_get_error(c->ssl, result);
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
    fail("TLS: %s", ERR_reason_error_string(ERR_peek_error()));
  }
  errno = EAGAIN;
  return -1;
}

static ssize_t transport_send(struct client *c, const void *data, size_t length) {
  size_t size = 0;
  int result = SSL_write_ex(c->ssl, data, length, &size);
  return moved(c, result, size);
}

static ssize_t transport_receive(struct client *c, void *to, size_t room) {
  size_t size = 0;
  int result = SSL_read_ex(c->ssl, to, room, &size);
  return moved(c, result, size);
}

static bool has_more(struct client *c) { return SSL_has_pending(c->ssl); }

static void end_transport(struct client *c) {
  if (options.resume) {
    if (c->offers && !SSL_session_reused(c->ssl)) fail("a session was not resumed");
    SSL_SESSION_free(session);
    session = SSL_get1_session(c->ssl);
  } else if (SSL_session_reused(c->ssl)) {
    fail("a session was resumed");
  }
  SSL_shutdown(c->ssl);
  SSL_free(c->ssl);
  close(c->fd);
}

// Nothing can be sent before the server has answered.
static bool awaits_writable(struct client *c) { return SSL_is_init_finished(c->ssl); }
#else
static void begin_transport(struct client *c) { (void)c; }
static ssize_t transport_send(struct client *c, const void *data, size_t length) {
  return send(c->fd, data, length, MSG_NOSIGNAL);
}
static ssize_t transport_receive(struct client *c, void *to, size_t room) { return recv(c->fd, to, room, 0); }
static bool has_more(struct client *c) {
  (void)c;
  return false;
}
static void end_transport(struct client *c) { close(c->fd); }
static bool awaits_writable(struct client *c) {
  (void)c;
  return true;
}
#endif

static void connect_client(struct client *c) {
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0) fail("socket: %s", strerror(errno));
  int on = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // Connections closed by the client stay in TIME_WAIT here: 250 source addresses keep the ports from running out.
  setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  struct sockaddr_in from = {.sin_family = AF_INET};
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(connects++ % 250));
  if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0) fail("bind: %s", strerror(errno));
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  to.sin_port = htons((uint16_t)options.port);
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0) fail("connect: %s", strerror(errno));
  if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0) fail("fcntl: %s", strerror(errno));
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl: %s", strerror(errno));
  begin_transport(c);
}

static void await_writable(struct client *c, bool wanted) {
  struct epoll_event event = {.events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event) < 0) fail("epoll_ctl: %s", strerror(errno));
}

static void continue_sending(struct client *c, bool was_waiting) {
  ssize_t sent = transport_send(c, pattern + c->position + c->sent, batch - c->sent);
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) fail("send: %s", strerror(errno));
    sent = 0;
  }
  c->sent += (size_t)sent;
  bool waiting = c->sent < batch && awaits_writable(c);
  if (waiting != was_waiting) await_writable(c, waiting);
}

static void begin_batch(struct client *c) {
  to_start--;
  in_flight++;
  c->position += batch;
  if (c->position >= period) c->position -= period;
  c->sent = c->received = 0;
  continue_sending(c, false);
}

static void check_echo(const struct client *c, size_t got) {
  if (c->received + got > c->sent) fail("the server sent bytes that nobody asked for");
  if (memcmp(buffer, pattern + c->position + c->received, got) != 0) fail("the echo differs from what was sent");
}

// The date in its headers changes, its length does not.
static void check_answer(const struct client *c, size_t got) {
  static const char status[] = "HTTP/1.1 200 OK\r\n";
  if (c->received + got > answer) fail("an answer is longer than the first");
  if (c->received == 0 && got >= sizeof status - 1 && memcmp(buffer, status, sizeof status - 1) != 0) {
    fail("an answer is not 200 OK");
  }
  size_t end = c->received + got, body = answer - tail;
  size_t from = c->received > body ? c->received : body;
  if (end > from && memcmp(buffer + (from - c->received), first + from, end - from) != 0) fail("a body differs");
}

static void check_fetched(const struct client *c, size_t got) {
  static unsigned char source[SOURCE_PERIOD + BUFFER_SIZE];
  if (source[1] == 0) {
    for (size_t i = 0; i < sizeof source; i++) source[i] = (unsigned char)(i % SOURCE_PERIOD * 31 + (i % SOURCE_PERIOD >> 8));
  }
  if (c->received + got > answer) fail("an answer is longer than was asked for");
  if (memcmp(buffer, source + c->received % SOURCE_PERIOD, got) != 0) fail("an answer differs from the backend's");
}

// Returns true when the batch in flight has come back whole.
static bool receive(struct client *c) {
  ssize_t got = transport_receive(c, buffer, sizeof buffer);
  if (got == 0) fail("the server closed a connection");
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return false;
    fail("recv: %s", strerror(errno));
  }
  if (tail) check_answer(c, (size_t)got);
  else if (answer == SOURCE_ANSWER) check_fetched(c, (size_t)got);
  else check_echo(c, (size_t)got);
  c->received += (size_t)got;
  bytes_verified += (uint64_t)got;
  return c->received == answer;
}

static void finish_batch(struct client *c, bool reconnect) {
  in_flight--;
  if (reconnect) end_transport(c);
  if (to_start == 0) return;
  if (reconnect) connect_client(c);
  begin_batch(c);
}

static void drive(bool reconnect) {
  struct epoll_event events[MAX_EVENTS];
  while (in_flight > 0) {
    int count = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
      struct client *c = events[i].data.ptr;
      bool writable = events[i].events & EPOLLOUT;
      if (writable || c->sent < batch) continue_sending(c, writable);
      if (!(events[i].events & ~(uint32_t)EPOLLOUT)) continue;
      bool whole;
      do whole = receive(c);
      while (!whole && has_more(c));
      if (whole) finish_batch(c, reconnect);
    }
  }
}

static void run_phase(size_t messages, bool reconnect) {
  to_start = messages / options.depth;
  if (to_start < options.connections) fail("fewer messages than connections");
  for (size_t i = 0; i < options.connections; i++) {
    if (reconnect) connect_client(&clients[i]);
    begin_batch(&clients[i]);
  }
  drive(reconnect);
}

static size_t server_descriptors(void) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd", (int)options.pid);
  DIR *directory = opendir(path);
  if (!directory) fail("%s: %s", path, strerror(errno));
  size_t count = 0;
  while (readdir(directory)) count++;
  closedir(directory);
  return count;
}

// After churn the server must hold no more descriptors than after the warm-up, save a few that its runtime opens late.
static void check_all_closed(size_t before) {
  for (int i = 0; i < 200; i++) {
    if (server_descriptors() <= before + 16) return;
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
  }
  fail("the server still holds %zu descriptors, %zu before", server_descriptors(), before);
}

static void check_nothing_more(void) {
  for (size_t i = 0; i < options.connections; i++) {
    ssize_t got = recv(clients[i].fd, buffer, 1, MSG_DONTWAIT);
    if (got >= 0 || errno != EAGAIN) fail("a connection was closed or has bytes left over at the end");
  }
}

// One request on a connection of its own tells how long the answers are.
static void learn_answer(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  to.sin_port = htons((uint16_t)options.port);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) fail("connect: %s", strerror(errno));
  if (send(fd, request, batch, MSG_NOSIGNAL) != (ssize_t)batch) fail("send: %s", strerror(errno));
  first = calloc(1, BUFFER_SIZE);
  if (!first) fail("out of memory");
  for (answer = 0; tail == 0;) {
    ssize_t got = recv(fd, first + answer, BUFFER_SIZE - 1 - answer, 0);
    if (got <= 0) fail("the first request got no whole answer");
    answer += (size_t)got;
    char *text = (char *)first, *length = strstr(text, "Content-Length: "), *body = strstr(text, "\r\n\r\n");
    if (!body) continue;
    if (!length || length > body) fail("the answer has no Content-Length");
    size_t size = strtoul(length + strlen("Content-Length: "), NULL, 10);
    if (answer == (size_t)(body + 4 - text) + size) tail = size;
  }
  close(fd);
}

static void open_all(bool reconnect) {
  clients = calloc(options.connections, sizeof *clients);
  if (!clients) fail("out of memory");
  for (size_t i = 0; i < options.connections; i++) {
    if (!tail) clients[i].position = i * 37 * options.size % (period / options.size * options.size);
    if (!reconnect) connect_client(&clients[i]);
  }
}

static void play(size_t messages, bool reconnect) {
  static size_t descriptors;  // the server's, after the first round
  bytes_verified = 0;
  uint64_t cpu = server_cpu_when_quiet(options.pid), wall = nanoseconds(CLOCK_MONOTONIC);
  run_phase(messages, reconnect);
  wall = nanoseconds(CLOCK_MONOTONIC) - wall;
  cpu = server_cpu_when_quiet(options.pid) - cpu;
  if (!reconnect) {
    check_nothing_more();
  } else if (descriptors) {
    check_all_closed(descriptors);
  } else {
    descriptors = server_descriptors();
  }
  messages = messages / options.depth * options.depth;
  if (bytes_verified != (uint64_t)messages / options.depth * answer) fail("%lu bytes came back", (unsigned long)bytes_verified);
  printf("{\"messages\":%zu,\"bytes\":%lu,\"serverCpuNs\":%lu,\"wallNs\":%lu}\n", messages,
         (unsigned long)bytes_verified, (unsigned long)cpu, (unsigned long)wall);
}

static void hold_up_to(size_t wanted) {
  static size_t held;
  for (; held < wanted; held++) {
    struct client *c = calloc(1, sizeof *c);
    if (!c) fail("out of memory");
    connect_client(c);
    to_start = 1;
    begin_batch(c);
    drive(false);
  }
  printf("holding %zu\n", held);
}

static size_t number(const char *name, const char *text) {
  char *end;
  errno = 0;
  unsigned long value = text ? strtoul(text, &end, 10) : 0;
  if (!text || errno || *end || value == 0) fail("%s wants a positive number", name);
  return value;
}

static void read_options(int count, char **arguments) {
  if (count < 3) fail("usage: load echo|churn|hold|http|fetch PORT [options]");
  options.mode = arguments[1];
  options.port = (int)number("PORT", arguments[2]);
  for (int i = 3; i < count; i++) {
    const char *name = arguments[i];
    if (strcmp(name, "--lines") == 0 || strcmp(name, "--resume") == 0) {
      *(name[2] == 'l' ? &options.lines : &options.resume) = true;
      continue;
    }
    size_t value = number(name, arguments[++i < count ? i : count]);
    if (strcmp(name, "--pid") == 0) options.pid = (pid_t)value;
    else if (strcmp(name, "--connections") == 0) options.connections = value;
    else if (strcmp(name, "--size") == 0) options.size = value;
    else if (strcmp(name, "--depth") == 0) options.depth = value;
    else if (strcmp(name, "--deadline") == 0) options.deadline = (unsigned)value;
    else fail("unknown option %s", name);
  }
}

int main(int count, char **arguments) {
  read_options(count, arguments);
  bool churn = strcmp(options.mode, "churn") == 0, holding = strcmp(options.mode, "hold") == 0;
  bool http = strcmp(options.mode, "http") == 0, fetch = strcmp(options.mode, "fetch") == 0;
  if (!churn && !holding && !http && !fetch && strcmp(options.mode, "echo") != 0) fail("unknown mode %s", options.mode);
  if (!holding && !options.pid) fail("--pid is needed");
  if ((churn || holding || http || fetch) && options.depth != 1) fail("--depth belongs to echo");
  batch = options.size * options.depth;
  if (batch > MAX_BATCH) fail("a batch may have %d bytes at most", MAX_BATCH);
  signal(SIGALRM, on_deadline);
  alarm(options.deadline);
  answer = fetch ? SOURCE_ANSWER : batch;
  if (http) repeat_request();
  else make_pattern();
  if (http) learn_answer();
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) fail("epoll_create1: %s", strerror(errno));
  if (!holding) open_all(churn);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    size_t wanted = number("stdin", line);
    if (holding) {
      hold_up_to(wanted);
    } else {
      play(wanted, churn);
    }
    fflush(stdout);
  }
  return 0;
}
