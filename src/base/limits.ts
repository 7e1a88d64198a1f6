/**
 * Every default and every bound of the package, in one place. Times are in milliseconds, sizes in bytes.
 * docs/limits.md lists them for users; the conformance suite pins each of them.
 */

export { FILE_PART, FILE_QUOTA, READ_QUOTA } from "./quotas.js";

const KiB = 1024;
const MiB = 1024 * KiB;

/** `sendData` returns false from this much unsent output on. */
export const HIGH_WATER_MARK = 64 * KiB;
/** `drained` follows when unsent output has fallen to this. */
export const LOW_WATER_MARK = 16 * KiB;
/** A write on a connection that already holds more unsent output than this closes it. */
export const OUTBOUND_LIMIT = 16 * MiB;
/** Above this much unsent output in all, the largest queues of the reactor are closed. */
export const REACTOR_OUTBOUND_LIMIT = 512 * MiB;
/** How long `closeConnectionAfterWriting` waits without progress of its output, and then for the peer's FIN. */
export const LINGER_TIMEOUT = 5_000;
/** How long a child process may take to end when it has been asked to, before it is killed. */
export const KILL_DELAY = 5_000;
/** How long the end of a child process that was killed is waited for: one that the kernel holds may never end. */
export const KILL_WAIT = 5_000;
/** How long a tail goes on reading a file that another has taken the place of. */
export const ROTATED_LIMIT = 5_000;
/** The most output of one command that `system` keeps. */
export const COMMAND_OUTPUT_LIMIT = 16 * MiB;
/** How long the outputs of a child process may stay open after its exit, for a process of its own still has them. */
export const OUTPUT_HELD_LIMIT = 5_000;
/** How long a connect may take, name resolution and all attempts together. */
export const CONNECT_TIMEOUT = 20_000;
/** RFC 8305 section 5: the delay before the next address is tried beside the one under way. */
export const CONNECTION_ATTEMPT_DELAY = 250;
/** The most connections accepted from one listener in one turn. */
export const ACCEPT_QUOTA = 64;
/** The length of the kernel's queue of connections not yet accepted. */
export const LISTEN_BACKLOG = 1024;
/** The most that is sent of a file whose size the kernel does not know: it is read at the call. */
export const MAX_UNSIZED_FILE = 16 * MiB;
/** The longest line `LineText2` takes. */
export const MAX_LINE_LENGTH = 64 * KiB;
/** The longest delimiter `LineText2` takes, and the longest match of one that is a regular expression. */
export const MAX_DELIMITER_LENGTH = 256;
/** The longest sized binary block `LineText2` takes (EventMachine's MaxBinaryLength, there not enforced). */
export const MAX_BINARY_LENGTH = 32 * MiB;
/** The longest delay a timer takes: the largest that keeps whole milliseconds exact with a running clock added. */
export const MAX_TIMER_DELAY = 2 ** 52;
/** The longest path a Unix socket's address can carry on Linux, without the closing NUL. */
export const MAX_UNIX_PATH = 107;
/** The longest abstract name, its leading NUL included. */
export const MAX_ABSTRACT_NAME = 108;
/** The most items that wait in one async iteration of a `Channel`. */
export const CHANNEL_BUFFER_LIMIT = 1024;
/** The most callers that wait for a resource of one `Pool`. */
export const POOL_WAITING_LIMIT = 1024;
/** The most calls of one `ThreadedResource` that have not been answered. */
export const RESOURCE_CALL_LIMIT = 1024;
/** The most jobs of `defer` that wait for a thread. */
export const DEFER_QUEUE_LIMIT = 1024;
/** How long a thread of `defer` waits for its next job before it ends. */
export const WORKER_IDLE_TIMEOUT = 10_000;
/** The longest token `BufferedTokenizer` takes, in characters. */
export const MAX_TOKEN_LENGTH = 64 * KiB;
/** How long a TLS handshake may take, from its first byte until the connection is secured. */
export const TLS_HANDSHAKE_TIMEOUT = 20_000;
/** The most unfinished TLS handshakes of one listener; above it the oldest is closed. */
export const TLS_HANDSHAKES = 1024;
/** The longest hello a TLS server takes from a client. */
export const MAX_CLIENT_HELLO = 16 * KiB;
/** The longest certificate chain a TLS peer may show. */
export const MAX_CERTIFICATE_CHAIN = 32 * KiB;
/** The most KeyUpdate messages a TLS peer may send in a second. */
export const MAX_KEY_UPDATES = 32;
/** How long a TLS session can be resumed. */
export const TLS_SESSION_TIMEOUT = 300_000;
/** The most sessions a context keeps for its clients, one for each host, port and name. */
export const TLS_SESSION_CACHE_SIZE = 256;
/** The largest session a client keeps, with the server's certificates; the server decides what goes into one. */
export const MAX_TLS_SESSION_SIZE = 32 * KiB;
/** The largest file, and the longest text, that a TLS context reads keys and certificates from. */
export const MAX_TLS_FILE_SIZE = 4 * MiB;
/** The most bytes of a relay that wait in its target. */
export const RELAY_BUFFER = 64 * KiB;
/** How much of one datagram socket's output may wait for the kernel, or for names. */
export const DATAGRAM_SEND_LIMIT = MiB;
/** The most names that datagrams of one socket wait for at a time. */
export const DATAGRAM_NAMES = 1024;
/** The most answers a resolver keeps. */
export const NAME_CACHE_SIZE = 1024;
/** The most questions of one resolver under way. */
export const NAME_QUERY_LIMIT = 1024;
/** How long a resolver keeps an answer that does not show its time to live. */
export const NAME_LIFE = 10_000;
/** How long at most it keeps one that does. */
export const MAX_NAME_LIFE = 3_600_000;
/** How long it keeps that there is no such name. */
export const NEGATIVE_NAME_LIFE = 5_000;
/** How long it keeps that nobody could tell (RFC 9520 section 3.2: at least a second). */
export const NAME_FAILURE_LIFE = 1_000;
/** How long a name server may take to answer the first try. */
export const NAME_QUERY_TIMEOUT = 2_000;
/** How often each name server is tried. */
export const NAME_QUERY_TRIES = 3;
/** How long a name server that was silent comes behind the others. */
export const SILENT_NAME_SERVER_LIFE = 5_000;
/** RFC 8305 section 3: how long the addresses of one family wait for those of the other. */
export const RESOLUTION_DELAY = 50;
/** The most addresses of one name that are used. */
export const NAME_ADDRESS_LIMIT = 64;
/** The largest answer of other records that is kept, in characters of JSON. */
export const KEPT_ANSWER_SIZE = 4 * KiB;
/** How often a hosts file is looked at, and the machine's own addresses. */
export const HOSTS_CHECK_INTERVAL = 1_000;
/** The largest hosts file that is read. */
export const MAX_HOSTS_FILE = 16 * MiB;
/** The longest start line of an HTTP/1 message, without its line end. */
export const HTTP_START_LINE = 8 * KiB;
/** The longest header section of an HTTP/1 message, from the end of its start line to the end of its empty line. */
export const HTTP_HEADER_SECTION = 16 * KiB;
/** The most fields of a header section, and of a trailer section. */
export const HTTP_HEADER_FIELDS = 100;
/** The longest trailer section, its empty line included. */
export const HTTP_TRAILER_SECTION = 8 * KiB;
/** The most bytes of chunk extensions in one message. */
export const HTTP_CHUNK_EXTENSIONS = 16 * KiB;
/** The longest method name. */
export const MAX_HTTP_METHOD = 64;
/** The longest PROXY protocol header of version 1, its line end included. */
export const MAX_PROXY_TEXT_HEADER = 107;
/** The longest PROXY protocol header of version 2, its TLVs included. */
export const MAX_PROXY_HEADER = 4 * KiB;
/** How long a trusted peer may take to send its whole PROXY protocol header. */
export const PROXY_HEADER_TIMEOUT = 5_000;
/** How long the head of a request may take. */
export const HTTP_HEADER_TIMEOUT = 10_000;
/** How long the content of a request may make no progress. */
export const HTTP_BODY_TIMEOUT = 30_000;
/** The bytes a second that the content of a request comes with on the average, at least. */
export const HTTP_MIN_BODY_RATE = 240;
/** How long a connection may be without a request; it is closed one second later. */
export const HTTP_KEEP_ALIVE_TIMEOUT = 5_000;
/** How long a response that the peer is slow to take may make no progress. */
export const HTTP_RESPONSE_TIMEOUT = 30_000;
/** The most requests of one connection that wait for their responses. */
export const HTTP_PIPELINED = 16;
/** The most content that is gathered whole where nobody says how much. */
export const HTTP_BUFFERED_BODY = MiB;
/** The content of a request that waits for its reader; then the connection is not read. */
export const HTTP_BODY_HIGH_WATER = 64 * KiB;
/** The most content that is read and dropped after a response, so that the connection can be used again. */
export const HTTP_DISCARDED_BODY = 256 * KiB;
/** How long a proxy's connect to one backend may take, TLS included. */
export const PROXY_CONNECT_TIMEOUT = 5_000;
/** To how many further backends a proxy connects when the first fails. */
export const PROXY_RETRIES = 2;
/** Failed connects in a row after which a proxy leaves a backend out. */
export const PROXY_EJECTION_FAILURES = 5;
/** For how long, at first. */
export const PROXY_EJECTION_TIME = 10_000;
/** The most connections of a proxy that wait for a backend with room. */
export const PROXY_QUEUE_LIMIT = 1024;
/** How long one of them waits. */
export const PROXY_QUEUE_TIMEOUT = 5_000;
/** The most bytes of one connection that a proxy's hook may hold. */
export const PROXY_HOLD_LIMIT = 64 * KiB;
/** The most bytes of a client that a proxy looks at before it routes it. */
export const PROXY_PEEK_LIMIT = 16 * KiB;
/** How long a proxy waits for them. */
export const PROXY_PEEK_TIMEOUT = 3_000;
/** The most sources of clients that a proxy counts connections of. */
export const PROXY_SOURCES = 65_536;
/** How often a proxy checks a backend. */
export const PROXY_CHECK_INTERVAL = 2_000;
/** How long one check may take. */
export const PROXY_CHECK_TIMEOUT = 1_000;
/** How often a proxy asks for the backends of a name. */
export const PROXY_DISCOVERY_INTERVAL = 5_000;
