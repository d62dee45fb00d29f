/**
 * Every bound of the service, named once, with its unit. A limit that is reached is answered with a
 * documented error (docs/errors.md); nothing grows past these numbers.
 */

const KIB = 1024
const MIB = 1024 * KIB
const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

// What a client may name.
export const NAME_CHARS_MAX = 64 // a counter's name
/** Paths of requests are keys too, and real logs have some of 600 characters. */
export const KEY_CHARS_MAX = 1_024
export const EVENT_ID_CHARS_MAX = 256
export const IDEMPOTENCY_KEY_CHARS_MAX = 256
export const CLOUDEVENT_ATTRIBUTE_CHARS_MAX = 2_048
/** The largest delta of one event. With it a minute of one key needs nine million events to leave 64 bits. */
export const DELTA_MAX = 1_000_000_000_000
/** The largest value a counter may reach: what a JSON number carries exactly. */
export const VALUE_MAX = Number.MAX_SAFE_INTEGER
/** How far ahead of the server's clock an event's time may be. */
export const TIME_AHEAD_MS_MAX = 1 * DAY_MS
/** The shortest secret that may sign tokens: RFC 7518 section 3.2. */
export const TOKEN_SECRET_BYTES_MIN = 32

// What one request may carry.
export const BODY_BYTES_MAX = 8 * MIB
/** What all bodies that are still arriving may hold together. */
export const BODIES_BYTES_MAX = 256 * MIB
export const EVENTS_PER_REQUEST_MAX = 10_000
export const JSON_DEPTH_MAX = 32
export const KEYS_PER_READ_MAX = 1_000
export const PAGE_LIMIT_DEFAULT = 100
export const PAGE_LIMIT_MAX = 1_000
export const BUCKETS_PER_SERIES_MAX = 11_000
export const SERIES_RANGE_YEARS_MAX = 100
export const HEADER_BYTES_MAX = 16 * KIB
export const HEADERS_COUNT_MAX = 100
export const REQUEST_TIMEOUT_MS = 15 * SECOND_MS
export const HEADERS_TIMEOUT_MS = 10 * SECOND_MS
export const CONNECTIONS_CHECK_MS = 1 * SECOND_MS
export const KEEP_ALIVE_MS = 72 * SECOND_MS
export const CONNECTIONS_MAX = 10_000
export const WAIT_TIMEOUT_MS_DEFAULT = 5 * SECOND_MS
export const WAIT_TIMEOUT_MS_MAX = 30 * SECOND_MS
export const WAITERS_MAX = 10_000

// What intake may hold before it answers 429.
export const INTAKE_QUEUE_EVENTS_MAX = 100_000
export const INTAKE_QUEUE_BYTES_MAX = 64 * MIB
export const COMMIT_EVENTS_MAX = 20_000
/** How long a commit may wait for more to share its fsync, while more arrives. */
export const GATHER_MS_MAX = 0.2

// Live push.
export const LIVE_SUBSCRIBERS_MAX = 10_000
export const LIVE_KEYS_PER_SUBSCRIBER_MAX = 1_000
export const LIVE_PUSH_INTERVAL_MS = 100
export const LIVE_HEARTBEAT_MS = 15 * SECOND_MS
/** A subscriber with more unsent bytes than this gets nothing new until its socket drains. */
export const LIVE_UNSENT_BYTES_MAX = 64 * KIB
export const LIVE_STUCK_MS_MAX = 60 * SECOND_MS
export const WEBSOCKET_MESSAGE_BYTES_MAX = 64 * KIB
export const WEBSOCKET_UNACKED_EVENTS_MAX = 1_000

// The embedded store.
export const SEEN_RETENTION_MS_DEFAULT = 7 * DAY_MS
/** All minutes are kept: logs that are imported may be older than any span that suits today's events. */
/** Minutes are kept for good unless a retention is set: a store may hold imports of any age. */
export const MINUTE_RETENTION_MS_DEFAULT = Number.POSITIVE_INFINITY
export const FOLD_AFTER_MS = 1 * SECOND_MS
export const FOLD_AFTER_KEYS = 50_000
export const FOLD_AFTER_IDS = 200_000
export const FOLD_SLICE_KEYS = 50
export const FOLD_SLICE_IDS = 1_000
export const PURGE_SLICE_ROWS = 2_000
export const PURGE_PAUSE_MS = 50
export const VALUE_CACHE_KEYS_MAX = 200_000
/** Pages of the write-ahead log after which it is moved into the file. */
export const WAL_PAGES_MAX = 1_000
export const HEAVY_READ_MS_MAX = 10 * SECOND_MS
export const HEAVY_READS_QUEUED_MAX = 64

// Access.
/** A token can't be revoked, so none lives longer than this. */
export const TOKEN_LIFETIME_MS_MAX = 24 * HOUR_MS
export const TOKEN_LIFETIME_MS_DEFAULT = 15 * MINUTE_MS
export const TOKENS_CACHED_MAX = 10_000
export const KEY_NAME_CHARS_MAX = 100
export const ADMIN_BODY_BYTES_MAX = 256 * KIB
/** Addresses and principals whose rate is remembered. */
export const RATES_HELD_MAX = 20_000

// Import on the command line.
export const IMPORT_LINE_BYTES_MAX = 64 * KIB
export const IMPORT_BATCH_EVENTS = 1_000
export const IMPORT_BATCHES_IN_FLIGHT = 4
/** Within so many records equal lines are told apart by counting them; the ids of one file depend on it. */
export const IMPORT_BLOCK_RECORDS = 100_000
/** How long a batch is sent again before the import gives up. */
export const IMPORT_RETRY_MS_MAX = 60 * SECOND_MS
export const IMPORT_RETRY_PAUSE_MS_MAX = 5 * SECOND_MS

// What `tally doctor` calls little.
export const DISK_FREE_BYTES_WARN = 1024 * MIB
export const DISK_FREE_BYTES_FAIL = 64 * MIB

// Stopping.
export const DRAIN_MS_MAX = 10 * SECOND_MS

export { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS }

/** Up to this size the embedded store's file is checked whole whenever it is opened. */
export const QUICK_CHECK_BYTES_MAX = 128 * MIB

/** The JSON body of a GET: two instants. */
export const QUERY_BODY_BYTES_MAX = 4 * KIB
/** How often a read that waits looks whether its position was reached. */
export const POSITION_POLL_MS = 5
/** All subscriptions of all live subscribers together. */
export const LIVE_SUBSCRIPTIONS_MAX = 1_000_000
/** What all live sockets together may hold unsent; with many of them each gets its share. */
export const LIVE_UNSENT_TOTAL_BYTES_MAX = 128 * MIB
/** How long the pushes of one turn may keep everything else waiting. */
export const LIVE_PUSH_SLICE_MS = 5
/** What a browser waits before it connects again. */
export const LIVE_RETRY_MS = 2 * SECOND_MS
